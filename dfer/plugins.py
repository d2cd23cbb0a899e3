"""Plugins: models, losses, data sets and detectors from outside this package.

A plugin is Python code that adds entries to the registries `MODELS`, `LOSSES`, `DATASETS` and `DETECTORS`. It is loaded
where the user names it, or where an installed package has an entry point of the group `dfer.plugins`. Neither a recipe
nor a checkpoint can name one: opening someone's file must not run someone's code.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from dfer.errors import UsageError, os_reason
from dfer.registry import added_names, remove_names

logger = logging.getLogger(__name__)

GROUP = "dfer.plugins"
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*)?")  # package.module or package.module:function


@dataclass(frozen=True)
class Plugin:
    """A plugin that is loaded.

    Attributes:
        source: the file's absolute path, or the module and, after a colon, its function.
        adds: the names that it has added to the registries, by kind.
        sha256: of the file or the module's file; None where there is none.
        distribution: name and version of the installed package that brought it.
    """

    source: str
    adds: dict[str, list[str]] = field(default_factory=dict)
    sha256: str | None = None
    distribution: str | None = None

    def __str__(self) -> str:
        parts = [f"{kind} {', '.join(names)}" for kind, names in self.adds.items()]
        return f"plugin {self.distribution or self.source}: {'; '.join(parts) or 'adds nothing'}"


_loaded: dict[str, Plugin] = {}


def load_plugin(source: str | Path, *, distribution: str | None = None) -> Plugin:
    """Load a plugin; one that is loaded already is left as it is.

    Args:
        source: a Python file, or an importable module such as `package.module`; `package.module:function` calls the
            function too. A file can import the modules beside it.
        distribution: name and version of the installed package that brings it.

    Raises:
        UsageError: there is no such file or module, or its code raises.
    """
    source = _resolve(str(source))
    if source in _loaded:
        return _loaded[source]
    before = added_names()
    try:
        module, function = _import(source)
        if function is not None:
            function()
    except UsageError as error:
        remove_names(_since(before))
        raise UsageError(f"the plugin cannot be loaded: {error}", where=source, hint=error.hint) from error
    except (Exception, SystemExit) as error:
        remove_names(_since(before))
        raise UsageError(
            f"the plugin cannot be loaded: {_reason(error)}", where=_place(error, source), hint="--debug shows more"
        ) from error
    plugin = _loaded[source] = Plugin(source, _since(before), _sha256(module), distribution)
    (logger.info if plugin.adds else logger.warning)("%s", plugin)
    return plugin


def load_installed() -> None:
    """Load the plugins of installed packages; one that cannot be loaded is a warning."""
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            load_plugin(point.value, distribution=_distribution(point))
        except UsageError as error:
            logger.warning("plugin %s of %s is left out: %s", point.name, _distribution(point), error)


def load_plugins(sources: Iterable[str]) -> None:
    """Load the plugins of another process, see `loaded_sources`, without a word of each.

    Raises:
        UsageError: one of them cannot be loaded here.
    """
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        for source in sources:
            load_plugin(source)
    finally:
        logger.setLevel(level)


def loaded_sources() -> tuple[str, ...]:
    """Return the sources of the loaded plugins, to load them in another process."""
    return tuple(_loaded)


def describe_plugins() -> list[dict[str, Any]]:
    """Return the loaded plugins for a run's record, ready for JSON."""
    return [
        {"source": plugin.source, "sha256": plugin.sha256, "distribution": plugin.distribution, "adds": plugin.adds}
        for plugin in _loaded.values()
    ]


def changed_plugins(recorded: object) -> list[str]:
    """Return the sources of recorded plugins that are loaded with other content, or not at all.

    Args:
        recorded: of `describe_plugins`, when a run began; whatever else a file may hold is passed over.
    """
    records = [item for item in recorded if isinstance(item, dict)] if isinstance(recorded, list) else []
    now = {plugin.source: plugin.sha256 for plugin in _loaded.values()}
    return [str(item.get("source")) for item in records if now.get(str(item.get("source"))) != item.get("sha256")]


def _resolve(source: str) -> str:
    path = Path(source)
    if source and (path.suffix == ".py" or path.exists()):
        return str(path.absolute())
    if not _MODULE.fullmatch(source):
        raise UsageError("there is no such plugin", where=source, hint="name a Python file or an importable module")
    return source


def _import(source: str) -> tuple[ModuleType, Callable[[], object] | None]:
    """Run a plugin's file, or import its module; with the function that is to be called."""
    path = Path(source)
    if path.is_absolute():
        return _run_file(path), None
    name, _, function = source.partition(":")
    module = importlib.import_module(name)
    return module, getattr(module, function) if function else None


def _run_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError("it is a folder, not a Python file" if path.is_dir() else "there is no such file")
    # A name that another plugin's file of the same name does not have, and under which pickle finds its classes.
    place = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    name = f"dfer_plugin_{re.sub(r'[^0-9A-Za-z_]', '_', path.stem)}_{place}"
    spec = importlib.util.spec_from_file_location(name, path, loader=SourceFileLoader(name, str(path)))
    assert spec is not None  # there is a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that it hides no other package
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _since(before: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the names that were added since."""
    new = {kind: [n for n in names if n not in before.get(kind, [])] for kind, names in added_names().items()}
    return {kind: names for kind, names in new.items() if names}


def _reason(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "it ends the program"
    if isinstance(error, OSError):
        return os_reason(error)
    first = (str(getattr(error, "msg", "") or error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _place(error: BaseException, source: str) -> str:
    """Return the plugin's file with the line that raised."""
    if isinstance(error, SyntaxError) and error.filename == source:
        return f"{source}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == source]
    return f"{source}:{lines[-1]}" if lines else source


def _sha256(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.name
