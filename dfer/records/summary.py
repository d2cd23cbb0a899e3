"""The summary of what one person showed in a video."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dfer.records.answers import FacePrediction
from dfer.records.timeline import emotion_runs

_SAME_S = 1e-6  # times that differ by less are equal


@dataclass(frozen=True)
class FaceSummary:
    """The summary of what one face showed, over the time whose answers can be trusted.

    Attributes:
        visible: how long the face is seen, seconds.
        unsure: how long of it the answers should not be trusted, seconds.
        confidence: the mean, weighted by time; None if all is unsure.
        seconds: by emotion, in the model's order; with `unsure` they sum up to `visible`.
        shares: the same as shares of the trusted time; all 0 without any.
        transitions: how often one emotion follows another directly, by their pair, the most frequent first.
    """

    visible: float
    unsure: float
    confidence: float | None
    seconds: dict[str, float]
    shares: dict[str, float]
    transitions: dict[tuple[str, str], int]

    @property
    def changes(self) -> int:
        """The number of changes of the emotion."""
        return sum(self.transitions.values())

    @property
    def changes_per_minute(self) -> float | None:
        """The number of changes in a minute of trusted time; None if all is unsure."""
        trusted = self.visible - self.unsure
        return 60 * self.changes / trusted if trusted > _SAME_S else None

    def to_dict(self) -> dict[str, Any]:
        """Return the summary for JSON; times are rounded to 1 ms."""
        rate = self.changes_per_minute
        return {
            "visible": round(self.visible, 3),
            "unsure": round(self.unsure, 3),
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "seconds": {label: round(seconds, 3) for label, seconds in self.seconds.items()},
            "shares": {label: round(share, 4) for label, share in self.shares.items()},
            "changes": self.changes,
            "changes_per_minute": None if rate is None else round(rate, 2),
            "transitions": [[*pair, count] for pair, count in self.transitions.items()],
        }


def summarise_face(face: FacePrediction) -> FaceSummary:
    """Sum up what a face showed. Nothing is counted as a change across unsure time or a gap."""
    runs = emotion_runs(face)
    seconds = dict.fromkeys(face.probabilities, 0.0)
    for run in runs:
        if not run.reasons:
            seconds[run.label] = seconds.get(run.label, 0.0) + run.end - run.start
    trusted = sum(seconds.values())
    transitions: dict[tuple[str, str], int] = {}
    for one, two in pairwise(runs):
        if not one.reasons and not two.reasons and two.start - one.end <= _SAME_S and one.label != two.label:
            transitions[one.label, two.label] = transitions.get((one.label, two.label), 0) + 1
    sure = [(segment.end - segment.start, segment.confidence) for segment in face.segments if not segment.unsure]
    return FaceSummary(
        visible=face.visible,
        unsure=max(0.0, face.visible - trusted),
        confidence=sum(length * value for length, value in sure) / trusted if trusted > _SAME_S else None,
        seconds=seconds,
        shares={label: length / trusted if trusted else 0.0 for label, length in seconds.items()},
        transitions=dict(sorted(transitions.items(), key=lambda item: -item[1])),
    )
