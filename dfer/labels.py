"""Emotion names: the one place that maps the data sets' spellings to ours and defines each label order.

A label is an integer that is meaningless without its order: three orders of the same names are in circulation. So
every file that contains labels also contains the names, and only names are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from dfer.errors import DataError

# DFEW's own order (numbered 1-7 there, 0-6 here).
DFEW_LABELS = ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")
# FERV39k has the same seven emotions and names them, so both data sets share one order.
FERV39K_LABELS = DFEW_LABELS
# The order in MAFW's paper.
MAFW_LABELS = (
    "angry",
    "disgust",
    "fear",
    "happy",
    "neutral",
    "sad",
    "surprise",
    "contempt",
    "anxiety",
    "helplessness",
    "disappointment",
)

# RAVDESS numbers its emotions 01-08. Calm is its second baseline beside neutral ("perceptually like neutral, but may be
# perceived as having a mild positive valence", Livingstone and Russo, 2018), so other models know it as neutral.
RAVDESS_LABELS = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")
# DFEW's order without surprise (CREMA-D) and without neutral (eNTERFACE'05).
CREMA_D_LABELS = tuple(label for label in DFEW_LABELS if label != "surprise")
ENTERFACE_LABELS = tuple(label for label in DFEW_LABELS if label != "neutral")
# AFEW and CAER have DFEW's seven emotions.
AFEW_LABELS = CAER_LABELS = DFEW_LABELS

_SYNONYMS = {
    "happy": ("happiness", "hap", "joy", "joyful"),
    "sad": ("sadness",),
    "neutral": ("neu", "calm", "neutrality"),
    "angry": ("anger", "ang"),
    "surprise": ("surprised", "sur", "suprise"),
    "disgust": ("disgusted", "dis"),
    "fear": ("fearful", "fea", "afraid"),
    "contempt": ("contemptuous",),
    "anxiety": ("anxious",),
    "helplessness": ("helpless",),
    "disappointment": ("disappointed",),
}
_CANONICAL = {alias: name for name, aliases in _SYNONYMS.items() for alias in (name, *aliases)}

# One colour per emotion for every plot, table and video, readable on white and on black and distinguishable by the
# colour-blind (after Okabe and Ito's palette, extended).
EMOTION_COLORS = {
    "happy": "#E69F00",
    "sad": "#0072B2",
    "neutral": "#8C8C8C",
    "calm": "#B8B0A0",
    "angry": "#D55E00",
    "surprise": "#CC79A7",
    "disgust": "#009E73",
    "fear": "#7B5EA7",
    "contempt": "#A6761D",
    "anxiety": "#56B4E9",
    "helplessness": "#666699",
    "disappointment": "#B2B200",
}


def canonical_emotion(name: str) -> str | None:
    """Return our name of an emotion, or None for an unknown word.

    Args:
        name: any spelling in use, such as "Happiness", "HAP" or "angry".
    """
    return _CANONICAL.get(name.strip().lower())


def require_emotion(name: str, *, where: str) -> str:
    """Return our name of an emotion.

    Raises:
        DataError: the word is not a known emotion.
    """
    found = canonical_emotion(name)
    if found is None:
        raise DataError(
            f"unknown emotion {name!r}", where=where, hint=f"known emotions: {', '.join(sorted(_SYNONYMS))}"
        )
    return found


def require_same_labels(ours: Sequence[str], theirs: Sequence[str], *, what: str, where: str) -> None:
    """Check that two label orders are the same.

    Raises:
        DataError: they differ in names or order.
    """
    if list(ours) != list(theirs):
        raise DataError(
            f"{what} has the labels {list(theirs)}, expected {list(ours)} in this order",
            where=where,
            hint="use a checkpoint trained on the same label order, or preprocess the data again",
        )
