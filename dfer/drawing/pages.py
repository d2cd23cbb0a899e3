"""A report as one HTML file that needs nothing else, and the same as Markdown with its images beside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from dfer.drawing.tables import escape_markdown, markdown_table


@dataclass(frozen=True)
class Picture:
    """A figure of a report, or one of its many small pictures.

    Attributes:
        name: of a figure, its file in the Markdown report without the suffix; of a small picture, its caption.
        text: of a figure, its alternative text; of a small picture, the rest of its caption.
        image: content of a PNG or JPEG file; empty where nothing can be shown.
        dark: the same for dark pages, where it differs.
        instead: text in the place of a picture that cannot be shown.
    """

    name: str
    text: str
    image: bytes
    dark: bytes | None = None
    instead: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the report; what is empty is left out.

    Attributes:
        title: heading.
        text: paragraphs.
        figures: side by side where there is room.
        table: its head, then its rows.
        strong_rows: number of rows at the table's end that are summaries.
        word_columns: the columns of the table that hold words, not numbers; 0 is the first.
        bars: a bar chart, of each bar its name, its value as text, and its length, 0..1.
        cards: small pictures with captions.
        points: a list.
        link: a file beside the report, and its description.
    """

    title: str
    text: Sequence[str] = ()
    figures: Sequence[Picture] = ()
    table: Sequence[Sequence[str]] = ()
    strong_rows: int = 0
    word_columns: Sequence[int] = (0,)
    bars: Sequence[tuple[str, str, float]] = ()
    cards: Sequence[Picture] = ()
    points: Sequence[str] = ()
    link: tuple[str, str] | None = None


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: heading.
        lead: an introduction of a sentence or two.
        warning: what the reader must not miss, or "".
        figures: numbers to show large: (value, meaning).
        sections: in order.
        closing: small print at the end.
    """

    title: str
    lead: str
    warning: str
    figures: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    closing: str = ""


def html_page(page: Page) -> str:
    """Return the report as HTML: images embedded, no script, light or dark as the reader's system is."""
    return _template().render(page=page)


def markdown_page(page: Page) -> str:
    """Return the report as Markdown; its images are expected beside it, as NAME.png."""
    lead = escape_markdown(page.lead)
    lines = [f"# {page.title}", "", lead, "", *([f"> **{page.warning}**", ""] if page.warning else [])]
    lines += markdown_table(["figure", "value"], [[meaning, value] for value, meaning in page.figures])
    for section in page.sections:
        lines += ["", f"## {section.title}", ""]
        lines += [line for paragraph in section.text for line in (escape_markdown(paragraph), "")]
        lines += [line for image in section.figures for line in (f"![{image.text}]({image.name}.png)", "")]
        if section.table:
            lines += [*markdown_table(section.table[0], section.table[1:]), ""]
        if section.bars:
            lines += [*markdown_table(["step", "time"], [[name, text] for name, text, _ in section.bars]), ""]
        lines += [f"- {escape_markdown(f'{card.name}: {card.text}')}" for card in section.cards]
        lines += [f"- {escape_markdown(point)}" for point in section.points]
        if section.link:
            lines += ["", f"[{section.link[1]}]({section.link[0]})"]
    lines += ["", "---", "", page.closing] if page.closing else []
    return "\n".join(lines).rstrip() + "\n"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("dfer.drawing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _data_uri
    return environment.get_template("page.html.j2")


def _data_uri(image: bytes) -> str:
    kind = "jpeg" if image.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
