"""Tables for the terminal and as Markdown and LaTeX."""

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from dfer.drawing.tables import escape_latex, markdown_table, new_table, with_notes
from tests.results import printed


def test_markdown_escapes_its_marks_and_lines_columns_up() -> None:
    assert markdown_table(["name", "n"], [["a", "12"], ["b_c", "3"]]) == [
        "| name   |   n |",
        "|:-------|----:|",
        "| a      |  12 |",
        r"| b\_c   |   3 |",
    ]
    assert markdown_table(["a|b"], []) == [r"| a\|b   |", "|--------|"]


def test_latex_escapes_its_commands() -> None:
    assert escape_latex(r"50 % of $a_b$ \ ^†") == r"50 \% of \$a\_b\$ \textbackslash{} \textasciicircum{}$^\dagger$"


def test_notes_are_not_wrapped_at_the_width_of_a_narrow_table() -> None:
    table = new_table("title")
    table.add_column("n")
    table.add_row("1")
    lines = printed(with_notes(table, ["a remark that is wider than the table"], ["a note as well"])).splitlines()
    assert lines[0].strip() == "title"
    assert [line.strip() for line in lines[-2:]] == ["a remark that is wider than the table", "a note as well"]


def test_text_is_neither_markup_nor_control() -> None:
    table = new_table("[red]title[/x]")
    table.add_column("[/bold]")
    table.add_row("\x1b[2J\u202e")
    table.add_row(Text("\x1bbell", "bold"))
    text = io.StringIO()
    Console(file=text, width=80).print(with_notes(table, ["[/red]"], ["\x9b1m"]))
    shown = text.getvalue()
    assert all(word in shown for word in ("[red]title[/x]", "[/bold]", r"\x1b[2J\u202e", r"\x1bbell", "[/red]"))
    assert not any(letter in shown for letter in "\x1b\u202e\x07\x9b")
