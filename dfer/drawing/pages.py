"""A report as one HTML file that needs nothing else, and the same as Markdown with its images beside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

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
    return page_template("page.html.j2").render(page=page)


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
def page_template(name: str) -> Template:
    """Return one of the package's templates; what is filled in is escaped."""
    environment = Environment(
        loader=PackageLoader("dfer.drawing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":"), "allow_nan": False}
    return environment.get_template(name)


@cache
def template_text(name: str) -> str:
    """Return the text of a file among the templates, such as a script."""
    return (resources.files("dfer.drawing") / "templates" / name).read_text(encoding="utf-8")


def data_uri(image: bytes) -> str:
    """Return a PNG or JPEG file as an address that holds it."""
    kind = "jpeg" if image.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
