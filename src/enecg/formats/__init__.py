"""File -> Recording. Formats are recognised by content; one file of this folder for each.

Imports recording and signal; imported by cohorts, store and cli.
"""

from enecg.formats._registry import RecordingFile, find, read, recordings_of

__all__ = ["RecordingFile", "find", "read", "recordings_of"]
