"""What is known of a data set before its folder is opened."""

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """One data set.

    name : that `load_cohort` knows it by;  title : what it is, in a line.
    recordings, subjects : as published; None where there is no number, or none is known.
    licence, citation : as published.
    layout : what its folder must hold;  tasks : built-in tasks that it has labels of.
    """

    name: str
    title: str
    layout: str
    tasks: tuple[str, ...] = ()
    recordings: int | None = None
    subjects: int | None = None
    licence: str = "unknown"
    citation: str = ""

    def counted(self, recordings: int, subjects: int) -> str:
        """What was found against what was published."""
        of_all = "" if self.recordings is None else f" of {self.recordings:,}"
        of_them = "" if self.subjects is None else f" of {self.subjects:,}"
        published = " published" if of_all or of_them else ""
        return f"{recordings:,}{of_all} recordings and {subjects:,}{of_them} patients{published}"
