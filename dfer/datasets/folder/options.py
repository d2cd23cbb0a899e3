"""The user's decisions about recordings that can be read in more than one way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from dfer.errors import UsageError
from dfer.labels import canonical_emotion
from dfer.runtime.filenames import composed

Images = Literal["auto", "sequence", "still"]
_NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)(e[-+]?\d{1,3})?|[-+]?inf(inity)?|nan", re.IGNORECASE)
LABELS_EXAMPLE = "--labels 1=happy,2=sad"


@dataclass(frozen=True)
class FolderOptions:
    """The choices in reading a folder or table.

    Attributes:
        names: class as written -> its name; for classes that are numbers.
        images: what images directly in the folder of a class are: the frames of one clip, a clip each, or as the
            structure of the folders suggests.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    images: Images = "auto"

    def name_of(self, written: str) -> str:
        """Return the name of a class as written in a folder or table."""
        return self.names.get(class_key(written), " ".join(composed(written).split()))

    def emotion_of(self, written: str) -> str | None:
        """Return our name of the emotion that a class is, or None if it is no known emotion."""
        return canonical_emotion(self.name_of(written))


def class_key(written: str) -> str:
    """Return the form of a class's name in which spellings are compared: "Happy" is "happy", and 1.0 is 1."""
    text = composed(written).strip()
    if _NUMBER.fullmatch(text) and text.lstrip("+-").lower() not in ("inf", "infinity", "nan"):
        return format(Decimal(text.replace(",", ".")).normalize() + 0, "f")
    return " ".join(text.casefold().split())


def is_number(written: str) -> bool:
    """Return whether the name of a class is a number, which means nothing without the order of the classes."""
    return _NUMBER.fullmatch(written.strip()) is not None or written.strip().isnumeric()


def parse_names(text: str | None) -> dict[str, str]:
    """Parse the names of classes from "1=happy,2=sad".

    Raises:
        UsageError: the text does not have this form, or names a class twice.
    """
    names: dict[str, str] = {}
    for part in text.split(",") if text else []:
        written, equals, name = (piece.strip() for piece in part.partition("="))
        if not (written and equals and name) or is_number(name):
            raise UsageError(f"expected CLASS=NAME, got {part.strip()!r:.80}", where="--labels", hint=LABELS_EXAMPLE)
        if names.setdefault(class_key(written), name) != name:
            raise UsageError(f"{written} has two names", where="--labels", hint=LABELS_EXAMPLE)
    return names


def require_used(names: Iterable[str], written: Iterable[str]) -> None:
    """Check that the classes that were given names exist, since a name may be misspelt.

    Raises:
        UsageError: one does not.
    """
    keys = {class_key(name) for name in written}
    for name in names:
        if name not in keys:
            raise UsageError(f"no clip has the class {name}", where="--labels", hint=f"the classes: {_some(keys)}")


def _some(keys: Iterable[str]) -> str:
    shown = sorted(keys)
    return ", ".join(shown[:10]) + (", ..." if len(shown) > 10 else "")
