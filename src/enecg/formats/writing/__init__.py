"""Recording -> file. One file of this folder for each format.

Whatever is written comes back from `enecg.formats.read`: samples within one step of the format's numbers (Parquet: the
same bits), missing samples missing, and all that the recording says; a format that cannot hold it refuses.
"""

from enecg.formats.writing._registry import WRITERS, files_of, format_of, write

__all__ = ["WRITERS", "files_of", "format_of", "write"]
