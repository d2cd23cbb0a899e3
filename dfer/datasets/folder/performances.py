"""Names of files that contain emotion and subject, as in CREMA-D and RAVDESS."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dfer.labels import RAVDESS_LABELS


@dataclass(frozen=True)
class Performance:
    """The content of a file's name: emotion, subject, and the performance, of which there may be several files."""

    emotion: str
    subject: str
    performance: str


def parse_performance(name: str) -> Performance | None:
    """Parse the name of a CREMA-D or RAVDESS file, without suffix; return None for any other."""
    if match := CREMA_D.fullmatch(name):
        return Performance(emotion=match["emotion"], subject=match["subject"], performance=name)
    if match := RAVDESS.fullmatch(name):
        return Performance(RAVDESS_LABELS[int(match["emotion"]) - 1], match["subject"], match["performance"])
    return None


# 1001_DFA_ANG_XX: actor, sentence, emotion, strength.
CREMA_D = re.compile(
    r"(?P<subject>\d{4})_[A-Z]{3}_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX?)", re.ASCII | re.IGNORECASE
)
# 02-01-06-01-02-01-12: modality, speech or song, emotion, strength, sentence, repetition, actor.
RAVDESS = re.compile(
    r"(?P<modality>\d\d)-(?P<performance>(?P<channel>\d\d)-0(?P<emotion>[1-8])-\d\d-\d\d-\d\d-(?P<subject>\d\d))",
    re.ASCII,
)
