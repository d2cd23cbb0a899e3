"""Classes as written in folders and tables -> the labels in order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from dfer.datasets.folder.options import FolderOptions, class_key, require_used
from dfer.labels import DFEW_LABELS, MAFW_LABELS


def order_labels(written: Sequence[str], options: FolderOptions) -> tuple[dict[str, str], tuple[str, ...], list[str]]:
    """Order the classes: known emotions as in DFEW and MAFW, or else all in alphabetical order.

    Spellings that differ in case, spaces or the form of Unicode are one class, and so are names of one emotion.

    Args:
        written: the class of each clip, as written.
        options: names for classes.

    Returns:
        The label of each class as written, the labels in order, and notices.

    Raises:
        UsageError: a class that was given a name does not exist.
    """
    counts = Counter(written)
    require_used(options.names, counts)
    emotions = {name: options.emotion_of(name) for name in sorted(counts)}
    spellings: dict[str, list[str]] = defaultdict(list)
    for name, emotion in emotions.items():
        spellings[emotion or class_key(options.name_of(name))].append(name)
    all_known = all(emotions.values())
    names: dict[str, str] = {}
    notices = []
    for several in spellings.values():
        alike = len({options.name_of(name) for name in several}) == 1
        emotion = emotions[several[0]]
        # One spelling keeps its look among names that are no emotions.
        usual = options.name_of(max(several, key=lambda name: (counts[name], name)))
        label = emotion if emotion and (all_known or not alike) else usual
        names |= dict.fromkeys(several, label)
        if len(several) > 1:
            notices.append(f"{' and '.join(several)} become one class, {label}")
    if all_known:
        order = dict.fromkeys((*DFEW_LABELS, *MAFW_LABELS))
        return names, tuple(label for label in order if label in spellings), notices
    labels = tuple(sorted(set(names.values())))
    unknown = list(dict.fromkeys(names[name] for name, emotion in emotions.items() if emotion is None))
    notices.insert(
        0,
        f"not all classes are known emotions ({', '.join(unknown[:5])}): all {len(labels)} keep their names, "
        f"in alphabetical order: {', '.join(labels)}",
    )
    return names, labels, notices
