"""--anonymise of `dfer predict`, which may stand without a value."""

from __future__ import annotations

from enum import Enum
from itertools import zip_longest
from typing import Any

from typer.core import TyperCommand


class HideKind(str, Enum):
    """Ways of making faces unrecognisable."""

    blur = "blur"
    pixelate = "pixelate"


class PredictCommand(TyperCommand):
    """Lets --anonymise stand without a value, which Typer cannot: an input after it is no value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, with the value that was left out."""
        words: list[str] = []
        for word, following in zip_longest(args, args[1:]):
            words.append(word)
            if word == "--anonymise" and "--" not in words and following not in set(HideKind):
                words.append(HideKind.blur.value)
        return super().parse_args(ctx, words)
