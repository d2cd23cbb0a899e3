"""--names, --merge and --people: who is who in the inputs of a command; the options are in `answer_options`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dfer.cli.console import note, print_error, warn
from dfer.errors import UsageError
from dfer.names import name_text
from dfer.prediction.people_file import PeopleFile
from dfer.records import Prediction
from dfer.records.people import People, check_people, relabel

_NEXT_NAME = re.compile(r",\s*(?=\d+\s*=)")  # a name may hold a comma


def parse_names(values: Sequence[str]) -> dict[int, str]:
    """Return the names of "0=Anna,3=Ben", by the number of the face.

    Raises:
        UsageError: a text does not have this form, or a face is named twice.
    """
    names: dict[int, str] = {}
    for part in (part for value in values for part in _NEXT_NAME.split(value.strip())):
        number, separator, name = part.partition("=")
        if not separator or not _is_id(number):
            raise UsageError(f"cannot read the name {part!r:.60}", where="--names", hint="such as --names 0=Anna,3=Ben")
        if int(number) in names:
            raise UsageError(f"face {int(number)} is named twice", where="--names")
        names[int(number)] = name
    return names


def parse_merge(values: Sequence[str]) -> list[list[int]]:
    """Return the groups of "0,7".

    Raises:
        UsageError: a text does not have this form.
    """
    for value in values:
        if not all(map(_is_id, value.split(","))):
            hint = "such as --merge 0,7; another group takes another --merge"
            raise UsageError(f"cannot read the group {value!r:.60}", where="--merge", hint=hint)
    return [[int(number) for number in value.split(",")] for value in values]


def _is_id(text: str) -> bool:
    return text.strip().isdecimal() and text.strip().isascii() and len(text.strip()) <= 9


class Who:
    """Who is who in the inputs of a command, checked before any work begins.

    Args:
        sources: of the inputs, as their predictions have them.
        names: of --names.
        merge: of --merge.
        people: of --people.
        beside: the people file that is read without being named, if it is there.

    Attributes:
        file: the people file that is read; None for none.
        failed: whether what is said of an input could not be true of its prediction.

    Raises:
        UsageError: something cannot be true of any video, or it is not clear which input is meant.
    """

    def __init__(
        self,
        sources: Sequence[str],
        *,
        names: Sequence[str] | None = None,
        merge: Sequence[str] | None = None,
        people: Path | None = None,
        beside: Path | None = None,
    ) -> None:
        self.failed = False
        self._given = check_people(People(parse_names(names or ()), parse_merge(merge or ()), "--names, --merge"))
        if self._given.ids and len(sources) > 1:
            what = "--names and --merge need a single input: every input counts its faces from 0"
            raise UsageError(what, where="--names, --merge", hint="write a file for --people")
        self.file = people or (beside if beside is not None and beside.is_file() else None)
        self._several = len(sources) > 1
        self._by_source: dict[str, list[People]] = {}
        if self.file:
            self._read(self.file, sources, named=people is not None)

    def speaks_of(self, source: str) -> bool:
        """Return whether the people file says something of an input."""
        return bool(self._by_source.get(source))

    def apply(self, prediction: Prediction) -> Prediction:
        """Return a prediction with its people named and merged.

        Raises:
            UsageError: as for `dfer.records.people.relabel`.
        """
        for said in [*self._by_source.get(prediction.source, ()), self._given]:
            known = said
            if self._several and said.where == str(self.file):  # of every input: not all have so many faces
                known = said.known_in(prediction)
                if missing := [number for number in said.ids if number not in known.ids]:
                    warn(f"{said.where}: {prediction.source} has no face {', '.join(map(str, missing))}")
            prediction = relabel(prediction, known)
        return prediction

    def apply_or_report(self, prediction: Prediction) -> Prediction:
        """Return a prediction as `apply` does, or as it is, with an error line: the answers are worth keeping."""
        try:
            return self.apply(prediction)
        except UsageError as error:
            print_error(str(error), hint="the answers are given without names and merges; `dfer relabel` adds them")
            self.failed = True
            return prediction

    def _read(self, path: Path, sources: Sequence[str], *, named: bool) -> None:
        file = PeopleFile(path)
        self._by_source = file.assign(list(dict.fromkeys(sources)))
        if not named:
            note(f"names and merges: {name_text(path)}")
        if unused := file.unused(list(dict.fromkeys(sources))):
            more = f" and {len(unused) - 3} more" if len(unused) > 3 else ""
            warn(f"{name_text(path)}: no input is called {', '.join(map(repr, unused[:3]))}{more}")
