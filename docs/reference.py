"""Write the generated parts of the reference pages: commands, recipe keys, published results.

    python docs/reference.py            rewrite the pages
    python docs/reference.py --check    change nothing; exit with 1 if a page is out of date

A generated part lies between `<!-- generated: NAME -->` and `<!-- end: NAME -->`. Everything else on a page is written
by hand and left as it is.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

from typer.models import ArgumentInfo, OptionInfo, TyperInfo

from dfer.cli.app import app
from dfer.evaluation.published import PUBLISHED_DATASETS, read_published
from dfer.recipe import Recipe
from dfer.reports.published import PublishedTable, published_table
from dfer.reports.result_table import markdown_lines

DOCS = Path(__file__).parent
MARKED = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)
METAVARS = {int: "N", float: "F", str: "TEXT", Path: "PATH"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a page is out of date")
    options = parser.parse_args()
    stale = {path: text for path, text in pages().items() if path.read_text(encoding="utf-8") != text}
    for path, text in stale.items():
        print(path, "is out of date" if options.check else "rewritten")
        if not options.check:
            path.write_text(text, encoding="utf-8")
    return int(options.check and bool(stale))


def pages() -> dict[Path, str]:
    """Return the text that each generated page should have.

    Raises:
        SystemExit: a page lacks the marks of a part, or has marks of an unknown one.
    """
    return {
        DOCS / "cli.md": _fill(DOCS / "cli.md", {"commands": "\n".join(_commands())}),
        DOCS / "protocol.md": _fill(DOCS / "protocol.md", dict(_published())),
        DOCS / "recipes.md": _fill(DOCS / "recipes.md", dict(_recipe_tables())),
    }


def _fill(page: Path, parts: dict[str, str]) -> str:
    text = page.read_text(encoding="utf-8")
    marked = [name for _, name, _ in MARKED.findall(text)]
    if sorted(marked) != sorted(parts):
        raise SystemExit(f"{page}: it should have generated parts named {sorted(parts)}, and has {sorted(marked)}")
    return MARKED.sub(lambda match: f"{match[1]}\n{parts[match[2]].strip()}\n\n{match[3]}", text)


# Published results


def _published() -> Iterator[tuple[str, str]]:
    for dataset in PUBLISHED_DATASETS:
        table = published_table(PublishedTable(dataset, read_published(dataset)))
        yield f"published {dataset}", "\n".join(markdown_lines(table))


# The command line


def _commands() -> Iterator[str]:
    for command in app.registered_commands:
        assert command.callback
        yield from _command(f"dfer {command.name}", command.callback, command.epilog)
    for group in app.registered_groups:
        yield from _group(group)


def _group(group: TyperInfo) -> Iterator[str]:
    inner = group.typer_instance
    assert inner
    assert inner.registered_callback
    assert inner.registered_callback.callback
    yield from _command(f"dfer {group.name}", inner.registered_callback.callback, group.epilog)
    for command in inner.registered_commands:
        assert command.callback
        yield from _command(f"dfer {group.name} {command.name}", command.callback, command.epilog)


def _command(name: str, callback: Callable[..., Any], epilog: str | None) -> Iterator[str]:
    hints = get_type_hints(callback, include_extras=True)
    rows, arguments, required = [], [], []
    for key, parameter in inspect.signature(callback).parameters.items():
        if not hasattr(hints[key], "__metadata__"):  # Typer's own context
            continue
        info = hints[key].__metadata__[0]
        kind = _value_type(hints[key].__origin__)
        spelled = _spelling(key, kind, info)
        if isinstance(info, ArgumentInfo):
            spelled += "..." if "list[" in str(hints[key]) else ""
            arguments.append(spelled if parameter.default is parameter.empty else f"[{spelled}]")
        elif parameter.default is parameter.empty:
            required.append(spelled)
        rows.append([f"`{spelled}`", _default(parameter, info), _description(_choices(kind, info), info)])
    yield f"## {name}\n"
    yield f"```\n{' '.join([name, *arguments, *required, '[OPTIONS]'] if rows else [name])}\n```\n"
    yield _markdown(inspect.getdoc(callback) or "") + "\n"
    if rows:
        yield from _table(["argument or option", "default", "meaning"], rows)
    yield _markdown(epilog or "") + "\n"


def _value_type(annotation: Any) -> Any:
    """The type of one value: of `list[X]` and `X | None` it is X."""
    inner = [kind for kind in getattr(annotation, "__args__", ()) if kind is not type(None)]
    return _value_type(inner[0]) if inner else annotation


def _spelling(key: str, kind: Any, info: ArgumentInfo | OptionInfo) -> str:
    """How a user writes it: `RECIPE`, `--fold N or all`, `--resume, --no-resume`."""
    if isinstance(info, ArgumentInfo):
        return info.metavar or key.upper()
    # In Annotated[...] Typer keeps the first spelling as the default.
    spellings = [text for text in (info.default, *(info.param_decls or ())) if isinstance(text, str)]
    flags = ", ".join(spellings).replace("/", ", ") or f"--{key.replace('_', '-')}"
    if kind is bool:
        return flags
    metavar = "NAME" if _choices(kind, info) else info.metavar or METAVARS[kind]
    return f"{flags} {metavar}".replace("|", " or ")


def _choices(kind: Any, info: ArgumentInfo | OptionInfo) -> list[str]:
    """The allowed values, where they are listed: of an Enum, or in a metavar such as `scrfd|haar|none`."""
    if issubclass(kind, Enum):
        return [choice.value for choice in kind]
    names = (info.metavar or "").split("|")
    return names if len(names) > 2 else []


def _default(parameter: inspect.Parameter, info: ArgumentInfo | OptionInfo) -> str:
    if parameter.default is parameter.empty:
        return "required"
    if isinstance(info.show_default, str):
        return _markdown(info.show_default)
    value = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _description(choices: list[str], info: ArgumentInfo | OptionInfo) -> str:
    text = _markdown(info.help or "").strip()
    if choices:
        text += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    if info.min is not None:
        text += f" {info.min:g} to {info.max:g}." if info.max is not None else f" At least {info.min:g}."
    return text


def _markdown(text: str) -> str:
    """Rich's markup as Markdown's."""
    return re.sub(r"\[/?bold\]", "`", text)


# The recipe


def _recipe_tables() -> Iterator[tuple[str, str]]:
    schema = Recipe.model_json_schema()
    own = []
    for name, field in schema["properties"].items():
        # The section `model` has a class per architecture.
        kinds = [kind["$ref"].rpartition("/")[2] for kind in field.get("anyOf", [field]) if "$ref" in kind]
        keys: dict[str, list[str]] = {}
        for section in (schema["$defs"][kind] for kind in kinds):
            for key, value in section["properties"].items():
                keys.setdefault(key, _key_row(f"{name}.{key}", value, key in section.get("required", [])))
        if keys:
            yield name, _key_table(list(keys.values()))
        else:
            own.append(_key_row(name, field, name in schema["required"]))
    yield "recipe", _key_table(own)
    store = schema["$defs"]["StoreSection"]
    required = store.get("required", [])
    yield "store", _key_table([_key_row(key, field, key in required) for key, field in store["properties"].items()])


def _key_table(rows: list[list[str]]) -> str:
    return "\n".join(_table(["key", "type", "default", "meaning"], rows))


def _key_row(key: str, field: dict[str, Any], required: bool) -> list[str]:
    default = "required" if required else _yaml(field.get("default"))
    return [f"`{key}`", _type_words(field), default, field.get("description", "")]


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value}`" if isinstance(value, str) else str(value)


def _type_words(field: dict[str, Any]) -> str:
    """A JSON schema in words: `integer, 32 to 512`."""
    if "anyOf" in field:
        return ", or ".join(_type_words(one) for one in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "$ref" in field.get("items", {}):
        return "list"
    if field["type"] == "array":
        items = field.get("prefixItems") or [field.get("items", {})] * field.get("minItems", 1)
        return f"{len(items)} × {_type_words(items[0])}"
    if "pattern" in field:
        return f"text, `{field['pattern']}`"
    word = {"string": "text", "boolean": "true or false", "object": "mapping"}.get(field["type"], field["type"])
    return ", ".join([word, *_bounds(field)])


def _bounds(field: dict[str, Any]) -> Iterator[str]:
    if field.get("maximum", 0) >= 1e6:  # no size of a recipe's, only what keeps a hostile file from asking for anything
        field = {key: value for key, value in field.items() if key != "maximum"}
    if "minimum" in field and "maximum" in field:
        yield f"{field['minimum']:g} to {field['maximum']:g}"
        return
    names = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    for key, words in names.items():
        if key in field:
            yield f"{words} {_large(field[key])}"


def _large(value: float) -> str:
    power = int(value).bit_length() - 1
    return f"2^{power}" if power > 20 and value == 2**power else f"{value:g}"


def _table(columns: list[str], rows: list[list[str]]) -> Iterator[str]:
    for row in [columns, ["---"] * len(columns), *rows]:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
