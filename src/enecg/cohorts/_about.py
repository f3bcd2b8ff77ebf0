"""What is known of a data set before its folder is opened."""

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """One data set.

    name : that `load_cohort` knows it by;  title : what it is, in a line.
    recordings, subjects : as published; None where there is no number, or none is known.
    licence, citation : as published.
    layout : what its folder must hold;  tasks : built-in tasks that it has labels of.
    marks : names in its folder that no other data set has all of.
    """

    name: str
    title: str
    layout: str
    tasks: tuple[str, ...] = ()
    recordings: int | None = None
    subjects: int | None = None
    licence: str = "unknown"
    citation: str = ""
    marks: tuple[str, ...] = ()

    def counted(self, recordings: int, subjects: int) -> str:
        """What was found against what was published."""
        if self.recordings is None:
            return f"{recordings:,} recordings and {subjects:,} patients"
        found = f"{recordings:,} of {self.recordings:,} recordings"
        if self.subjects is None:
            return f"{found} published"
        return f"{found} and {subjects:,} of {self.subjects:,} patients published"
