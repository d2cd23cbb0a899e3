"""One identity across cuts: tracklets of several shots that clearly show the same person become one track."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfer.faces.tracking.appearance import similarity
from dfer.faces.tracking.tracklets import Tracklet

# Of 1,300 pairs of different people in FER+ none reaches this similarity; one person in two shots of a scene mostly
# does. Splitting one person into two tracks does less harm than merging two people into one.
MIN_SIMILARITY = 0.8
# Cosines of the mean embeddings: from the first on, two tracklets show one person; below the second, two people.
# OpenCV's zoo takes 0.363 for SFace, a network of the same kind (face_recognition_sface/sface.py); merging two people
# does more harm than splitting one.
SAME_COSINE, OTHER_COSINE = 0.4, 0.2
# A rival, seen at the same time, must be less similar by this much.
_MIN_LEAD = 0.05
_MAX_APPEARANCES = 16  # of a person, spread over the shots

Person = list[Tracklet]


class _Looks(NamedTuple):
    """A person's descriptors, and the mean of the embeddings, a unit vector; None without any."""

    appearances: list[NDArray[np.float32]]
    embedding: NDArray[np.float32] | None


def join_tracklets(tracklets: list[Tracklet]) -> list[Tracklet]:
    """Join tracklets by appearance, never two that overlap in time.

    A tracklet is compared with the people seen before it. If two people of one shot are about equally similar to it,
    or if it and another tracklet of its shot are about equally similar to one person, it becomes a person of its own.

    Args:
        tracklets: one per person and shot.

    Returns:
        The joined tracklets, each in order of time.
    """
    people: list[Person] = []
    for batch in _overlapping(sorted(tracklets, key=lambda tracklet: tracklet.frames[0])):
        known = [_looks(person) for person in people]
        similarities = [[_alike(_looks([tracklet]), theirs) for theirs in known] for tracklet in batch]
        matches = [_find_match(number, batch, people, similarities) for number in range(len(batch))]
        new: list[Person] = []
        for match, tracklet in zip(matches, batch, strict=True):
            # Another tracklet of the batch may just have become this person.
            if match is None or _overlaps_any(people[match], tracklet):
                new.append([tracklet])
            else:
                people[match].append(tracklet)
        people += new
    return [_concatenate(person) for person in _join_people(people)]


def _join_people(people: list[Person]) -> list[Person]:
    """Join people of whom a shot that was seen later shows that they are one: it is similar to both.

    As in `_find_match`, nobody is joined with one of two people that are about equally similar and seen together.
    """
    count = len(people)
    values = np.zeros((count, count))
    apart = np.zeros((count, count), np.bool_)  # seen at the same time
    known = [_looks(person) for person in people]
    for one, other in combinations(range(count), 2):
        apart[one, other] = apart[other, one] = any(_overlaps_any(people[one], part) for part in people[other])
        values[one, other] = values[other, one] = _alike(known[one], known[other])
    left = set(range(count))
    while True:
        pairs = [
            (float(values[pair]), pair)
            for pair in combinations(sorted(left), 2)
            if values[pair] >= MIN_SIMILARITY and not apart[pair] and not _has_rival(pair, values, apart)
        ]
        if not pairs:
            return [people[place] for place in sorted(left)]
        _, (one, other) = max(pairs)
        people[one] = people[one] + people[other]
        values[one] = np.maximum(values[one], values[other])
        values[:, one], apart[one] = values[one], apart[one] | apart[other]
        apart[:, one] = apart[one]
        values[other] = values[:, other] = 0.0
        left.remove(other)


def _has_rival(pair: tuple[int, int], values: NDArray[np.float64], apart: NDArray[np.bool_]) -> bool:
    """Return whether someone seen beside one of a pair is about as similar to the other."""
    limit = values[pair] - _MIN_LEAD
    return any(bool((apart[one] & (values[other] > limit)).any()) for one, other in (pair, pair[::-1]))


def _find_match(
    number: int, batch: list[Tracklet], people: list[Person], similarities: list[list[float]]
) -> int | None:
    """Return the index of the one person that a tracklet of the batch clearly shows, or None."""
    tracklet = batch[number]
    values = [
        0.0 if _overlaps_any(person, tracklet) else value
        for person, value in zip(people, similarities[number], strict=True)
    ]
    best = max(range(len(people)), key=values.__getitem__, default=None)
    if best is None or values[best] < MIN_SIMILARITY:
        return None
    limit = values[best] - _MIN_LEAD
    rivals = (n for n, other in enumerate(batch) if n != number and _overlap(other, tracklet))
    if any(similarities[n][best] > limit for n in rivals):
        return None
    for n, value in enumerate(similarities[number]):
        if n != best and value > limit and any(_overlaps_any(people[n], part) for part in people[best]):
            return None
    return best


def _looks(person: Person) -> _Looks:
    embeddings = [embedding for tracklet in person for embedding in tracklet.embeddings]
    mean = np.mean(embeddings, axis=0) if embeddings else None
    return _Looks(_appearances(person), None if mean is None else mean / max(float(np.linalg.norm(mean)), 1e-6))


def _alike(one: _Looks, other: _Looks) -> float:
    """Return how alike two people are, on the scale of `similarity`: `MIN_SIMILARITY` for those who just are one.

    Their embeddings decide where both have one: alike by their looks only, they are not one if the embeddings differ.
    """
    looks = similarity(one.appearances, other.appearances)
    if one.embedding is None or other.embedding is None:
        return looks
    cosine = float(one.embedding @ other.embedding)
    if cosine < SAME_COSINE:
        return looks if cosine >= OTHER_COSINE else 0.0
    return max(looks, MIN_SIMILARITY + (1 - MIN_SIMILARITY) * (cosine - SAME_COSINE) / (1 - SAME_COSINE))


def _appearances(person: Person) -> list[NDArray[np.float32]]:
    """Return a person's descriptors, thinned out tracklet by tracklet so that all shots are represented."""
    kept: list[NDArray[np.float32]] = []
    for tracklet in person:
        kept += tracklet.appearances
        while len(kept) > _MAX_APPEARANCES:
            kept = kept[::2]
    return kept


def _overlapping(tracklets: list[Tracklet]) -> list[list[Tracklet]]:
    """Group tracklets, given in order of time, so that those that overlap are together."""
    batches: list[list[Tracklet]] = []
    end = -1
    for tracklet in tracklets:
        if tracklet.frames[0] > end:
            batches.append([])
        batches[-1].append(tracklet)
        end = max(end, tracklet.frames[-1])
    return batches


def _overlap(one: Tracklet, other: Tracklet) -> bool:
    return one.frames[0] <= other.frames[-1] and other.frames[0] <= one.frames[-1]


def _overlaps_any(person: Person, tracklet: Tracklet) -> bool:
    return any(_overlap(part, tracklet) for part in person)


def _concatenate(parts: list[Tracklet]) -> Tracklet:
    whole = Tracklet()
    for part in sorted(parts, key=lambda part: part.frames[0]):
        whole.frames += part.frames
        whole.times_s += part.times_s
        whole.keyframes += part.keyframes
        whole.shots += part.shots
        whole.faces += part.faces
        whole.sharpness += part.sharpness
    return whole
