"""Target probabilities from a file, such as several teachers' mean, to train on in place of labels.

    clip_id,happy,sad,...
    fer0000000,0.91,0.02,...

A class that the file does not name has the probability 0. A row that names no clip of the store is an error; a clip
without a row keeps its label.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dfer.errors import DataError, os_reason
from dfer.runtime.files import write_text
from dfer.runtime.reading import read_limited
from dfer.store.manifest import MAX_MANIFEST_BYTES
from dfer.store.names import class_names, our_name, unknown_class
from dfer.store.store import Store

TOLERANCE = 1e-3  # of a row's sum


def read_targets(
    path: Path, store: Store, labels: Sequence[str], renamed: Mapping[str, str | None]
) -> dict[str, tuple[float, ...]]:
    """Read target probabilities.

    Args:
        path: the CSV.
        store: the store whose clips it names.
        labels: order of the classes to return.
        renamed: other names for classes, as for the store itself; a class that is left out gives its share to the rest.

    Returns:
        By clip id, probabilities that sum to 1, as long as `labels`. Clips that have a share only in classes that are
        left out are missing.

    Raises:
        DataError: the file is missing or damaged, names unknown clips or classes, or a row does not sum to 1.
    """
    table = _read_table(path)
    columns = [str(name) for name in table.columns[1:]]
    place = _places(columns, store, labels, renamed, where=path)
    clips = table["clip_id"].tolist()
    values = _probabilities(table, columns, where=path)
    _require_clips(clips, store, where=path)
    joined = np.zeros((len(clips), len(labels)))
    for column, label in enumerate(place):
        if label is not None:
            joined[:, label] += values[:, column]
    kept = joined.sum(axis=1, keepdims=True)
    joined = np.divide(joined, kept, out=joined, where=kept > 0)
    return {
        clip: tuple(row) for clip, row, share in zip(clips, joined.tolist(), kept[:, 0].tolist(), strict=True) if share
    }


def write_targets(path: Path, clips: Sequence[str], labels: Sequence[str], probabilities: NDArray[np.float64]) -> None:
    """Write target probabilities.

    Args:
        path: the CSV.
        clips: ids, N of them.
        labels: C names.
        probabilities: float [N, C], each row summing to 1.
    """
    table = pd.DataFrame(probabilities, columns=list(labels))
    table.insert(0, "clip_id", list(clips))
    write_text(path, table.to_csv(index=False, lineterminator="\n", float_format="%.6f"), to_stream=True)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(io.BytesIO(read_limited(path, MAX_MANIFEST_BYTES)), dtype=str, keep_default_na=False)
    except OSError as error:
        raise DataError(f"cannot read the targets: {os_reason(error)}", where=path) from error
    except ValueError as error:  # pandas' own errors are among them
        raise DataError(f"cannot read the targets: {error}", where=path) from error
    if list(table.columns[:1]) != ["clip_id"] or len(table.columns) < 2:
        raise DataError("expected the columns clip_id and one per class", where=path)
    return table


def _places(
    columns: Sequence[str], store: Store, labels: Sequence[str], renamed: Mapping[str, str | None], *, where: Path
) -> list[int | None]:
    """Return the place of each column among the labels, or None for a class left out."""
    names = class_names(store.info.labels, renamed, where=store.root)
    ours = {our_name(name): other for name, other in names.items()}
    places: list[int | None] = []
    for column in columns:
        name = names.get(column, ours.get(our_name(column), our_name(column)))
        if name is not None and name not in labels:
            raise unknown_class(column, labels, where=where)
        places.append(None if name is None else list(labels).index(name))
    return places


def _probabilities(table: pd.DataFrame, columns: Sequence[str], *, where: Path) -> NDArray[np.float64]:
    numbers = table[list(columns)].apply(pd.to_numeric, errors="coerce")
    values = np.asarray(numbers, np.float64)
    wrong = ~(np.isfinite(values) & (values >= 0)).all(axis=1) | (np.abs(values.sum(axis=1) - 1) > TOLERANCE)
    if wrong.any():
        clip, row = table["clip_id"][int(wrong.argmax())], values[int(wrong.argmax())]
        raise DataError(
            f"{int(wrong.sum()):,} rows are not probabilities that sum to 1, the first that of clip {clip}: "
            f"{', '.join(f'{value:g}' for value in row)}",
            where=where,
        )
    return values


def _require_clips(clips: Sequence[str], store: Store, *, where: Path) -> None:
    if len(set(clips)) < len(clips):
        twice = next(clip for clip in clips if clips.count(clip) > 1)
        raise DataError(f"clip {twice} has two rows", where=where)
    known = {row.clip_id for row in store.rows}
    unknown = [clip for clip in clips if clip not in known]
    if unknown:
        raise DataError(
            f"{len(unknown):,} clips are not in {store.root}, the first {unknown[0]!r}",
            where=where,
            hint="name this file beside the store it was made for",
        )
