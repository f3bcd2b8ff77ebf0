"""enecg: one 12-lead ECG, many questions, several frozen experts, honest uncertainty.

Names are imported when they are first used, so that `import enecg` costs nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from enecg._version import __version__ as __version__

__all__ = [
    "EnECG",
    "EnECGError",
    "Expert",
    "Recording",
    "Store",
    "TASKS",
    "Task",
    "evaluate",
    "get_expert",
    "load_cohort",
    "plot_recording",
    "read",
    "register_expert",
    "simulate",
]

_HOME = {
    "EnECG": "enecg.estimator",
    "EnECGError": "enecg.errors",
    "Expert": "enecg.experts",
    "Recording": "enecg.recording",
    "Store": "enecg.store",
    "TASKS": "enecg.tasks",
    "Task": "enecg.tasks",
    "evaluate": "enecg.evaluation",
    "get_expert": "enecg.experts",
    "load_cohort": "enecg.cohorts",
    "plot_recording": "enecg.plot",
    "read": "enecg.formats",
    "register_expert": "enecg.experts",
    "simulate": "enecg.simulation",
}

if TYPE_CHECKING:
    from enecg.cohorts import load_cohort
    from enecg.errors import EnECGError
    from enecg.estimator import EnECG
    from enecg.evaluation import evaluate
    from enecg.experts import Expert, get_expert, register_expert
    from enecg.formats import read
    from enecg.plot import plot_recording
    from enecg.recording import Recording
    from enecg.simulation import simulate
    from enecg.store import Store
    from enecg.tasks import TASKS, Task


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'enecg' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
