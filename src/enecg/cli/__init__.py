"""The command line: one file for each command, which parses, calls and prints.

Exit codes: 0; 1 where some recordings were refused; 2 for a wrong call; 3 where nothing could be done.
"""

from enecg.cli._main import main

__all__ = ["main"]
