"""The inputs of a prediction: what a user named becomes recordings, each with its own answer.

A folder holds recordings, or the frames of one, or is an album of pictures; a pattern stands for the files that match.
Folders are searched as raw data sets are: hidden files, leftovers, stores and runs of dfer are no recordings.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from PIL import Image

from dfer.datasets.media import Media, find_images, find_media
from dfer.datasets.outputs import store_around
from dfer.errors import DataError, UsageError
from dfer.names import name_text
from dfer.records import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from dfer.runtime.filenames import are_counted, is_visible
from dfer.runtime.files import resolved
from dfer.runtime.formatting import pluralize
from dfer.runtime.reading import open_regular
from dfer.video.remote import check_url, public_url, url_name, url_scheme
from dfer.video.spool import STDIN

AUTO, SEQUENCE, STILL = "auto", "sequence", "still"  # readings of the images in a folder

_TAKEN_BY_CAMERA = (0x9003, 0x0132)  # EXIF: DateTimeOriginal, DateTime
_EXIF = 0x8769
_LOOKED_AT = 8  # images of a folder, spread over it
_EXAMPLES = 3
_PATTERN = "*?["


@dataclass(frozen=True)
class Input:
    """One recording.

    Attributes:
        path: the video file, frame folder or image.
        name: as answers and messages name it; relative to the folder if one was all that the user named.
        stem: stands for {name} in the names of outputs; with its folders if it was found in one.
        url: where it is fetched from, with all that may be secret in it; "" for a local file. `path` is then its name.
    """

    path: Path
    name: str
    stem: str
    url: str = ""

    @property
    def is_stdin(self) -> bool:
        """True if it comes on standard input."""
        return self.name == STDIN

    @property
    def is_local(self) -> bool:
        """True if it is a file or folder of the user."""
        return not self.url and not self.is_stdin

    @classmethod
    def of(cls, path: str | Path) -> Input:
        """Return a recording that the user named itself: by its path, by a URL, or "-" for standard input.

        Raises:
            UsageError: the URL cannot be fetched.
        """
        if str(path) == STDIN:
            return cls(Path("stdin"), STDIN, "stdin")
        if url_scheme(str(path)) and not os.path.lexists(path):
            check_url(str(path))
            named = Path(url_name(str(path)))
            return cls(named, name_text(public_url(str(path))), named.stem, str(path))
        return cls(Path(path), name_text(Path(path)), Path(path).stem)


@dataclass
class _Found:
    """The inputs so far, each file once, and what the user should know of the choice."""

    images: str
    relative: bool
    inputs: list[Input] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    known: set[Path] = field(default_factory=set)

    def add(self, found: Input, *, again: bool = False) -> None:
        """Add an input, unless it is known."""
        place = resolved(found.path) if found.is_local else Path(found.url or found.name)
        if again or place not in self.known:
            self.inputs.append(found)
        self.known.add(place)


def find_inputs(given: Sequence[str | Path], *, images: str = AUTO) -> tuple[list[Input], list[str]]:
    """Return the recordings that files, folders and patterns stand for.

    A file is one, whatever its suffix, and named as often as the user does; so is a path where nothing is, which fails
    when it is opened. A folder with videos or folders of images in it stands for all of these, at any depth.

    Args:
        given: as the user typed them. A pattern (*, ?, [...], ** for folders at any depth) counts as one where no file
            has this name.
        images: "sequence": the images in a folder are the frames of one video; "still": a picture each; "auto":
            pictures where their names do not count them, their sizes differ, or a camera has dated them.

    Returns:
        The inputs, and notices of what was decided and left out.

    Raises:
        UsageError: a folder is a store, which has no recordings; or a URL cannot be fetched.
        DataError: the disk fails during the search.
    """
    found = _Found(images, relative=len(given) == 1)
    for text in map(str, given):
        if _is_pattern(text):
            _add_matches(text, found)
        elif os.path.isdir(text) and text != STDIN:  # noqa: PTH112 - a name may be one that no path can have
            _add_folder(text, found)
        else:
            found.add(Input.of(text), again=True)
    return found.inputs, found.notices


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in _PATTERN) and not url_scheme(text) and not os.path.lexists(text)


def _add_matches(pattern: str, found: _Found) -> None:
    """Add the recordings that match a pattern; if there are none, the pattern itself, as a file that is missing."""
    matched, others = False, []
    for match in sorted(filter(_is_wanted, glob.glob(pattern, recursive=True))):  # noqa: PTH207 - keeps "./"
        if os.path.isdir(match):  # noqa: PTH112
            matched = True
            if "**" not in pattern:  # whose matches include what is in the folder
                _add_folder(match, found, prefix=match)
        elif Path(match).suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
            matched = True
            found.add(Input.of(match))
        else:
            others.append(match)
    if others:
        found.notices.append(
            f"{pluralize(len(others), 'file')} that match {pattern} left out, since they are neither videos nor images "
            f"by their suffix, such as {others[0]}"
        )
    if not matched:
        found.add(Input.of(pattern), again=True)


def _is_wanted(match: str) -> bool:
    return is_visible(Path(match).name)


def _add_folder(text: str, found: _Found, *, prefix: str | None = None) -> None:
    """Add the recordings in a folder; if there are none, the folder itself, which fails when it is opened.

    Args:
        text: the folder, as typed.
        found: gets them.
        prefix: goes before the names of the recordings; by default the folder, unless it is the only input.

    Raises:
        UsageError: it is a store.
        DataError: the disk fails.
    """
    root = Path(text)
    if store_around(root) is not None:
        what = "this is a store that dfer preprocess has written, not recordings"
        raise UsageError(what, where=root, hint="give the folder of the recordings, or train or evaluate on the store")
    media, notices = find_media(root, lambda _line: None)
    found.notices += [f"{text}: {notice}" for notice in notices]
    pictures = [] if any(item.is_video and not item.folders for item in media) else _pictures_in(root)
    inside = Path() if prefix is None and found.relative else Path(prefix or text)
    if pictures:
        _add_images(pictures, Input.of(text), inside, found)
    elif not media:
        found.add(Input.of(text), again=True)
    for item in media:
        _add_media(item, root, inside, found)


def _pictures_in(root: Path) -> list[Path]:
    """Return the images directly in a folder; none if it may not be read, which opening it will tell."""
    try:
        return find_images(root)
    except DataError:
        return []


def _add_media(item: Media, root: Path, inside: Path, found: _Found) -> None:
    relative = item.path.relative_to(root)
    named = Input(item.path, name_text(inside / relative), str(relative.with_name(item.name)))
    if item.is_video:
        found.add(named)
    else:
        _add_images(find_images(item.path), named, inside / relative, found)


def _add_images(images: Sequence[Path], named: Input, inside: Path, found: _Found) -> None:
    """Add a folder of images.

    Args:
        images: in order.
        named: the folder, for the frames of one recording.
        inside: goes before the names of pictures.
        found: gets them.
    """
    if found.images == SEQUENCE or (len(images) == 1 and found.images == AUTO):
        found.add(named)
        return
    why = "--images still" if found.images == STILL else _why_album(images)
    if why is None:
        found.add(named)
        return
    for image in images:
        found.add(Input(image, name_text(inside / image.name), str(Path(named.stem, image.stem))))
    if found.images == AUTO:
        found.notices.append(
            f"{named.name}: {pluralize(len(images), 'picture')} of an album, since {why}; "
            "--images sequence makes them the frames of one video"
        )


def _why_album(images: Sequence[Path]) -> str | None:
    """Return why the images of a folder are pictures by themselves, or None if they are the frames of one video."""
    if not are_counted([image.stem for image in images]):
        return "their names do not count them"
    looked_at = images[:: max(1, len(images) // _LOOKED_AT)][:_LOOKED_AT]
    facts = [fact for fact in map(_facts, looked_at) if fact is not None]
    if any(one[0] != two[0] for one, two in pairwise(facts)):
        return "their sizes differ"
    return "a camera has dated them" if facts and all(dated for _, dated in facts) else None


def _facts(image: Path) -> tuple[tuple[int, int], bool] | None:
    """Return the size of an image and whether a camera has dated it, by its header; None if that cannot be read."""
    try:
        with open_regular(image) as file, Image.open(file) as opened:
            exif = opened.getexif()
            tags = {*exif, *exif.get_ifd(_EXIF)}
            return opened.size, any(tag in tags for tag in _TAKEN_BY_CAMERA)
    except Exception:  # a decoder's errors are of many kinds, and opening the image will tell
        return None
