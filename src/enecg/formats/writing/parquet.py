"""Parquet tables: a column of float32 for each lead, in millivolts, and all else in the file's metadata.

Missing samples are NaN; nothing is rounded. `formats/table.py` reads them.
"""

import json
from io import BytesIO
from pathlib import Path

from enecg.files import write_whole
from enecg.formats._description import described
from enecg.formats._lines import lines_of, statement_lines
from enecg.recording import Recording

NAME, ENDING = "Parquet", ".parquet"


def write(recording: Recording, path: Path) -> None:
    """The whole table at once."""
    import polars

    facts = {
        "rate": repr(recording.rate),
        "unit": "mV",
        "subject": recording.subject,
        "age": None if recording.age is None else repr(recording.age),
        "sex": recording.sex,
        "acquired": None if recording.acquired is None else recording.acquired.isoformat(),
        "device": recording.device,
        "measurements": json.dumps(dict(recording.measurements)) if recording.measurements else None,
    }
    said = {name: text for name, text in facts.items() if text is not None and _is_unicode(text)}
    statements = [*statement_lines(recording, lambda text: True), *lines_of(recording, described(path, said).facts)]
    if statements:
        said["statements"] = json.dumps(statements)
    content = BytesIO()
    table = polars.DataFrame(dict(zip(recording.leads, recording.signal, strict=True)))
    table.write_parquet(content, metadata=said)
    write_whole(path, content.getvalue())


def _is_unicode(text: str) -> bool:
    return text.encode("utf-8", "replace").decode() == text
