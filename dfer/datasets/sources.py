"""Choose the file or folder on disk that a clip is read from.

A data set's clips come as original videos, as frames, as aligned face crops, or in several of these forms. Each
reader defines the meaning of names on disk and ranks the forms; each clip is read from its best form. Forms that had
to be mixed or assumed are reported in a notice.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dfer.datasets.lists import children
from dfer.datasets.media import Media, Report, find_media


@dataclass(frozen=True)
class Form:
    """A form that a data set's clips come in.

    Attributes:
        name: a plural noun, such as "original videos".
        rank: the form with the lowest rank is preferred.
        aligned: the frames are face crops made by the data set's authors: no detection is needed.
        assumed: the form is a guess, since the folder has no official name; a notice says so.
    """

    name: str
    rank: int
    aligned: bool = False
    assumed: bool = False


@dataclass(frozen=True)
class Layout:
    """The layout of a data set on disk.

    Attributes:
        clip_of: returns the id of the clip that a media file or folder is, or None for anything else.
        form_of: returns the form of the clips in a folder, given its path from the root and whether they are videos.
        looked_for: the official paths of the clips, for the notice that there are none.
        clips_folder: the clips' official folder beside the lists, as a pattern for `children`.
        id_levels: number of folders above a clip that belong to its id rather than to the path of the collection.
    """

    clip_of: Callable[[Media], str | None]
    form_of: Callable[[str, bool], Form]
    looked_for: str
    clips_folder: str
    id_levels: int = 0


@dataclass(frozen=True)
class Source:
    """The file or folder chosen for a clip, its form, and the folder of its collection."""

    media: Media
    form: Form
    home: str


def find_sources(
    raw: Path, root: Path, clip_ids: Iterable[str], *, layout: Layout, report: Report
) -> tuple[dict[str, Source], list[str]]:
    """Find each clip of the lists on disk, in the best form available.

    Args:
        raw: the folder given by the user.
        root: the folder in which the lists were found: RAW or one below it.
        clip_ids: the clips of the lists; anything else on disk is ignored.
        layout: the meaning of names on disk.
        report: called with lines of progress.

    Returns:
        The source of each clip that is on disk, and notices.

    Raises:
        DataError: the disk fails during the walk.
    """
    root, prefix = _clips_root(raw, root, layout.clips_folder)
    report(f"looking for clips in {root}")
    media, notices = find_media(root, report)
    wanted = set(clip_ids)
    sources: dict[str, Source] = {}
    doubles: dict[str, tuple[Source, Source]] = {}
    for item in media:
        clip = layout.clip_of(item)
        if clip is None or clip not in wanted:
            continue
        home = _home((*prefix, *item.folders), layout.id_levels)
        new, old = Source(item, layout.form_of(home.lower(), item.is_video), home), sources.get(clip)
        if old is None or new.form.rank < old.form.rank:
            sources[clip] = new
            doubles.pop(clip, None)
        elif new.form.rank == old.form.rank:
            doubles.setdefault(clip, (old, new))
    if sources:
        notices += _form_notices(sources.values()) + _double_notices(list(doubles.values()), root)
    else:
        notices.append(f"none of the {len(wanted):,} clips is on disk: looked for {layout.looked_for} in {root}")
    report(f"found {len(sources):,} of {len(wanted):,} clips")
    return sources, notices


def clip_number(name: str) -> int | None:
    """Return a clip's name as a number, zero-padded or not; None for a name that is not a number."""
    return int(name) if name.isascii() and name.isdigit() and len(name) <= 9 else None


def _clips_root(raw: Path, root: Path, clips_folder: str) -> tuple[Path, tuple[str, ...]]:
    # If the lists are one level down and the clips are not, only the clips' own folder in RAW is searched, never all
    # of RAW: a folder beside it may be another data set with the same clip numbers.
    if root == raw or children(root, clips_folder, folders=True):
        return root, ()
    beside = children(raw, clips_folder, folders=True)
    return (beside[0], (beside[0].name,)) if beside else (root, ())


def _home(folders: Sequence[str], id_levels: int) -> str:
    # The parts of a split archive form one collection.
    collection = folders[: len(folders) - id_levels]
    return "/".join(name for name in collection if not _PART.fullmatch(name)) or "."


_PART = re.compile(r"part[ _-]?\d+", re.IGNORECASE)


def _form_notices(sources: Iterable[Source]) -> list[str]:
    counts = Counter((source.form, source.home) for source in sources)
    notices: list[str] = []
    homes: dict[str, list[str]] = defaultdict(list)
    totals: Counter[str] = Counter()
    for (form, home), count in counts.items():
        homes[form.name].append(home)
        totals[form.name] += count
        if form.assumed:
            then = "faces are not detected in it again" if form.aligned else "faces will be detected in it"
            place = "the raw folder itself" if home == "." else home
            notices.append(f"{place} is not an official folder name: it is assumed to contain {form.name}, so {then}")
    if len(homes) > 1:
        parts = [f"{count:,} {name} ({', '.join(homes[name])})" for name, count in totals.most_common()]
        notices.append(f"no single form contains all clips, so forms are mixed: {', '.join(parts)}")
    return notices


def _double_notices(doubles: Sequence[tuple[Source, Source]], root: Path) -> list[str]:
    if not doubles:
        return []
    kept, other = (source.media.path.relative_to(root) for source in doubles[0])
    return [f"clips found more than once: {len(doubles):,}, such as {kept} (used, the first by path) and {other}"]
