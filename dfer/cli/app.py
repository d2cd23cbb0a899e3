"""The Typer app, and the only place that turns an exception into an error line and an exit code."""

from __future__ import annotations

import errno
import inspect
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from typer.core import TyperCommand

from dfer.cli import (
    bench,
    compare,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    predict,
    preprocess,
    published,
    relabel,
    sweep,
    synth,
    train,
)
from dfer.cli.console import configure_logging, print_error
from dfer.cli.hiding import PredictCommand
from dfer.errors import EXIT_FAILED, EXIT_SIGNAL, EXIT_USAGE, DferError, UsageError, os_reason
from dfer.plugins import load_installed, load_plugin
from dfer.runtime.files import remove_own_unfinished
from dfer.runtime.signals import last_signal, raise_on_stop
from dfer.runtime.streams import discard_unwritten
from dfer.version import __version__

DEBUG_VARIABLE = "DFER_DEBUG"
_RESUMED = ("demo", "synth", "preprocess", "train", "eval", "sweep", "predict")  # commands that keep finished work
# What a disk, a name or a permission may do to a file that is opened anywhere.
_EXPECTED_ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR,
    errno.EISDIR, errno.EIO,
)  # fmt: skip

app = typer.Typer(
    name="dfer",
    help="Dynamic facial expression recognition: from raw clips to a trained model to predictions on your videos.",
    epilog="First time here? [bold]dfer demo[/bold] runs the whole pipeline on generated clips, without a download.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dfer {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help=f"Show tracebacks and debug messages (or ${DEBUG_VARIABLE}=1).")
    ] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Python file (or module) that adds models, losses, data sets or detectors; may be repeated.",
        ),
    ] = None,
) -> None:
    """Declare options that act before a command starts, and load plugins."""
    del version, debug  # their work is done
    for source in plugin or []:
        load_plugin(source)
    load_installed()


def _add(
    name: str, command: Callable[..., None], panel: str, examples: str, cls: type[TyperCommand] | None = None
) -> None:
    """Add a command. Typer keeps the line breaks of a docstring's later paragraphs, so they are joined here."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    app.command(name, cls=cls, help=text, rich_help_panel=panel, epilog=examples)(command)


START, PIPELINE, MACHINE = "Start here", "Pipeline", "This machine"
_add("demo", demo.demo, START, demo.EXAMPLES)
_add("predict", predict.predict, PIPELINE, predict.EXAMPLES, PredictCommand)
_add("relabel", relabel.relabel, PIPELINE, relabel.EXAMPLES)
_add("preprocess", preprocess.preprocess, PIPELINE, preprocess.EXAMPLES)
_add("train", train.train, PIPELINE, train.EXAMPLES)
_add("eval", evaluate.evaluate, PIPELINE, evaluate.EXAMPLES)
_add("explain", explain.explain, PIPELINE, explain.EXAMPLES)
_add("compare", compare.compare, PIPELINE, compare.EXAMPLES)
_add("sweep", sweep.sweep, PIPELINE, sweep.EXAMPLES)
_add("published", published.published, PIPELINE, published.EXAMPLES)
_add("export", export.export, PIPELINE, export.EXAMPLES)
_add("synth", synth.synth, START, synth.EXAMPLES)
app.add_typer(bench.app, name="bench", rich_help_panel=MACHINE, epilog=bench.EXAMPLES)
_add("doctor", doctor.doctor, START, doctor.EXAMPLES)


def run(arguments: Sequence[str]) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name.

    Returns:
        The exit code: 0 done, 1 the job failed, 2 bad usage; 128 and the number of the signal that ended it.
    """
    try:
        with raise_on_stop():
            return _run(arguments)
    except KeyboardInterrupt:  # while the error line was being printed
        return EXIT_SIGNAL + last_signal()
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        return EXIT_FAILED
    finally:
        remove_own_unfinished()
        discard_unwritten()


def _run(arguments: Sequence[str]) -> int:
    arguments, debug = _take_debug(arguments)
    configure_logging(debug=debug)
    if not debug:
        warnings.simplefilter("ignore")  # users cannot act on other packages' deprecations
    try:
        result = app(_plugins_first(_none_empty(arguments)), standalone_mode=False, prog_name="dfer")
        if sys.stdout is not None:
            sys.stdout.flush()
        if result == EXIT_SIGNAL + signal.SIGINT:  # newer versions of Typer return this on Ctrl-C; older ones raise
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except KeyboardInterrupt:
        remove_own_unfinished()
        by = last_signal()
        what = "interrupted" if by == signal.SIGINT else f"interrupted ({by.name})"
        again = "finished work is kept" if _resumes(arguments) else "it begins from the start"
        print_error(what, hint=f"run the same command again: {again}")
        return EXIT_SIGNAL + by
    except BrokenPipeError:
        raise
    except Exception as error:
        if debug:
            raise
        return _report(error)


def _resumes(arguments: Sequence[str]) -> bool:
    """Return whether the command goes on where it was interrupted."""
    commands = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    return next((word for word in arguments if word in commands), "") in _RESUMED


def _take_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Take --debug from anywhere in the arguments, since people append it."""
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    rest = [word for n, word in enumerate(arguments) if word != "--debug" or n > end]
    return rest, len(rest) < len(arguments) or os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0")


def _none_empty(arguments: Sequence[str]) -> Sequence[str]:
    """Refuse an empty argument: as a path, it would mean the current folder."""
    for before, word in zip(["dfer", *arguments], arguments, strict=False):
        if not word or re.fullmatch(r"--[a-z-]+=", word):
            raise UsageError("an argument is empty", where=word or before, hint="is a variable in quotes not set?")
    return arguments


def _plugins_first(arguments: Sequence[str]) -> list[str]:
    """Move `--plugin FILE` from anywhere to the front: it must be loaded before the command's own options are read."""
    words, first, rest = iter(arguments), list[str](), list[str]()
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--plugin":
            first += [word, next(words, "")]
        elif word.startswith("--plugin="):
            first.append(word)
        else:
            rest.append(word)
    return first + rest


def _report(error: Exception) -> int:
    if isinstance(error, DferError):
        print_error(str(error), hint=error.hint)
        return error.exit_code
    if hasattr(error, "format_message"):  # a usage error of Typer or of its own copy of click
        if type(error).__name__ == "NoArgsIsHelpError":
            return EXIT_USAGE
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "dfer"
        print_error(" ".join(error.format_message().split()), hint=f"{command} --help")
        return EXIT_USAGE
    if type(error).__name__ == "Abort":
        return EXIT_FAILED
    if isinstance(error, OSError) and error.errno in _EXPECTED_ERRORS:
        print_error(str(DferError(os_reason(error), where=error.filename)))
        return EXIT_FAILED
    if isinstance(error, MemoryError):
        print_error("out of memory", hint="use fewer workers, a smaller batch, or a smaller train.memory_gb")
        return EXIT_FAILED
    first = (str(error).splitlines() or [""])[0]
    print_error(f"unexpected {type(error).__name__}: {first}", hint="run the command again with --debug and report it")
    return EXIT_FAILED
