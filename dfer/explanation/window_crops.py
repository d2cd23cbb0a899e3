"""The crops of a face, put together to the windows that answers are based on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dfer.prediction.windows import Window


def iter_window_crops(
    windows: Sequence[Window], crops: Iterable[tuple[int, int, NDArray[np.uint8]]], num_faces: int
) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    """Yield each window with its crops, and keep only those that a later window needs.

    Args:
        windows: each once; those of a face in order of time.
        crops: of `dfer.prediction.windows.iter_crops` for these windows.
        num_faces: number of faces.

    Yields:
        The window, and its crops, uint8 [N, S, S, 3].
    """
    waiting: list[deque[range]] = [deque() for _ in range(num_faces)]
    for face, places in windows:
        waiting[face].append(places)
    held: list[dict[int, NDArray[np.uint8]]] = [{} for _ in waiting]
    for face, place, crop in crops:
        held[face][place] = crop
        queue = waiting[face]
        while queue and queue[0][-1] == place:
            places = queue.popleft()
            yield (face, places), np.stack([held[face][n] for n in places])
            keep_from = queue[0][0] if queue else place + 1
            held[face] = {n: image for n, image in held[face].items() if n >= keep_from}
