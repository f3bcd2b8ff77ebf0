"""A progress bar on standard error with share and time left, or nothing. Imports nothing of the package."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """What moves the bar; one without a display does nothing."""

    def __init__(self, what: str, display: "Progress | None" = None, task: "TaskID | None" = None) -> None:
        self._what, self._display, self._task = what, display, task

    def advance(self, n: float) -> None:
        """So many more are done."""
        if self._display is not None and self._task is not None:
            self._display.advance(self._task, n)

    def step(self, name: str, done: float) -> None:
        """This is done next, and so much of the total is done."""
        if self._display is not None and self._task is not None:
            self._display.update(self._task, completed=done, description=f"{self._what}: {name}")


@contextmanager
def progress_bar(shown: bool, what: str, total: float) -> Iterator[Bar]:
    """A bar, shown or not, that is whole when the block ends without an error."""
    if not shown:
        yield Bar(what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task(what, total=total)
        yield Bar(what, display, task)
        display.update(task, completed=total, description=what)
