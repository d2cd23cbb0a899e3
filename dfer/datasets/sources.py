"""Choose the file or folder on disk that a clip is read from.

A data set's clips come as original videos, as frames, as aligned face crops, or in several of these forms. Each
reader defines the meaning of names on disk and ranks the forms; each clip is read from its best form. Forms that had
to be mixed or assumed are reported in a notice.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
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
        paths_of: returns the official paths of a clip, for the reason why it is missing.
        key: returns the form of an id in which names on disk are compared with it.
        id_levels: number of folders above a clip that belong to its id rather than to the path of the collection.
    """

    clip_of: Callable[[Media], str | None]
    form_of: Callable[[str, bool], Form]
    looked_for: str
    clips_folder: str
    paths_of: Callable[[str], Sequence[str]]
    key: Callable[[str], str] = str
    id_levels: int = 0


@dataclass(frozen=True)
class Source:
    """The file or folder chosen for a clip, its form, and the folder of its collection."""

    media: Media
    form: Form
    home: str


@dataclass(frozen=True)
class FoundSources:
    """The sources of clips.

    Attributes:
        forms: clip id -> its sources, the best form first; no clip without any.
        missing: clip id -> the paths that were tried and the nearest clip on disk.
        notices: what the user must know of the choice.
    """

    forms: dict[str, list[Source]]
    missing: dict[str, str]
    notices: list[str]


def find_sources(raw: Path, root: Path, clip_ids: Iterable[str], *, layout: Layout, report: Report) -> FoundSources:
    """Find each clip of the lists on disk, in all its forms.

    Args:
        raw: the folder given by the user.
        root: the folder in which the lists were found: RAW or one below it.
        clip_ids: the clips of the lists; anything else on disk is ignored.
        layout: the meaning of names on disk.
        report: called with lines of progress.

    Returns:
        The sources of the clips that are on disk, and notices.

    Raises:
        DataError: the disk fails during the walk.
    """
    root, prefix = _clips_root(raw, root, layout.clips_folder)
    report(f"looking for clips in {root}")
    media, notices = find_media(root, report)
    wanted = {layout.key(clip_id): clip_id for clip_id in clip_ids}
    found: list[tuple[str, Source]] = []
    for item in media:
        named = layout.clip_of(item)
        clip = None if named is None else wanted.get(layout.key(named))
        if clip is not None:
            home = source_home((*prefix, *item.folders), layout.id_levels)
            found.append((clip, Source(item, layout.form_of(home.lower(), item.is_video), home)))
    forms, form_notices = sort_sources(found, root)
    if forms:
        notices += form_notices
    else:
        notices.append(f"none of the {len(wanted):,} clips is on disk: looked for {layout.looked_for} in {root}")
    report(f"found {len(forms):,} of {len(wanted):,} clips")
    return FoundSources(forms, _describe_missing(wanted.values(), forms, layout, raw), notices)


def sort_sources(found: Iterable[tuple[str, Source]], root: Path) -> tuple[dict[str, list[Source]], list[str]]:
    """Sort the sources of each clip by their form.

    Args:
        found: clip ids and sources, sorted by path: of several of one form, the first is taken.
        root: the folder that paths are described relative to.

    Returns:
        Clip id -> its sources, the best form first; and notices of forms that are mixed or assumed, and of doubles.
    """
    by_rank: dict[str, dict[int, Source]] = defaultdict(dict)
    doubles: dict[tuple[str, int], tuple[Source, Source]] = {}
    for clip, new in found:
        old = by_rank[clip].setdefault(new.form.rank, new)
        if old is not new:
            doubles.setdefault((clip, new.form.rank), (old, new))
    forms = {clip: [of_rank[rank] for rank in sorted(of_rank)] for clip, of_rank in by_rank.items()}
    used = [pair for (clip, rank), pair in doubles.items() if forms[clip][0].form.rank == rank]
    return forms, _form_notices([sources[0] for sources in forms.values()]) + _double_notices(used, root)


def _describe_missing(
    clip_ids: Iterable[str], forms: Mapping[str, Sequence[Source]], layout: Layout, raw: Path
) -> dict[str, str]:
    """Return for each clip that is not on disk the paths that were tried, and its nearest neighbour that is."""
    on_disk = sorted(forms, key=in_order)
    keys = list(map(in_order, on_disk))
    lines = {}
    for clip_id in clip_ids:
        if clip_id in forms:
            continue
        tried = f"no {' or '.join(layout.paths_of(clip_id))}"
        if not on_disk:
            lines[clip_id] = f"{tried}, nor any other clip of the lists"
            continue
        place = min(bisect(keys, in_order(clip_id)), len(on_disk) - 1)
        near = forms[on_disk[place]][0].media.path.relative_to(raw).as_posix()
        lines[clip_id] = f"{tried} in this or another form; the nearest clip that exists is {near}"
    return lines


def in_order(clip_id: str) -> str:
    """Return a key that sorts ids by the numbers in them."""
    return re.sub(r"[0-9]+", lambda match: match[0].zfill(9), clip_id)


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


def source_home(folders: Sequence[str], id_levels: int = 0) -> str:
    """Return the path of the folder of a collection, given the folders above a clip from the root down."""
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
