"""The frequencies of emotions: in published data sets, and in files of shares."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dfer.errors import UsageError, os_reason
from dfer.labels import canonical_emotion
from dfer.runtime.reading import read_input

_MAX_BYTES = 200_000  # of a file of shares
BALANCED, TRAINING = "balanced", "training"  # the priors that are no data set's

# Clips of each class in the published lists: of DFEW and MAFW (single-labelled) the test lists of all five folds, which
# hold every clip once; of FER+ (by its majority rule) and FERV39k the train list.
DATASET_COUNTS: dict[str, dict[str, int]] = {
    "ferplus": {
        "happy": 7284, "sad": 3022, "neutral": 8733, "angry": 2098, "surprise": 3136, "disgust": 116, "fear": 536,
    },
    "dfew": {
        "happy": 2445, "sad": 1894, "neutral": 2669, "angry": 2173, "surprise": 1469, "disgust": 145, "fear": 902,
    },
    "ferv39k": {
        "happy": 5854, "sad": 5523, "neutral": 7790, "angry": 5906, "surprise": 2502, "disgust": 1833, "fear": 1680,
    },
    "mafw": {
        "angry": 1390, "disgust": 639, "fear": 625, "happy": 1242, "neutral": 1138, "sad": 1470, "surprise": 1072,
        "contempt": 236, "anxiety": 916, "helplessness": 262, "disappointment": 182,
    },
}  # fmt: skip


def read_shares(path: Path, labels: Sequence[str]) -> dict[str, float]:
    """Return the share of each label that a YAML, JSON or CSV file gives, divided by their sum.

    Args:
        path: the file: `label: share` lines, a JSON object, or (.csv) rows of a label and its share or count.
        labels: the labels that it must give, all of them and no other, in any spelling of `canonical_emotion`.

    Raises:
        UsageError: the file cannot be read, a label is missing, unknown or stands twice, a share is negative or not a
            number, or all are 0.
    """
    shares: dict[str, float] = {}
    for key, value in _entries(path):
        label = str(key) if str(key) in labels else canonical_emotion(str(key)) or str(key)
        if label not in labels:
            raise UsageError(f"unknown label {key!r:.60}", where=path, hint=f"the labels are {', '.join(labels)}")
        if label in shares:
            raise UsageError(f"the label {label!r} stands twice", where=path)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise UsageError(f"the share of {label!r} must be a number of at least 0, got {value!r:.60}", where=path)
        shares[label] = float(value)
    missing = [label for label in labels if label not in shares]
    if missing:
        raise UsageError(
            f"no share of {', '.join(map(repr, missing))}", where=path, hint="give 0 for what never occurs"
        )
    total = sum(shares.values())
    if not 0 < total < math.inf:
        raise UsageError("the shares must have a sum above 0", where=path)
    return {label: share / total for label, share in shares.items()}


def _entries(path: Path) -> list[tuple[Any, Any]]:
    suffix, hint = path.suffix.lower(), "lines such as `happy: 0.2`"
    if suffix not in (".csv", ".json"):
        from dfer.runtime.plain_yaml import read_mapping  # loads yaml; the command line needs only the names above

        return list(read_mapping(path, "prior", hint=hint).items())
    text = _text(path)
    if suffix == ".csv":
        return _csv_entries(text, path)
    try:
        values = json.loads(text, object_pairs_hook=list)  # pairs, so that a label that stands twice is seen
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not valid JSON: {error}"[:200], where=path) from error
    if not isinstance(values, list) or not all(isinstance(pair, tuple) for pair in values):
        raise UsageError("a prior is a JSON object of label: share", where=path)
    return list(values)


def _csv_entries(text: str, path: Path) -> list[tuple[Any, Any]]:
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    if any(len(row) != 2 for row in rows):
        raise UsageError("a prior's rows hold a label and its share", where=path)
    entries = [(label.strip(), _number(share)) for label, share in rows]
    return entries[1:] if entries and isinstance(entries[0][1], str) else entries  # without a header


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _text(path: Path) -> str:
    try:
        return read_input(path, _MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read the prior: {os_reason(error)}", where=path) from error
    except UnicodeDecodeError as error:
        raise UsageError("cannot read the prior: it is not UTF-8 text", where=path) from error
