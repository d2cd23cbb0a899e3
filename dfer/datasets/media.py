"""Find every video and frame folder of a raw data set in one walk.

People rename folders and unpack archives in parts, so nothing is looked up by an exact path; and a raw data set has
up to two million frames, perhaps on a network disk, so only the names of files are read.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dfer.datasets.lists import is_visible
from dfer.errors import DataError, os_reason
from dfer.records import IMAGE_SUFFIXES, VIDEO_SUFFIXES

# Called with one line of progress.
Report = Callable[[str], None]

_MAX_DEPTH = 8  # deeper than any layout
_REPORT_EVERY = 200_000


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

    videos: list[str]
    images: list[str]
    subfolders: list[str]
    links: frozenset[str]
    num_entries: int


def find_media(root: Path, report: Report) -> tuple[list[Media], list[str]]:
    """Find every video and frame folder under a folder.

    A folder is a frame folder if it contains images and no video. Links to folders are followed; loops are not.

    Args:
        root: the data set's root; images directly in it are not a clip.
        report: called with lines of progress.

    Returns:
        The media, sorted by path, and a notice for each folder without read permission.

    Raises:
        DataError: the disk fails during the walk (a lost network mount): its clips must not count as missing.
    """
    media: list[Media] = []
    notices: list[str] = []
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
        if (seen + listing.num_entries) // _REPORT_EVERY > seen // _REPORT_EVERY:
            report(f"looking for clips in {root}: {seen + listing.num_entries:,} files so far")
        seen += listing.num_entries
        media += [Media(Path(folder, name), parts, name[: name.rfind(".")], True) for name in listing.videos]
        if parts and listing.images and not listing.videos:
            media.append(Media(Path(folder), parts[:-1], parts[-1], False))
        for name in sorted(listing.subfolders):
            path = f"{folder}{os.sep}{name}"
            if len(parts) < _MAX_DEPTH and (name not in listing.links or _is_new(path, entered)):
                pending.append((path, (*parts, name)))
    media.sort(key=lambda item: (item.folders, item.name, item.path))
    return media, notices


def find_images(folder: Path) -> list[Path]:
    """List the images directly in a folder, sorted by name; none if it is not a folder.

    Raises:
        DataError: the disk fails, or the user has no permission to read the folder.
    """
    if not folder.is_dir():
        return []
    try:
        return [folder / name for name in sorted(_list_folder(os.fspath(folder)).images)]
    except PermissionError as error:
        raise DataError("no permission to read the folder", where=folder) from error


def _list_folder(folder: str) -> _Listing:
    videos, images, subfolders, links, num_entries = [], [], [], [], 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                num_entries += 1
                name = entry.name
                if not is_visible(name):
                    continue
                suffix = name[name.rfind(".") :].lower()
                if _is_folder(entry):
                    subfolders.append(name)
                    if entry.is_symlink():
                        links.append(name)
                elif suffix in IMAGE_SUFFIXES:
                    images.append(name)
                elif suffix in VIDEO_SUFFIXES:
                    videos.append(name)
    except PermissionError:
        raise
    except OSError as error:
        what = f"the disk failed: {os_reason(error)}"
        raise DataError(what, where=folder, hint="check the disk or the mount, then run again") from error
    return _Listing(videos, images, subfolders, frozenset(links), num_entries)


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
