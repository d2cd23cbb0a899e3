"""Find every video and frame folder of a raw data set in one walk.

People rename folders and unpack archives in parts, so nothing is looked up by an exact path; and a raw data set has
up to two million frames, perhaps on a network disk, so only the names of files are read. What dfer itself has written
is not read as data, and what is left out is counted.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dfer.datasets.outputs import is_report, is_run, is_store
from dfer.errors import DataError, os_reason
from dfer.records import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from dfer.runtime.filenames import is_visible, sort_frames

# Called with one line of progress.
Report = Callable[[str], None]

_MAX_DEPTH = 8  # deeper than any layout
_REPORT_EVERY = 200_000
_SHOWN_SUFFIXES = 5
# Lists and documents are no data, so nobody misses them among the clips.
_DOCUMENTS = frozenset({
    ".csv", ".docx", ".htm", ".html", ".ini", ".json", ".log", ".md", ".pdf", ".py", ".rst", ".sh", ".tsv", ".txt",
    ".xls", ".xlsx", ".xml", ".yaml", ".yml",
})  # fmt: skip
_DOCUMENT_NAMES = frozenset({"copying", "licence", "license", "readme"})


@dataclass(frozen=True)
class Media:
    """A video or a frame folder on disk.

    Attributes:
        path: the video file, or the folder of frames.
        folders: the names of its parent folders, from the data set's root down.
        name: the video's name without its suffix, or the frame folder's name.
        is_video: whether it is a video file rather than a folder of frames.
    """

    path: Path
    folders: tuple[str, ...]
    name: str
    is_video: bool


@dataclass(frozen=True)
class _Listing:
    """The names in a folder by kind, and its total number of entries."""

    videos: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    subfolders: list[str] = field(default_factory=list)
    links: set[str] = field(default_factory=set)
    others: list[str] = field(default_factory=list)
    num_entries: int = 0


@dataclass
class _LeftOut:
    """Counts what a walk leaves out, each kind with an example.

    Attributes:
        root: the folder of the walk; examples are relative to it.
        suffixes: number of files that are neither videos nor images, by suffix.
        others: number of other things, by their description.
        examples: a path for each of these.
    """

    root: Path
    suffixes: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Path] = field(default_factory=dict)

    def add(self, what: str, path: Path) -> None:
        """Count a file or folder under the words for its kind."""
        self.others[what] += 1
        self.examples.setdefault(what, path)

    def add_files(self, folder: Path, names: list[str]) -> None:
        """Count files that are neither videos nor images, unless they are lists or documents."""
        for name in sorted(names):
            stem, suffix = os.path.splitext(name.lower())  # noqa: PTH122 - a million Paths take seconds
            if suffix not in _DOCUMENTS and stem not in _DOCUMENT_NAMES:
                kind = suffix or "without a suffix"
                self.suffixes[kind] += 1
                self.examples.setdefault(kind, folder / name)

    def notices(self) -> list[str]:
        """Return a line for each kind."""
        lines = [f"{what}: {count:,}, such as {self._example(what)}" for what, count in self.others.items()]
        if self.suffixes:
            most = self.suffixes.most_common(_SHOWN_SUFFIXES)
            parts = [f"{count:,} {kind} (such as {self._example(kind)})" for kind, count in most]
            more = len(self.suffixes) - len(most)
            parts += [f"{more} more kinds"] if more else []
            lines.append(
                f"files left out, since they are neither videos nor images by their suffix: {', '.join(parts)}"
            )
        return lines

    def _example(self, kind: str) -> str:
        return self.examples[kind].relative_to(self.root).as_posix()


def find_media(root: Path, report: Report) -> tuple[list[Media], list[str]]:
    """Find every video and frame folder under a folder.

    A folder is a frame folder if it contains images and no video. Links to folders are followed; loops are not. Stores
    and runs of dfer, hidden files and leftovers of network drives and archivers are no data.

    Args:
        root: the data set's root; images directly in it are not a clip.
        report: called with lines of progress.

    Returns:
        The media, sorted by path, and notices of folders without read permission and of what was left out.

    Raises:
        DataError: the disk fails during the walk (a lost network mount): its clips must not count as missing.
    """
    media: list[Media] = []
    notices: list[str] = []
    left_out = _LeftOut(root)
    entered = {os.path.realpath(root)}
    pending: list[tuple[str, tuple[str, ...]]] = [(os.fspath(root), ())]
    seen = 0
    while pending:
        folder, parts = pending.pop()
        try:
            listing = _list_folder(folder)
        except PermissionError:
            notices.append(f"no permission to read {folder}: its clips count as missing")
            continue
        if what := _own_output(Path(folder), listing):
            left_out.add(what, Path(folder))
            continue
        if (seen + listing.num_entries) // _REPORT_EVERY > seen // _REPORT_EVERY:
            report(f"looking for clips in {root}: {seen + listing.num_entries:,} files so far")
        seen += listing.num_entries
        media += _media_in(folder, parts, listing, left_out)
        for name in sorted(listing.subfolders):
            path = f"{folder}{os.sep}{name}"
            if len(parts) >= _MAX_DEPTH:
                left_out.add(f"folders more than {_MAX_DEPTH} levels deep, left out", Path(path))
            elif name not in listing.links or _is_new(path, entered):
                pending.append((path, (*parts, name)))
    media.sort(key=lambda item: (item.folders, item.name, item.path))
    return media, [*notices, *left_out.notices()]


def find_images(folder: Path) -> list[Path]:
    """List the images directly in a folder, in the order of frames; none if it is not a folder.

    Raises:
        DataError: the disk fails, or the user has no permission to read the folder.
    """
    return sort_frames(folder / name for name in _names_of_images(folder))


def has_images(folder: Path) -> bool:
    """Return whether there are images directly in a folder; not if it is no folder.

    Raises:
        DataError: as for `find_images`.
    """
    return bool(_names_of_images(folder))


def _names_of_images(folder: Path) -> Sequence[str]:
    if not folder.is_dir():
        return ()
    try:
        return _list_folder(os.fspath(folder)).images
    except PermissionError as error:
        raise DataError("no permission to read the folder", where=folder) from error


def _media_in(folder: str, parts: tuple[str, ...], listing: _Listing, left_out: _LeftOut) -> list[Media]:
    left_out.add_files(Path(folder), listing.others)
    if listing.videos:
        for name in sorted(listing.images):
            left_out.add("images beside videos, left out", Path(folder, name))
        return [Media(Path(folder, name), parts, name[: name.rfind(".")], True) for name in listing.videos]
    return [Media(Path(folder), parts[:-1], parts[-1], False)] if parts and listing.images else []


def _own_output(folder: Path, listing: _Listing) -> str | None:
    if "dataset.json" in listing.others and is_store(folder):
        return "stores of dfer, which are never read as data"
    if "run.json" in listing.others and is_run(folder):
        return "runs of dfer, which are never read as data"
    if "index.html" in listing.others and is_report(folder):
        return "reports of dfer, which are never read as data"
    return None


def _list_folder(folder: str) -> _Listing:
    listing = _Listing()
    num_entries = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                num_entries += 1
                if is_visible(entry.name):
                    _sort_in(entry, listing)
    except PermissionError:
        raise
    except OSError as error:
        what = f"the disk failed: {os_reason(error)}"
        raise DataError(what, where=folder, hint="check the disk or the mount, then run again") from error
    return replace(listing, num_entries=num_entries)


def _sort_in(entry: os.DirEntry[str], listing: _Listing) -> None:
    name = entry.name
    suffix = name[name.rfind(".") :].lower()
    if _is_folder(entry):
        listing.subfolders.append(name)
        if entry.is_symlink():
            listing.links.add(name)
    elif suffix in IMAGE_SUFFIXES:
        listing.images.append(name)
    elif suffix in VIDEO_SUFFIXES:
        listing.videos.append(name)
    elif entry.is_file(follow_symlinks=False):
        listing.others.append(name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EACCES):  # a broken link
            return False
        raise


def _is_new(link: str, entered: set[str]) -> bool:
    """Return whether a link leads to a folder that was not entered before and does not contain the link."""
    target = os.path.realpath(link)
    above = os.path.realpath(os.path.dirname(link))  # noqa: PTH120 - Path.resolve raises on loops
    if target in entered or f"{above}{os.sep}".startswith(f"{target}{os.sep}"):
        return False
    entered.add(target)
    return True
