"""The remarks of an evaluation on data with other classes, or on more than a test list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from dfer.evaluation.across import RESTRICTED, TEST_ONLY, JoinedClasses
from dfer.evaluation.results import Evaluation
from dfer.runtime.formatting import percent, pluralize


def across_remarks(evaluation: Evaluation) -> list[str]:
    """Return the lines on how classes were joined, what was left out, and what could be answered."""
    remarks = []
    if evaluation.folds[0].splits != TEST_ONLY:
        remarks.append("all lists are tested, not only the test lists")
    classes = evaluation.classes
    if classes is None:
        return remarks
    remarks.append(f"classes joined by name: {_joined(classes)}")
    left_out = sum((Counter(fold.left_out) for fold in evaluation.folds), Counter[str]())
    if unmatched := [name for name, label in classes.names.items() if label is None]:
        parts = [f"{name} ({pluralize(left_out[name], 'clip')})" for name in unmatched]
        remarks.append(f"classes left out: {', '.join(parts)}")
    if classes.model_only:
        remarks.append(_protocol(evaluation, classes))
    return remarks


def _joined(classes: JoinedClasses) -> str:
    """Return the common classes, each with the data's names for it where they are others."""
    parts = []
    for label in classes.common:
        own = [name for name, joined in classes.names.items() if joined == label]
        words = [] if own == [label] else [f"of {' and '.join(own)}"]
        words += [f"the model's {other} counts as it" for other, to in classes.merged.items() if to == label]
        parts.append(f"{label} ({'; '.join(words)})" if words else label)
    return ", ".join(parts)


def _protocol(evaluation: Evaluation, classes: JoinedClasses) -> str:
    lacking = ", ".join(classes.model_only)
    if classes.protocol == RESTRICTED:
        text = f"protocol restricted: only the {len(classes.common)} common classes can be answered, not {lacking}"
    else:
        count = len(classes.shown())
        text = f"protocol open: all {count} classes of the model can be answered; wrong in any case: {lacking}"
    counts = [fold.under_other_protocol for fold in evaluation.folds]
    known = [count for count in counts if count is not None]
    if len(known) == len(counts):
        war, uar = (percent(_mean(values)) for values in ((c.war for c in known), (c.uar for c in known)))
        text += f"; under the {classes.other_protocol} protocol WAR {war}, UAR {uar}"
    return text


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
