"""The notice that must accompany all results of a data set: a text file beside the raw data."""

from __future__ import annotations

from pathlib import Path

from dfer.errors import DataError, reason_suffix
from dfer.runtime.reading import read_limited

NOTICE_FILE = "dfer_notice.txt"
MAX_NOTICE = 500  # characters: it is repeated below every table and figure


def read_notice(raw: Path) -> str:
    """Return the notice of a raw data set as one line, or "" where there is none.

    Args:
        raw: the data set's folder, or the table of a data set that is given as one.

    Raises:
        DataError: the file cannot be read, is not UTF-8 text, or is too long.
    """
    path = (raw if raw.is_dir() else raw.parent) / NOTICE_FILE
    try:
        text = " ".join(read_limited(path).decode("utf-8").split())
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the notice{reason_suffix(error)}", where=path) from error
    if len(text) > MAX_NOTICE:
        raise DataError(f"the notice is longer than {MAX_NOTICE} characters", where=path)
    return text
