"""How good an ensemble is, on subjects it has never seen."""
