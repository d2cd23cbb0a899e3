"""Whether a loss has run away."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

WINDOW = 200  # steps that the usual loss is taken from
PATIENCE = 20  # steps in a row that must be far off
FACTOR = 5.0


class DivergenceWatch:
    """Says when losses stay far above both their running median and guessing, step after step.

    It is cautious: a hard batch, a restart of the learning rate or a slow rise do not count. A resumed run watches
    anew; nothing that is computed depends on it.

    Args:
        num_classes: C; guessing costs log C.
    """

    def __init__(self, num_classes: int) -> None:
        self._usual: deque[float] = deque(maxlen=WINDOW)
        self._guessing = math.log(num_classes)
        self._far = 0

    def sees(self, loss: float) -> bool:
        """Whether with this step's loss the training counts as diverged."""
        if not math.isfinite(loss):
            return True
        usual = max(median(self._usual), self._guessing) if self._usual else math.inf
        if loss > FACTOR * usual:
            self._far += 1
        else:
            self._far = 0
            self._usual.append(loss)
        return self._far >= PATIENCE
