"""Names in errors and notes: the first few, and how many more there are, so that a message stays one."""

from collections.abc import Collection

_MOST = 12
"""As many as an ECG has leads."""

_LONGEST = 40
"""Letters of a name."""


def shown(names: Collection[str], most: int = _MOST) -> str:
    """`I, II, III and 9 more`; `none` where there are none."""
    first = [name if len(name) <= _LONGEST else f"{name[:_LONGEST]}..." for name in list(names)[:most]]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return (", ".join(first) or "none") + more
