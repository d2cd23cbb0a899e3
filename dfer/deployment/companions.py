"""The files beside an exported model: a README, and examples that need onnxruntime alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from dfer.drawing.tables import escape_markdown
from dfer.errors import DferError
from dfer.names import printable
from dfer.runtime.files import companion_path, require_places

# Ending of the name beside MODEL.onnx -> template.
COMPANIONS = {
    ".README.md": "README.md.j2",
    ".example.py": "example.py.j2",
    ".example.mjs": "example.mjs.j2",
    ".example.html": "example.html.j2",
}
MARK = b"Written by dfer export."
_MARKED_BYTES = 200  # at the beginning
WEB_VERSION = "1.30.0"  # of onnxruntime-web: the one that the example was run with


def companion_paths(out: Path) -> dict[str, Path]:
    """Return the files beside a model, by the ending of their names.

    Args:
        out: the model's file.

    Raises:
        DferError: in the place of one lies something that `dfer export` did not write.
    """
    paths = {ending: companion_path(out.with_suffix(""), ending) for ending in COMPANIONS}
    for path in paths.values():
        require_places(path.parent, [path.name])
        if path.exists() and MARK not in _beginning(path):
            raise DferError(
                "would overwrite a file that dfer did not write",
                where=path,
                hint="give --out another name, or leave the examples out with --no-examples",
            )
    return paths


def companion_texts(paths: Mapping[str, Path], out: Path, facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the content of the files beside a model, by the ending of their names.

    Args:
        paths: of `companion_paths`.
        out: the model's file.
        facts: about the model; see the templates.
    """
    names = {
        "model": out.name,
        "python": paths[".example.py"].name,
        "module": paths[".example.mjs"].name,
        "page": paths[".example.html"].name,
        "name": out.stem,
        "web_version": WEB_VERSION,
    }
    return {
        ending: _environment().get_template(template).render(names | dict(facts)).rstrip() + "\n"
        for ending, template in COMPANIONS.items()
    }


def _shown(text: object) -> str:
    """Return a text on one line, for comments."""
    return printable(str(text), keep="")


def _shown_in_docstring(text: object) -> str:
    return _shown(text).replace("\\", "\\\\").replace('"', '\\"')


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MARKED_BYTES)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dfer.deployment"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "python": json.dumps,  # of a text, a literal that Python reads too
        "md": lambda text: escape_markdown(_shown(text)),
        "shown": _shown,
        "doc": _shown_in_docstring,
        "shell": lambda name: shlex.quote(_shown(name)),
        "url": lambda name: quote(name, errors="surrogateescape"),
    }
    return environment
