"""The one hierarchy of errors. A message says what was wrong, where, what was expected and what to do.

Each kind is also of a built-in kind, so that `except ValueError` works as it does elsewhere. Imports nothing.
"""


class EnECGError(Exception):
    """Whatever this package refuses."""


class RecordingError(EnECGError, ValueError):
    """An array, a recording or a part of one that cannot be what it claims to be."""


class LeadError(RecordingError):
    """A lead that is unknown, missing or doubled."""


class UnitError(RecordingError):
    """A unit that is unknown or was not given."""


class ReadError(EnECGError, ValueError):
    """A file that cannot be read as a recording."""


class TaskError(EnECGError, ValueError):
    """A task that is unknown, or a label that does not belong to it."""


class CohortError(EnECGError, ValueError):
    """A folder or table that is not the cohort it should be."""


class ExpertError(EnECGError, ValueError):
    """An expert that is unknown or cannot be used."""


class WeightsError(ExpertError):
    """Weights that are missing, altered or of another network."""


class BackendError(ExpertError):
    """What is to compute an expert is unknown, or cannot compute it here."""


class StoreError(EnECGError, OSError):
    """A store that cannot be written or read back."""


class WriteError(EnECGError, OSError):
    """A file that cannot be written, or not in the format that its name asks for."""


class FitError(EnECGError, ValueError):
    """A fit that its data do not allow."""


class NotFittedError(EnECGError, ValueError, AttributeError):
    """An ensemble that was asked for answers before it was fitted."""


class LeakageError(EnECGError, ValueError):
    """A subject on both sides of a split, or an expert that has seen test subjects."""


class BundleError(EnECGError, ValueError):
    """A bundle that is incomplete, altered, or of a version that cannot be read."""


class MissingPackageError(EnECGError, ImportError):
    """An optional package that is needed for what was asked."""
