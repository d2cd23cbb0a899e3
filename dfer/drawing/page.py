"""A report as one HTML file that needs nothing else, and the same as Markdown with its images beside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template

from dfer.drawing.tables import escape_markdown, markdown_table


@dataclass(frozen=True)
class Illustration:
    """A figure.

    Attributes:
        name: of its file in the Markdown report, without the suffix.
        alt: what it shows, in words.
        png: the file's content.
        dark_png: the same for dark pages, where it differs.
    """

    name: str
    alt: str
    png: bytes
    dark_png: bytes | None = None


@dataclass(frozen=True)
class Card:
    """One of many pictures.

    Attributes:
        name: what is shown.
        text: more about it.
        image: a PNG or JPEG file's content; None where nothing can be shown.
        instead: stands in the place of a picture that is not there.
    """

    name: str
    text: str
    image: bytes | None
    instead: str = ""


@dataclass(frozen=True)
class Bar:
    """A quantity: its name, what it says, and its share of the longest bar, 0..1."""

    name: str
    text: str
    share: float


@dataclass(frozen=True)
class Section:
    """A part of the report; what is empty is left out.

    Attributes:
        title: heading.
        text: paragraphs.
        illustrations: figures; side by side where there is room.
        table: its head, then its rows.
        strong_rows: how many rows at the table's end are summaries.
        word_columns: which of the table's columns hold words, not numbers; 0 is the first.
        bars: a bar chart.
        cards: pictures with their names.
        points: a list.
        link: a file beside the report, and what to call it.
    """

    title: str
    text: Sequence[str] = ()
    illustrations: Sequence[Illustration] = ()
    table: Sequence[Sequence[str]] = ()
    strong_rows: int = 0
    word_columns: Sequence[int] = (0,)
    bars: Sequence[Bar] = ()
    cards: Sequence[Card] = ()
    points: Sequence[str] = ()
    link: tuple[str, str] | None = None


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: heading.
        lead: what this is, in a sentence or two.
        warning: what the reader must not miss, or "".
        figures: numbers to show large: (value, what it is).
        closing: small print at the end.
    """

    title: str
    lead: str
    warning: str
    figures: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    closing: str = ""


def html_page(page: Page) -> str:
    """The report as HTML: images embedded, light or dark as the reader's system is, no script, nothing to load."""
    tiles = "".join(f"<div><b>{escape(value)}</b><span>{escape(what)}</span></div>" for value, what in page.figures)
    return _PAGE.substitute(
        style=_STYLE,
        title=escape(page.title),
        lead=escape(page.lead),
        warning=f'<p class="warning">{escape(page.warning)}</p>' if page.warning else "",
        tiles=tiles,
        sections="\n".join(map(_html_section, page.sections)),
        closing=escape(page.closing),
    )


def markdown_page(page: Page) -> str:
    """The report as Markdown; its images are expected beside it, as NAME.png."""
    lead = escape_markdown(page.lead)
    lines = [f"# {page.title}", "", lead, "", *([f"> **{page.warning}**", ""] if page.warning else [])]
    lines += markdown_table(["figure", "value"], [[what, value] for value, what in page.figures])
    for section in page.sections:
        lines += ["", f"## {section.title}", ""]
        lines += [line for paragraph in section.text for line in (escape_markdown(paragraph), "")]
        lines += [line for image in section.illustrations for line in (f"![{image.alt}]({image.name}.png)", "")]
        if section.table:
            lines += [*markdown_table(section.table[0], section.table[1:]), ""]
        if section.bars:
            lines += [*markdown_table(["step", "time"], [[bar.name, bar.text] for bar in section.bars]), ""]
        lines += [f"- {escape_markdown(f'{card.name}: {card.text}')}" for card in section.cards]
        lines += [f"- {escape_markdown(point)}" for point in section.points]
        if section.link:
            lines += ["", f"[{section.link[1]}]({section.link[0]})"]
    lines += ["", "---", "", page.closing] if page.closing else []
    return "\n".join(lines).rstrip() + "\n"


def _html_section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>"]
    parts += [f"<p>{escape(paragraph)}</p>" for paragraph in section.text]
    if section.illustrations:
        parts.append(f'<div class="figures">{"".join(map(_html_image, section.illustrations))}</div>')
    if section.table:
        parts.append(_html_table(section))
    if section.bars:
        parts.append(f'<div class="bars">{"".join(map(_html_bar, section.bars))}</div>')
    if section.cards:
        parts.append(f'<div class="cards">{"".join(map(_html_card, section.cards))}</div>')
    if section.points:
        parts.append(f"<ul>{''.join(f'<li>{escape(point)}</li>' for point in section.points)}</ul>")
    if section.link:
        parts.append(f'<p><a href="{escape(section.link[0])}">{escape(section.link[1])}</a></p>')
    return f"<section>{''.join(parts)}</section>"


def _html_image(image: Illustration) -> str:
    dark = ""
    if image.dark_png is not None:
        dark = f'<source media="(prefers-color-scheme: dark)" srcset="{_data_address(image.dark_png)}">'
    return f'<figure><picture>{dark}<img src="{_data_address(image.png)}" alt="{escape(image.alt)}"></picture></figure>'


