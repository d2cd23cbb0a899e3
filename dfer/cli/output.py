"""JSON results, to a file or to stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dfer.runtime.files import write_json, write_text


def write_json_result(target: str, results: Sequence[dict[str, Any]]) -> None:
    """Write one object as JSON, several as JSON Lines.

    Args:
        target: a file, or "-" for stdout.
        results: the objects.
    """
    lines = "".join(json.dumps(result, ensure_ascii=False, allow_nan=False) + "\n" for result in results)
    if target == "-":
        sys.stdout.write(lines)
    elif len(results) == 1:
        write_json(Path(target), results[0])
    else:
        write_text(Path(target), lines)
