"""Images directly in the folders of classes: the frames of one clip per folder, or clips of one still each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dfer.datasets.folder.options import FolderOptions
from dfer.datasets.media import find_images
from dfer.runtime.filenames import are_counted

_SHARE = 0.8  # of the folders whose images are counted by their names, from which all are sequences


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
    counted = sum(are_counted([image.stem for image in folder.images]) for folder in several)
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
