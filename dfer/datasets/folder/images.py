"""Images directly in the folders of classes: the frames of one clip per folder, or clips of one still each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import gcd
from pathlib import Path

from dfer.datasets.folder.options import FolderOptions
from dfer.datasets.media import find_images

_SHARE = 0.8  # of the folders whose images are counted by their names, from which all are sequences
_TIME = re.compile(r"(|.*[^A-Za-z0-9.])([0-9]+\.[0-9]+)([^0-9]*)")
_LAST_NUMBER = re.compile(r"(.*?)([0-9]+)([^0-9]*)")


@dataclass(frozen=True)
class ClassFolder:
    """A folder of a class with images directly in it."""

    path: Path

    @cached_property
    def images(self) -> list[Path]:
        """The images, in the order of frames."""
        return find_images(self.path)


def are_sequences(
    folders: Sequence[ClassFolder], options: FolderOptions, *, below_subjects: bool
) -> tuple[bool, str | None]:
    """Decide whether images in the folders of classes are the frames of one clip per folder.

    They are if the folders lie in those of subjects, as in Oulu-CASIA (P001/Anger/000.jpeg), and the images' names
    count them; images in folders of classes by themselves are stills.

    Args:
        folders: the folders.
        options: the user's decision.
        below_subjects: whether the folders lie in those of subjects.

    Returns:
        The decision, and the notice that says so; None if the user has decided.
    """
    if options.images != "auto":
        return options.images == "sequence", None
    several = [folder for folder in folders if len(folder.images) > 1]
    counted = sum(_is_counted([image.stem for image in folder.images]) for folder in several)
    where = "/".join(folders[0].path.parts[-2:] if below_subjects else folders[0].path.parts[-1:])
    if below_subjects and several and counted >= _SHARE * len(several):
        return True, (
            f"each folder of a class is one clip, since the names of its images count them: {len(folders):,} folders, "
            f"such as {where}; --images still makes each image a clip"
        )
    number = sum(len(folder.images) for folder in folders)
    return False, (
        f"each image directly in the folder of a class is a clip of one still: {number:,} images, such as in {where}; "
        f"--images sequence makes each folder one clip of all its images"
    )


def _is_counted(stems: Sequence[str]) -> bool:
    """Return whether names differ in one number only, which counts with few gaps or is a time."""
    if _differ_in_number(list(map(_TIME.fullmatch, stems))):
        return True
    matches = list(map(_LAST_NUMBER.fullmatch, stems))
    if not _differ_in_number(matches):
        return False
    numbers = sorted(int(match[2]) for match in matches if match)
    step = gcd(*(after - before for before, after in pairwise(numbers)))
    return step > 0 and (numbers[-1] - numbers[0]) // step <= 2 * len(numbers)


def _differ_in_number(matches: Sequence[re.Match[str] | None]) -> bool:
    return all(matches) and len({(match[1], match[3]) for match in matches if match}) == 1
