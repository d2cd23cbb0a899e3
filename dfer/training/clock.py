"""Where the time of an epoch goes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class EpochClock:
    """Times an epoch from now on; what a resumed epoch took before is not known.

    Attributes:
        begun: by the monotonic clock, s.
        clips: done since.
        steps: done since.
        waited_s: for data.
    """

    begun: float = field(default_factory=time.monotonic)
    clips: int = 0
    steps: int = 0
    waited_s: float = 0.0

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.begun

    def figures(self) -> dict[str, float]:
        """Clips a second, the share of time waited for data, and the rest of a step's time, ms; {} before a step."""
        if not self.steps:
            return {}
        spent = self.seconds
        return {
            "clips_per_s": self.clips / spent,
            "data_wait": self.waited_s / spent,
            "step_ms": 1000 * (spent - self.waited_s) / self.steps,
        }
