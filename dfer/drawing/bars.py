"""The answer about an image, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dfer.drawing.style import LIGHT, Theme, emotion_color, new_figure
from dfer.drawing.timeline import place_picture, unsure_hatching, write_no_face
from dfer.runtime.formatting import percent

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _BAR, _HEADING = 10.0, 0.23, 0.55  # inches: the figure, a bar with its space, and a heading
_PICTURE = 0.5  # inches: the side of a face's picture, which stands above the names of the emotions
_COLUMNS = {1: 1, 4: 2}  # up to how many faces
_MOST_COLUMNS = 4


@dataclass(frozen=True)
class FaceBars:
    """A face's panel.

    Attributes:
        name: its heading.
        summary: the line below it.
        probabilities: float64 [C].
        unsure: whether the answer should not be trusted.
        picture: of the face, uint8 [S, S, 3], RGB; None to leave it out.
    """

    name: str
    summary: str
    probabilities: NDArray[np.float64]
    unsure: bool = False
    picture: NDArray[np.uint8] | None = None


def draw_bars(
    faces: Sequence[FaceBars],
    labels: Sequence[str],
    *,
    title: str,
    subtitle: str = "",
    footer: Sequence[str] = (),
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the probabilities of each face in an image, a bar in the colour of each emotion; hatched where unsure.

    Args:
        faces: none is drawn as a note that no face was found.
        labels: the C class names, from top to bottom.
        title: one line.
        subtitle: wrapped.
        footer: what the reader must not miss.
        theme: the colours.
    """
    columns = next((columns for count, columns in _COLUMNS.items() if len(faces) <= count), _MOST_COLUMNS)
    rows = -(-len(faces) // columns) or 1
    height = rows * (_BAR * len(labels) + _HEADING) + 0.35
    with new_figure(_WIDTH, height, title=title, subtitle=subtitle, footer=footer, theme=theme) as figure:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, face in zip(panels, faces, strict=False):
            _draw_face(axes, face, labels, theme)
        for axes in panels[max(1, len(faces)) :]:
            axes.set_axis_off()
        if not faces:
            write_no_face(panels[0], theme, "image")
            panels[0].set_xticks([])
    return figure


def _draw_face(axes: Axes, face: FaceBars, labels: Sequence[str], theme: Theme) -> None:
    places = np.arange(len(labels))
    axes.barh(places, face.probabilities, 0.78, color=[emotion_color(label) for label in labels], zorder=2)
    if face.unsure:
        axes.barh(places, face.probabilities, 0.78, zorder=3, **unsure_hatching(theme))
    best = int(face.probabilities.argmax())
    for place, probability in zip(places.tolist(), face.probabilities.tolist(), strict=True):
        stressed = place == best and not face.unsure
        axes.annotate(
            f"{percent(probability, 0)} %", (probability, place), (4, 0), textcoords="offset points", va="center",
            fontsize=8.5, color=theme.ink if stressed else theme.muted, weight="bold" if stressed else "normal",
        )  # fmt: skip
    axes.set(xlim=(0, 1.18), ylim=(len(labels) - 0.4, -0.6), xticks=[], facecolor=theme.paper)
    axes.set_yticks(places, labels)
    axes.grid(visible=False)
    axes.axvline(0, color=theme.muted, linewidth=0.8, zorder=4)
    axes.set_title(face.name, pad=17)
    axes.annotate(
        face.summary, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=8.5,
        color=theme.muted, va="bottom", in_layout=False,
    )  # fmt: skip
    if face.picture is not None:
        place_picture(axes, face.picture, _PICTURE, left=0.07, up=0.05, upright=True)
