"""Data sets without lists of clips: the names of files and folders say what each clip is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dfer.datasets.folder.folds import folds_by_subject, splits_by_fold
from dfer.datasets.lists import require_folder
from dfer.datasets.media import Media, Report, find_media
from dfer.datasets.merge import RawDataset
from dfer.datasets.sources import Form, Source, in_order, sort_sources, source_home
from dfer.errors import DataError
from dfer.records import ClipRecord, OtherForm, Split
from dfer.runtime.reading import open_regular

_SAMPLED = 20  # sources that are looked into
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class NamedClip:
    """A clip as its name says it.

    Attributes:
        clip_id: unique within the data set.
        emotion: the name of its label.
        subject: the person, if the name says so.
        split: if a folder says so.
        expected_at: the official path of a clip that is known to belong to the data set.
    """

    clip_id: str
    emotion: str
    subject: str | None = None
    split: Split | None = None
    expected_at: str = ""


@dataclass(frozen=True)
class Naming:
    """The names of a data set's files.

    Attributes:
        title: the data set's name for messages.
        clip_of: returns the clip that a video or frame folder is; None for anything else.
        form_of: returns its form.
        looked_for: the official paths of the clips, for the error that there are none.
    """

    title: str
    clip_of: Callable[[Media], NamedClip | None]
    form_of: Callable[[Media], Form]
    looked_for: str


@dataclass(frozen=True)
class NamedClips:
    """The clips found on disk.

    Attributes:
        clips: by id, in the order of the ids.
        forms: clip id -> its sources, the best form first.
        others: videos and frame folders whose names are not those of the data set.
        notices: what the user must know.
    """

    clips: dict[str, NamedClip]
    forms: dict[str, list[Source]]
    others: list[Media]
    notices: list[str]


def find_named(raw: Path, report: Report, naming: Naming) -> NamedClips:
    """Find the clips of a data set by their names, wherever they lie under a folder.

    Args:
        raw: the folder given by the user.
        report: called with lines of progress.
        naming: the meaning of the names.

    Raises:
        DataError: `raw` is no folder or has none of the clips, all of them are pointers, or the disk fails.
    """
    hint = f"RAW is the folder that contains the unpacked data set: {naming.looked_for}"
    require_folder(raw, looked_for=naming.looked_for, hint=hint)
    report(f"looking for clips in {raw}")
    media, notices = find_media(raw, report)
    clips: dict[str, NamedClip] = {}
    sources: list[tuple[str, Source]] = []
    others: list[Media] = []
    for item in media:
        clip = naming.clip_of(item)
        if clip is None:
            others.append(item)
            continue
        clips.setdefault(clip.clip_id, clip)
        sources.append((clip.clip_id, Source(item, naming.form_of(item), source_home(item.folders))))
    if not clips:
        found = f"; {notices[0]}" if notices else ""
        what = f"no clips of {naming.title}: looked for {naming.looked_for}{found}"
        raise DataError(what, where=raw, hint=f"{hint}; archives must be unpacked first")
    forms, form_notices = sort_sources(sources, raw)
    notices += [*form_notices, *_pointer_notices([of[0].media for of in forms.values()], raw)]
    report(f"found {len(clips):,} clips")
    return NamedClips({name: clips[name] for name in sorted(clips, key=in_order)}, forms, others, notices)


def stray_notices(others: Sequence[Media], title: str, raw: Path) -> list[str]:
    """Return a notice of videos and frame folders that are left out for their names."""
    if not others:
        return []
    example = others[0].path.relative_to(raw).as_posix()
    return [f"left out, since their names are not those of {title}: {len(others):,}, such as {example}"]


def named_records(
    clips: Iterable[NamedClip],
    forms: Mapping[str, Sequence[Source]],
    labels: Sequence[str],
    folds: Callable[[NamedClip], dict[int, Split]],
) -> list[ClipRecord]:
    """Return the records of clips, on disk or not.

    Args:
        clips: the clips.
        forms: of `NamedClips`.
        labels: the emotions in label order.
        folds: returns the folds of a clip.
    """
    records = []
    for clip in clips:
        sources = forms.get(clip.clip_id, [])
        records.append(
            ClipRecord(
                clip_id=clip.clip_id,
                label=list(labels).index(clip.emotion),
                label_name=clip.emotion,
                source=sources[0].media.path if sources else None,
                folds=folds(clip),
                aligned=sources[0].form.aligned if sources else False,
                subject=clip.subject,
                missing="" if sources else f"no {clip.expected_at} in this or another form",
                others=tuple(OtherForm(source.media.path, source.form.aligned) for source in sources[1:]),
            )
        )
    return records


def folds_of_subjects(clips: Sequence[tuple[str, str]]) -> dict[str, dict[int, Split]]:
    """Make five subject-disjoint folds of a whole data set, the same whatever part of it is on disk.

    Args:
        clips: subject and label of each clip of the whole data set.

    Returns:
        The folds of each subject.
    """
    subjects, labels = zip(*clips, strict=True)
    return dict(zip(subjects, splits_by_fold(folds_by_subject(subjects, labels)), strict=True))


def dataset_in_subject_folds(
    name: str,
    naming: Naming,
    raw: Path,
    labels: Sequence[str],
    found: NamedClips,
    folds: Mapping[str, dict[int, Split]],
    *,
    clips: Iterable[NamedClip] | None = None,
    notices: Iterable[str] = (),
) -> RawDataset:
    """Return a data set without an official split, in folds that were made here.

    Args:
        name: its key in `DATASETS`.
        naming: as for `find_named`.
        raw: the folder given by the user.
        labels: the emotions in label order.
        found: of `find_named`.
        folds: of `folds_of_subjects`.
        clips: all clips of the data set, on disk or not; None for those on disk.
        notices: further ones.
    """
    records = named_records(
        found.clips.values() if clips is None else clips, found.forms, labels, lambda clip: folds[clip.subject or ""]
    )
    number = max(max(of) for of in folds.values())
    made = f"{naming.title} has no official split: {number} folds, keeping each of its {len(folds)} subjects in one"
    return RawDataset(
        name,
        tuple(labels),
        records,
        number,
        [*found.notices, *stray_notices(found.others, naming.title, raw), *notices, made],
    )


def _pointer_notices(media: Sequence[Media], raw: Path) -> list[str]:
    """Return a notice if some videos are pointers of Git LFS, as a ZIP or a clone without it has them.

    Raises:
        DataError: all are.
    """
    videos = [item.path for item in media if item.is_video]
    sample = videos[:: max(1, len(videos) // _SAMPLED)]
    pointers = [path for path in sample if _is_pointer(path)]
    if not pointers:
        return []
    what = f"are pointers of Git LFS, not videos, such as {pointers[0].relative_to(raw).as_posix()}"
    hint = "fetch the videos with `git lfs pull` in the clone of the data set"
    if len(pointers) == len(sample):
        raise DataError(f"the files {what}", where=raw, hint=hint)
    return [f"some files {what}: {hint}"]


def _is_pointer(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            return file.read(len(_POINTER)) == _POINTER
    except OSError:
        return False
