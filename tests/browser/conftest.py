"""A browser, if one is installed, and pages to open in it."""

from __future__ import annotations

import runpy
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dfer.errors import DferError


@pytest.fixture(scope="session")
def script(checkout: Path) -> dict[str, Any]:
    """The script that shows pages in a browser."""
    return runpy.run_path(str(checkout / "docs" / "report_page.py"))


@pytest.fixture(scope="session")
def browser(script: dict[str, Any]) -> Iterator[Any]:
    with ExitStack() as stack:
        try:
            browser = stack.enter_context(script["open_browser"]())
        except DferError as error:
            pytest.skip(f"{error}: {error.hint}")
        yield browser


class Tab:
    """A page in the browser, which must ask for nothing but local files and raise no error.

    Args:
        browser: of playwright.
        path: the file.
        options: of the browser's context, such as the size of its window.
    """

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.errors.append("dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_load_state()

    def close(self) -> None:
        self.context.close()
        assert self.errors == []
        assert all(url.startswith(("file:", "data:", "blob:")) for url in self.asked)

    def text(self, selector: str) -> str:
        """The text of an element, without its empty lines."""
        return "\n".join(filter(None, self.page.locator(selector).inner_text().splitlines()))

    def run(self, code: str) -> Any:
        return self.page.evaluate(code)

    def point_at(self, time_s: float, face: int = 0, *, click: bool = False) -> None:
        """Move the pointer to a time in a face's row."""
        plot = self.page.locator("canvas.plot").nth(face)
        plot.scroll_into_view_if_needed()
        place = plot.bounding_box()
        share = self.run(f"({time_s} - view.from) / (view.to - view.from)")
        spot = place["x"] + share * place["width"], place["y"] + 20
        (self.page.mouse.click if click else self.page.mouse.move)(*spot)

    def until(self, code: str, timeout_s: float = 20.0) -> None:
        """Wait for a condition; playwright's own way needs `eval`, which the page forbids."""
        end = time.monotonic() + timeout_s
        while not self.run(code):
            assert time.monotonic() < end, code
            self.page.wait_for_timeout(20)

    def pixel(self, time_s: float, height: float = 0.3, face: int = 0) -> list[int]:
        """The colour in a face's row at a time; height 0 is the top."""
        code = (
            "([time, height, face]) => { const canvas = document.querySelectorAll('canvas.plot')[face];"
            "const x = Math.round((time - view.from) / (view.to - view.from) * canvas.width);"
            "const y = Math.round(height * canvas.height);"
            "return [...canvas.getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3); }"
        )
        return list(self.page.evaluate(code, [time_s, height, face]))
