"""Plugins add to the registries, never replace, and leave nothing behind when they fail."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfer import plugins
from dfer.cli.app import run
from dfer.datasets import DATASETS
from dfer.errors import UsageError
from dfer.faces.detectors import DETECTORS
from dfer.losses import LOSSES
from dfer.model import MODELS
from dfer.plugins import changed_plugins, describe_plugins, load_installed, load_plugin, load_plugins, loaded_sources
from dfer.registry import Registry, added_names, remove_names

LOSS = 'from dfer.losses import LOSSES\nLOSSES["{name}"] = lambda logits, settings, counts: -logits\n'


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the process without plugins."""
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.setattr(sys, "path", [*sys.path])
    modules = set(sys.modules)
    yield
    remove_names(added_names())
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_adds_its_entries_once_and_may_import_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "a b" / "neighbour_of_mine.py", "NAME = 'mine'\n")
    file = write(
        tmp_path / "a b" / "my loss.py",
        "from neighbour_of_mine import NAME\n" + LOSS.replace('"{name}"', "NAME") + "assert NAME in LOSSES\n",
    )
    plugin = load_plugin(file)
    assert plugin.adds == {"loss": ["mine"]}
    assert load_plugin(str(file)) is plugin
    assert loaded_sources() == (str(file),)
    assert describe_plugins()[0] | {"sha256": ""} == {
        "source": str(file), "sha256": "", "distribution": None, "adds": {"loss": ["mine"]},
    }  # fmt: skip


def test_two_files_of_one_name_are_two_plugins(tmp_path: Path) -> None:
    for name in ("first", "second"):
        load_plugin(write(tmp_path / name / "plugin.py", LOSS.format(name=name)))
    assert added_names() == {"loss": ["first", "second"]}


def test_a_function_of_a_module_is_called(tmp_path: Path) -> None:
    write(tmp_path / "some_package" / "__init__.py", "")
    body = LOSS.format(name="called").replace("LOSSES[", "    LOSSES[").replace("\n    ", "\ndef add():\n    ")
    write(tmp_path / "some_package" / "more.py", body)
    sys.path.append(str(tmp_path))
    load_plugin("some_package.more")
    assert added_names() == {}
    assert load_plugin("some_package.more:add").adds == {"loss": ["called"]}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x = 1\n\n1 / 0\n", r"ZeroDivisionError: division by zero \(.*bad.py:3\)"),
        ("x = (\n", r"SyntaxError: '\(' was never closed \(.*bad.py:1\)"),
        ("import a_module_that_nobody_has\n", r"No module named 'a_module_that_nobody_has' \(.*bad.py:1\)"),
        ("import sys\nsys.exit()\n", r"it ends the program \(.*bad.py:2\)"),
        ("open('/no/such/file')\n", r"no such file or directory \(.*bad.py:1\)"),
        ('from dfer.model import MODELS\nMODELS["logo_former_s"] = 0\n', "there is a model 'logo_former_s' already"),
        ('from dfer.model import MODELS\nMODELS["x"] = object\n', "'x' should be registered as a ModelEntry, not as"),
        ('from dfer.losses import LOSSES\nLOSSES["x"] = 3\n', "'x' should be registered as a Callable, not as 3"),
        ('from dfer.datasets import DATASETS\nDATASETS[" "] = 3\n', "the name of a data set should be a word, not ' '"),
        ('from dfer.faces.detectors import DETECTORS\nDETECTORS.update({"haar": 3})\n', "a detector 'haar' already"),
    ],
)
def test_a_plugin_that_fails_is_one_line_and_adds_nothing(text: str, what: str, tmp_path: Path) -> None:
    own = [dict(registry) for registry in (MODELS, LOSSES, DATASETS, DETECTORS)]
    with pytest.raises(UsageError, match=what) as error:
        load_plugin(write(tmp_path / "bad.py", LOSS.format(name="half") + text if "bad.py:" not in what else text))
    assert str(error.value).startswith("the plugin cannot be loaded: ")
    assert [dict(registry) for registry in (MODELS, LOSSES, DATASETS, DETECTORS)] == own
    assert loaded_sources() == ()


@pytest.mark.parametrize("source", ["missing.py", ".", "", "no such module", "no.such:module:at", "a/b"])
def test_what_is_no_plugin_is_refused(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["doctor", "--plugin", source]) == 2
    assert len([line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]) == 1


def test_the_option_stands_anywhere_and_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first, second = (write(tmp_path / f"{name}.py", LOSS.format(name=name)) for name in ("first", "second"))
    assert run(["published", f"--plugin={second}", "dfew", "--plugin", str(first)]) == 0
    assert added_names() == {"loss": ["second", "first"]}
    assert f"plugin {first}: loss first" in capfd.readouterr().err
    assert run(["doctor", "--plugin"]) == 2
    assert run(["published", "--", "--plugin", str(first)]) == 2  # an argument, not the option


def install(folder: Path, module: str, text: str, value: str) -> None:
    write(folder / f"{module}.py", text)
    info = folder / f"{module}-1.2.dist-info"
    write(info / "METADATA", f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.2\n")
    write(info / "entry_points.txt", f"[dfer.plugins]\n{module} = {value}\n")


def test_installed_plugins_are_loaded_and_a_broken_one_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(tmp_path, "installed_one", LOSS.format(name="installed"), "installed_one")
    install(tmp_path, "broken_one", "1 / 0\n", "broken_one:add")
    sys.path.append(str(tmp_path))
    with caplog.at_level(logging.INFO, "dfer.plugins"):
        load_installed()
    assert added_names() == {"loss": ["installed"]}
    assert describe_plugins()[0]["distribution"] == "installed_one 1.2"
    messages = {record.levelname: record.getMessage() for record in caplog.records}
    assert messages["INFO"] == "plugin installed_one 1.2: loss installed"
    assert "plugin broken_one of broken_one 1.2 is left out: " in messages["WARNING"]


def test_another_process_loads_them_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dfer"):
        load_plugins([str(write(tmp_path / "mine.py", LOSS.format(name="mine")))])
    assert added_names() == {"loss": ["mine"]}
    assert not caplog.records
    with caplog.at_level(logging.INFO, "dfer"):
        load_plugin(write(tmp_path / "nothing.py", ""))
    assert [record.getMessage() for record in caplog.records] == [f"plugin {tmp_path / 'nothing.py'}: adds nothing"]


def test_a_plugin_that_changed_since_is_noticed(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.py", LOSS.format(name="mine"))
    load_plugin(file)
    recorded = describe_plugins()
    assert changed_plugins(recorded) == []
    assert changed_plugins([{**recorded[0], "sha256": "0"}, {"source": "other", "sha256": "1"}]) == [str(file), "other"]
    assert changed_plugins(["damaged", 3]) == changed_plugins(None) == []


def test_a_registry_knows_its_own() -> None:
    registry = Registry("test", int, {"one": 1})
    registry |= {"two": 2}
    assert added_names() == {"test": ["two"]}
    remove_names(added_names())
    assert dict(registry) == {"one": 1}
