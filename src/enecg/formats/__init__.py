"""File -> Recording, recognised by content, and back; one file of this folder, and of `writing`, for each format.

Imports recording and signal; imported by cohorts, store and cli.
"""

from enecg.formats._registry import READERS, RecordingFile, find, read, recordings_of
from enecg.formats.writing import write

__all__ = ["READERS", "RecordingFile", "find", "read", "recordings_of", "write"]
