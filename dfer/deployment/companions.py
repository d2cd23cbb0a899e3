"""The files beside an exported model: a README, and examples that need onnxruntime alone."""

from __future__ import annotations

import json
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
        "model_url": f"./{_quoted(out.name)}",
        "model_file": escape_markdown(printable(out.name)),
        "name": printable(out.stem),
        "python": printable(paths[".example.py"].name),
        "module": printable(paths[".example.mjs"].name),
        "module_url": f"./{_quoted(paths['.example.mjs'].name)}",
        "page_name": printable(paths[".example.html"].name),
        "page_url": _quoted(paths[".example.html"].name),
        "web_version": WEB_VERSION,
    }
    return {
        ending: _environment().get_template(template).render(names | dict(facts)).rstrip() + "\n"
        for ending, template in COMPANIONS.items()
    }


def _quoted(name: str) -> str:
    """Return a file name as a part of an address."""
    return quote(name, errors="surrogateescape")


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
    environment.filters["python"] = json.dumps  # of a text, a literal that Python reads too
    environment.filters["md"] = lambda text: escape_markdown(printable(str(text), keep=""))
    return environment
