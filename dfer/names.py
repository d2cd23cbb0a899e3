r"""File names as text that every file, terminal and program can hold.

A Unix file name is bytes without "/" and NUL. Those that are not UTF-8 (lone surrogates in Python), line breaks and
other control characters cannot stand in a manifest, JSON or a line of a log. As text they are written `\xHH` (a byte)
or `\uHHHH`; a backslash that would begin such an escape is `\x5c`. All other names are their own text.
"""

from __future__ import annotations

import re
from pathlib import PurePath

# Control characters, line and paragraph separators, marks that change the direction of writing, and surrogates.
_UNSAFE = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4}))")
_BECOMES_ESCAPE = re.compile(rf"\\(?=x[0-9a-f]{{2}}|u[0-9a-f]{{4}})|[{_UNSAFE}]")
_UNPRINTABLE = re.compile(rf"[{_UNSAFE}]")


def name_text(name: str | PurePath) -> str:
    """Return a file name or path as valid UTF-8 text without control characters; ordinary names are unchanged.

    Different names have different texts, and `text_name` returns the name.
    """
    return _BECOMES_ESCAPE.sub(lambda found: _escape(found[0]), str(name))


def text_name(text: str) -> str:
    """Return the file name or path whose `name_text` this is."""
    return _ESCAPE.sub(lambda found: _unescape(found[1], found[2]), text)


def printable(text: str, *, keep: str = "\n\t") -> str:
    """Return a text to be shown, with control characters and bytes that are not UTF-8 escaped.

    Args:
        text: may hold names; unlike `name_text`, this leaves their backslashes alone.
        keep: control characters that are meant.
    """
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # Python's stand-in for a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def _unescape(byte: str | None, code: str | None) -> str:
    if byte is None:
        return chr(int(str(code), 16))
    number = int(byte, 16)
    return chr(number if number < 0x80 else 0xDC00 + number)
