"""Files <-> Recording, one file for each format. Imports recording and signal."""
