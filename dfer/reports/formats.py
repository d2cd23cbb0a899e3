"""The files that a prediction can be saved as, by suffix, for spreadsheets, statistics and annotation programs.

The writing is done by libraries of the extra `dfer[formats]`, each imported when its format is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from dfer.errors import DferError
from dfer.records import Prediction
from dfer.reports.annotations import write_boris, write_eaf, write_subtitles, write_textgrid
from dfer.reports.spreadsheets import write_parquet, write_xlsx
from dfer.runtime.files import atomic_path


class Format(NamedTuple):
    """A format.

    Attributes:
        write: writes predictions to a path, whose suffix is the format's.
        holds_several: whether one file can hold several videos.
        package: that does the writing; "" for none.
    """

    write: Callable[[Sequence[Prediction], Path], None]
    holds_several: bool
    package: str


FORMATS = {
    ".xlsx": Format(write_xlsx, True, "openpyxl"),
    ".parquet": Format(write_parquet, True, "pyarrow"),
    ".eaf": Format(write_eaf, False, "pympi"),
    ".textgrid": Format(write_textgrid, False, "praatio"),
    ".boris": Format(write_boris, True, ""),
    ".vtt": Format(write_subtitles, False, "pysubs2"),
    ".srt": Format(write_subtitles, False, "pysubs2"),
}


def require_library(suffix: str) -> None:
    """Check, before any work begins, that a format can be written.

    Args:
        suffix: a key of `FORMATS`.

    Raises:
        DferError: its library is not installed.
    """
    package = FORMATS[suffix].package
    if package and find_spec(package) is None:
        raise DferError(f"writing {suffix} needs the package {package}", hint="pip install 'dfer[formats]'")


def save_predictions(predictions: Sequence[Prediction], path: Path) -> None:
    """Write predictions in the format that the suffix names.

    Args:
        predictions: of one model; several only in a format that holds several.
        path: its suffix is a key of `FORMATS`, in upper or lower case.

    Raises:
        DferError: the library that writes the format is not installed, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    require_library(suffix)
    with atomic_path(path) as temporary:
        FORMATS[suffix].write(predictions, temporary)