def _html_table(section: Section) -> str:
    table = section.table

    def row(tag: str, cells: Sequence[str]) -> str:
        kinds = [_cell_kind(cell, words=place in section.word_columns) for place, cell in enumerate(cells)]
        return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))

    rows = []
    for number, cells in enumerate(table[1:], start=1):
        strong = ' class="strong"' if number >= len(table) - section.strong_rows else ""
        rows.append(f"<tr{strong}>{row('td', cells)}</tr>")
    head = row("th", table[0])
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _cell_kind(cell: str, *, words: bool) -> str:
    if not words:
        return ""
    return ' class="word long"' if len(cell) > _LONG_CELL else ' class="word"'


def _html_card(card: Card) -> str:
    name, text = escape(card.name), escape(card.text)
    picture = f'<div class="instead">{escape(card.instead)}</div>'
    if card.image is not None:
        picture = f'<img src="{_data_address(card.image)}" alt="{name}: {text}">'
    return f"<figure>{picture}<figcaption><b>{name}</b> {text}</figcaption></figure>"


def _html_bar(bar: Bar) -> str:
    width = f"{100 * bar.share:.2f}%"
    return f'<span>{escape(bar.name)}</span><i><b style="width:{width}"></b></i><span>{escape(bar.text)}</span>'


def _data_address(image: bytes) -> str:
    kind = "jpeg" if image.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


_LONG_CELL = 24  # letters; longer ones may break into lines

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<header>
<h1>$title</h1>
<p class="lead">$lead</p>
</header>
$warning
<div class="tiles">$tiles</div>
$sections
<footer>$closing</footer>
</main>
</body>
</html>
""")

_STYLE = """
:root { --paper: #fff; --ground: #f4f6f8; --ink: #1b1f24; --muted: #5f6873; --rule: #e1e5ea; --accent: #0072b2;
  --warn-ink: #7a3e00; --warn-ground: #fff4e0; --warn-rule: #f0c581; }
@media (prefers-color-scheme: dark) { :root { --paper: #16191e; --ground: #0f1115; --ink: #e8eaed; --muted: #9ba5b1;
  --rule: #2d333c; --accent: #56b4e9; --warn-ink: #f7cf8d; --warn-ground: #2c2212; --warn-rule: #6b4d1c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 3rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; letter-spacing: -.015em; }
h2 { font-size: 1.2rem; margin: 0 0 .5rem; letter-spacing: -.005em; }
p { margin: 0 0 .8rem; max-width: 56rem; }
a { color: var(--accent); }
.lead { color: var(--muted); font-size: 1.08rem; margin: 0; }
header { margin-bottom: 1.5rem; }
.warning { max-width: none; margin: 0 0 1.5rem; padding: .8rem 1.1rem; border: 1px solid var(--warn-rule);
  border-left-width: 5px; border-radius: 8px; background: var(--warn-ground); color: var(--warn-ink);
  font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .8rem; }
.tiles div, section { background: var(--paper); border: 1px solid var(--rule); border-radius: 10px; }
.tiles div { padding: .9rem 1.1rem; }
.tiles b { display: block; font-size: 1.6rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tiles span { color: var(--muted); font-size: .88rem; }
section { margin-top: 1.2rem; padding: 1.4rem 1.5rem; }
section > :last-child { margin-bottom: 0; }
figure { margin: .8rem 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 0 1.5rem; }
.figures figure { min-width: 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); gap: 1.1rem 1.2rem;
  margin-top: 1rem; }
.cards figure { margin: 0; min-width: 0; }
.cards img { width: 100%; }
.cards figcaption { font-size: .85rem; line-height: 1.45; margin-top: .35rem; color: var(--muted);
  overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.cards b { color: var(--ink); font-weight: 600; margin-right: .3rem; }
.instead { display: grid; place-items: center; aspect-ratio: 586 / 96; padding: .5rem 1rem; border-radius: 6px;
  border: 1px dashed var(--rule); background: var(--ground); color: var(--muted); font-size: .88rem;
  line-height: 1.4; text-align: center; }
img { display: block; max-width: 100%; height: auto; margin: 0 auto; border-radius: 6px; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .5rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th { color: var(--muted); font-weight: 600; }
th.word, td.word { text-align: left; }
td.long { white-space: normal; min-width: 14rem; overflow-wrap: anywhere; }
th:first-child, td:first-child { padding-left: 0; position: sticky; left: 0; background: var(--paper); }
th:last-child, td:last-child { padding-right: 0; }
tr.strong td { font-weight: 600; }
tbody tr:last-child td { border-bottom: 0; }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: .45rem .9rem; align-items: center;
  font-size: .92rem; font-variant-numeric: tabular-nums; margin: .8rem 0; }
.bars span:last-child, .bars i + span { text-align: right; color: var(--muted); }
.bars i { height: .6rem; border-radius: .3rem; background: var(--rule); overflow: hidden; }
.bars b { display: block; height: 100%; min-width: 2px; background: var(--accent); }
ul { margin: .4rem 0; padding-left: 1.2rem; max-width: 56rem; }
footer { margin-top: 1.6rem; color: var(--muted); font-size: .85rem; }
@media print { body { background: none; } section, .tiles div { break-inside: avoid; } }
"""
