"""Where an expert's published weights are, and how their file is wrapped: data, no code."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The publisher's file.

    file : its name.
    repository, revision : on the Hugging Face hub; no repository: no program can pull it, see `page`.
    page : what a person opens to get the file.
    inside : keys under which its state dict lies, outermost first; a file with nothing but tensors is taken as it is.
    prefix : of the names of the tensors that are meant; it is dropped, and tensors without it are passed over.
    beside : packages whose objects lie in the file beside the weights, such as a training's settings; they are read as
    empty objects, and the packages are never imported.
    sha256 : of the file, where its publisher or others have stated it.
    terms : what the licence asks to be accepted before the weights are used; empty where it asks nothing.
    """

    file: str
    repository: str = ""
    revision: str = "main"
    page: str = ""
    inside: tuple[str, ...] = ()
    prefix: str = ""
    beside: tuple[str, ...] = ()
    sha256: str = ""
    terms: str = ""

    @property
    def where(self) -> str:
        """For a person: what to open."""
        if self.repository:
            return f"https://huggingface.co/{self.repository}/blob/{self.revision}/{self.file}"
        return f"{self.page} ({self.file})"
