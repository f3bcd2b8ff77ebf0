"""The command line, one file for each command: parse, call, print."""
