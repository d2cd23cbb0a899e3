"""The people file: names and merges by the source of a video, as YAML; docs/formats.md describes it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, ClassVar

from pydantic import ConfigDict

from dfer.errors import UsageError
from dfer.names import name_text
from dfer.records.people import People, check_people
from dfer.runtime.plain_yaml import read_mapping
from dfer.settings import STRICT, read_record

SUFFIX = ".people.yaml"
_KEYS = ("names", "merge")
_HINT = "such as {names: {0: Anna, 3: Ben}, merge: [[0, 7]]}"


@dataclass(frozen=True)
class _Section:
    """The names and groups of one video, as they are written."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    names: dict[int, str] = field(default_factory=dict)
    merge: list[list[int]] = field(default_factory=list)


def people_file_beside(output: Path) -> Path:
    """Return where the people file of a JSON file lies: `out.people.yaml` beside `out.json`."""
    return output.parent / f"{output.stem}{SUFFIX}"  # `with_suffix` refuses "." and ".."


class PeopleFile:
    """A people file.

    Args:
        path: YAML; under the source of a video or its file name, `names` and `merge`. Without a source, they are
            those of every video.

    Raises:
        UsageError: it cannot be read, or is no people file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        values = read_mapping(path, "people file", hint=_HINT)
        general = {key: value for key, value in values.items() if key in _KEYS}
        self._general = self._read(general, "") if general else None
        self._sections = {str(key): self._read(value, str(key)) for key, value in values.items() if key not in _KEYS}

    def assign(self, sources: Sequence[str]) -> dict[str, list[People]]:
        """Return who is who in each video: what is said of every one, then what is said of it.

        Args:
            sources: of the videos, as their predictions have them.

        Raises:
            UsageError: a name means several videos, a video is meant twice, or no section means any of them.
        """
        found = {source: [self._general] if self._general else [] for source in sources}
        meant_by: dict[str, str] = {}
        for key, people in self._sections.items():
            source = self._find(key, list(found))
            if source is None:
                continue
            if source in meant_by:
                what = f"{meant_by[source]!r} and {key!r} are the same video"
                raise UsageError(what, where=self.path, hint="write one section for it")
            meant_by[source] = key
            found[source].append(people)
        if self._sections and not meant_by and not self._general:
            raise self._no_match(found)
        return found

    def unused(self, sources: Sequence[str]) -> list[str]:
        """Return the names of sections that mean none of the videos."""
        return [key for key in self._sections if self._find(key, sources) is None]

    def _read(self, values: Any, source: str) -> People:
        where = f"{self.path}: {name_text(source)}" if source else str(self.path)
        what = "these are no names and merges"
        if not isinstance(values, Mapping):
            raise UsageError(f"{what}: {values!r:.60}", where=where, hint=_HINT)
        section = read_record(_Section, dict(values), what=what, where=where, error=UsageError, hint=_HINT)
        return check_people(People(section.names, section.merge, where))

    def _find(self, key: str, sources: Sequence[str]) -> str | None:
        if key in sources:
            return key
        named = [source for source in sources if PurePath(source).name == key]
        if len(named) > 1:
            what = f"{key!r} is the name of {len(named)} inputs"
            raise UsageError(what, where=self.path, hint=f"write the source as it stands in the JSON: {named[0]}")
        return named[0] if named else None

    def _no_match(self, sources: Mapping[str, object]) -> UsageError:
        names = [PurePath(source).name for source in sources]
        keys = list(self._sections)
        near = [(key, found[0]) for key in keys if (found := difflib.get_close_matches(key, [*names, *sources], n=1))]
        what = f"no input is called {keys[0]!r}" if len(keys) == 1 else f"none of its {len(keys)} sections is an input"
        hint = f"did you mean {near[0][1]!r}?" if near else f"inputs: {', '.join(names[:5])}"
        return UsageError(what, where=self.path, hint=hint)
