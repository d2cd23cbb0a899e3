"""Find the files that lists name, and for those that are not there the nearest that are."""

from __future__ import annotations

import os
import re
from collections import Counter
from difflib import get_close_matches
from pathlib import Path

from dfer.datasets.media import has_images
from dfer.runtime.filenames import composed, is_visible

_COMPARED = 200  # missing paths whose names are compared with those on disk, since a comparison takes milliseconds
_MOST_NAMES = 5000  # in a folder, for such a comparison


class NearestPaths:
    """Looks for the paths of a list on disk.

    Args:
        root: the folder that paths are described relative to.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[Path, dict[str, str]] = {}
        self._cores: dict[Path, dict[str, str]] = {}
        self._left = _COMPARED

    def find(self, path: Path) -> Path | None:
        """Return a video, frame folder or image on disk, or None.

        Both forms of Unicode's letters are the same, and spaces around a name do not count, unless this makes two
        names the same.

        Raises:
            DataError: the disk fails.
        """
        if _is_source(path):
            return path
        existing = self._existing(path)
        return existing if existing is not None and _is_source(existing) else None

    def describe(self, path: Path) -> str:
        """Return a line on a path that is not there: the path itself, and the nearest that exists."""
        tried = self._relative(path)
        if os.path.isdir(path):  # noqa: PTH112
            return f"no images in the folder {tried}"
        folder, rest = path.parent, [path.name]
        while not os.path.isdir(folder) and folder != folder.parent:  # noqa: PTH112
            rest.append(folder.name)
            folder = folder.parent
        near = folder
        for name in reversed(rest):
            like = self._most_like(near, name)
            if like is None:
                break
            near = near / like
        if near == folder:
            return f"no {tried}; of this path, {self._relative(folder)} exists"
        return f"no {tried}; the nearest that exists is {self._relative(near)}"

    def _existing(self, path: Path) -> Path | None:
        """Return the path with the names as the disk has them, compared in composed form."""
        found = Path(path.anchor)
        for part in path.parts[1:] if path.anchor else path.parts:
            if part == "..":
                found = found / part
                continue
            name = part if os.path.exists(found / part) else self._names_in(found).get(_key(part))  # noqa: PTH110
            if name is None:
                return None
            found = found / name
        return found

    def _names_in(self, folder: Path) -> dict[str, str]:
        """Return the names in a folder by their composed form without spaces around it, where it is of one only."""
        if folder not in self._names:
            try:
                names = sorted(path.name for path in folder.iterdir() if is_visible(path.name))
            except OSError:
                names = []
            counts = Counter(map(_key, names))
            self._names[folder] = {_key(name): name for name in names if counts[_key(name)] == 1}
        return self._names[folder]

    def _most_like(self, folder: Path, wanted: str) -> str | None:
        names = self._names_in(folder)
        if folder not in self._cores:
            self._cores[folder] = {_core(name): name for name in reversed(names.values())}
        if (name := self._cores[folder].get(_core(wanted))) is not None:
            return name
        if self._left <= 0 or len(names) > _MOST_NAMES:
            return None
        self._left -= 1
        near = get_close_matches(composed(wanted), names, n=1)
        return names[near[0]] if near else None

    def _relative(self, path: Path) -> str:
        text = Path(os.path.relpath(path, self._root)).as_posix()
        return text if text != "." else "only the folder of the list"


def _is_source(path: Path) -> bool:
    # os.path takes a path that is too long or may not be read for one that is not there.
    return has_images(path) if os.path.isdir(path) else os.path.exists(path)  # noqa: PTH110, PTH112


def _key(name: str) -> str:
    return composed(name).strip()


def _core(name: str) -> str:
    """Return a name without what differs between copies: case, punctuation, suffix, leading zeros."""
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", composed(name))
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", re.sub(r"[\W_]", "", stem.casefold()))
