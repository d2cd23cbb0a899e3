"""Text in the cells of a CSV, such that no spreadsheet takes it for a formula.

Excel, LibreOffice and Google Sheets run a cell that begins with =, +, -, @, a tab or a carriage return. An apostrophe
before it, which they do not show, makes it text.

Source: OWASP, "CSV Injection".
"""

from __future__ import annotations

import re

_RUN = re.compile(r"'*[=+\-@\t\r]")
_QUOTED = re.compile(r"'+[=+\-@\t\r]")


def quote_cell(text: str) -> str:
    """Return a text as it is written into a cell; only one that a spreadsheet would run is changed."""
    return f"'{text}" if _RUN.match(text) else text


def unquote_cell(cell: str) -> str:
    """Return the text that `quote_cell` was given."""
    return cell[1:] if _QUOTED.match(cell) else cell
