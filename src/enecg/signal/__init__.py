"""Signal processing: arrays in, arrays out, vectorised over leading axes. Imports errors and recording only."""
