"""Report pages: text stays text, what is empty is left out, HTML and Markdown say the same."""

from __future__ import annotations

from dfer.drawing.pages import Page, Picture, Section, html_page, markdown_page

PNG = b"\x89PNG\r\n"


def page_of(*sections: Section, warning: str = "") -> Page:
    return Page("a <title>", "a lead & more", warning, [("1,234", "clips")], sections)


def test_text_is_escaped_and_not_read_as_markup() -> None:
    section = Section("<h2>", ["*a* <b>"], table=[["head"], ["<td>"]], points=["<li>"], bars=[("<i>", "<u>", 0.5)])
    html = html_page(page_of(section, warning='"quoted" <p>'))
    for text in ("&lt;h2&gt;", "*a* &lt;b&gt;", '<td class="word">&lt;td&gt;</td>', "<li>&lt;li&gt;</li>", "&lt;i&gt;"):
        assert text in html
    assert "a &lt;title&gt;" in html
    assert r"\*a\* \<b\>" in markdown_page(page_of(section))


def test_empty_parts_are_left_out() -> None:
    html = html_page(page_of(Section("only text", ["a paragraph"])))
    for part in ('<p class="warning">', "<table", '<div class="bars">', '<div class="cards">', "<ul>", "<a ", "<img"):
        assert part not in html
    assert "<p>a paragraph</p>" in html


def test_pictures_are_embedded_with_their_dark_form_and_a_text() -> None:
    figure = Picture("curves", "losses & rates", PNG, dark=b"\xff\xd8dark")
    cards = [Picture("a", "seen", PNG), Picture("b", "lost", b"", instead="no such file")]
    html = html_page(page_of(Section("pictures", figures=[figure], cards=cards)))
    assert html.count("<img ") == 2
    assert html.count('media="(prefers-color-scheme: dark)" srcset="data:image/jpeg;base64,') == 1
    assert 'alt="losses &amp; rates"' in html
    assert 'alt="a: seen"' in html
    assert '<div class="instead">no such file</div>' in html


def test_summaries_and_words_are_marked_in_tables() -> None:
    table = [["fold", "clips"], ["1", "9"], ["a name of more than two dozen letters", "9"], ["mean", "9"]]
    html = html_page(page_of(Section("t", table=table, strong_rows=1)))
    assert html.count('<tr class="strong">') == 1
    assert '<tr class="strong"><td class="word">mean</td><td>9</td></tr>' in html
    assert '<td class="word long">a name' in html


def test_markdown_has_every_part_and_names_the_images() -> None:
    section = Section(
        "All",
        ["text"],
        figures=[Picture("curves", "the curves", PNG)],
        table=[["fold", "WAR"], ["1", "50.00"]],
        bars=[("train", "4 s", 1.0)],
        points=["a point"],
        link=("clip.mp4", "the video"),
    )
    text = markdown_page(page_of(section, warning="careful"))
    for line in (
        "# a <title>", "> **careful**", "## All", "![the curves](curves.png)", "| 1      | 50.00 |",
        "| train  |    4 s |", "- a point", "[the video](clip.mp4)",
    ):  # fmt: skip
        assert line in text.splitlines()
