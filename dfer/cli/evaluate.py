"""`dfer eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dfer.cli.options import (
    ACROSS,
    ANSWERS,
    COMPUTE,
    OUTPUT,
    WHICH,
    ClipsKind,
    DeviceKind,
    DeviceOption,
    MirrorOption,
    PriorOption,
    ProtocolKind,
    parse_folds,
)

if TYPE_CHECKING:
    from dfer.evaluation.across import Across

EXAMPLES = (
    "Examples: [bold]dfer eval --fold 3[/bold] takes the newest run that has fold 3.\n\n"
    "[bold]dfer eval --run runs/dfew --json result.json --report report/[/bold]\n\n"
    "[bold]dfer eval --checkpoint default --data data/ravdess --clips all[/bold] tests on other data."
)


def evaluate(
    fold: Annotated[
        str | None,
        typer.Option(metavar="N|all", help="Fold to test on.", show_default="all the run has", rich_help_panel=WHICH),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="The run's folder.", show_default="the newest", rich_help_panel=WHICH)
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="One checkpoint instead of a run, or [bold]default[/bold].", rich_help_panel=WHICH),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The store.", show_default="the one trained on", rich_help_panel=WHICH)
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="The results as JSON; - is stdout.", rich_help_panel=OUTPUT)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Folder for tables, plots and the hardest clips.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Folder for each clip's answer, as foldK/predictions.csv.",
            show_default="the run's",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    clips: Annotated[
        ClipsKind,
        typer.Option(
            help="[bold]test[/bold]: the fold's test list; [bold]all[/bold]: all lists of data that the model has not "
            "seen.",
            rich_help_panel=WHICH,
        ),
    ] = ClipsKind.test,
    class_map: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="CLASS=CLASS,...",
            help="Classes of the data as classes of the model, such as [bold]worry=fear,boredom=[/bold]; nothing after "
            "the = leaves the class out. Emotions that both name, in any usual spelling, are joined without it.",
            show_default=False,
            rich_help_panel=ACROSS,
        ),
    ] = None,
    protocol: Annotated[
        ProtocolKind | None,
        typer.Option(
            help="[bold]restricted[/bold]: only the classes of both can be answered; [bold]open[/bold]: all of the "
            "model's, and one that the data lack counts as wrong.",
            show_default="restricted",
            rich_help_panel=ACROSS,
        ),
    ] = None,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Also test with the frames shuffled, reversed, frozen and subsampled: five times the work.",
            rich_help_panel=ANSWERS,
        ),
    ] = False,
    prior: PriorOption = None,
    mirror: MirrorOption = None,
    device: DeviceOption = DeviceKind.auto,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips at a time.", rich_help_panel=COMPUTE)] = 16,
) -> None:
    """Test a trained run: WAR, UAR, recalls and the confusion matrix of each fold.

    No test clip is dropped: one that could not be read counts as an error, and the results without it are given too.
    Each clip's answer is kept beside the checkpoint; for other data, priors and checkpoints, in the run's eval/.
    Of data with other classes, the clips of classes that the model does not know are left out, and counted.
    """
    from rich.console import Group

    from dfer.cli.console import note, warn
    from dfer.cli.outputs import check_outputs, give_result, json_output, require_apart
    from dfer.cli.progress import Progress
    from dfer.evaluation.across import ALL_LISTS, TEST_ONLY, Across, parse_class_map
    from dfer.evaluation.evaluate import evaluate as run_evaluation
    from dfer.evaluation.plan import plan_evaluation
    from dfer.evaluation.predictions import PREDICTION_FILES
    from dfer.evaluation.probe import probe as run_probe
    from dfer.reports.evaluation import evaluation_table, write_evaluation_report
    from dfer.reports.probe import probe_dict, probe_view, write_probe_report

    across = Across(parse_class_map(class_map), protocol.value if protocol else None)
    json_to = json_output(json)
    check_outputs(json_to)
    tasks = plan_evaluation(
        folds=parse_folds(fold, "all"),
        run=run,
        checkpoint=checkpoint,
        data=data,
        out=predictions,
        variant=_variant(prior, mirror, across, clips),
    )
    read = [path for task in tasks for path in (task.data, *_files_beside(task.checkpoint))]
    kept = [task.out / name for task in tasks if task.out for name in PREDICTION_FILES]
    check_outputs(json_to, inputs=[*read, *kept])
    if report:
        require_apart(report, [*read, *kept], option="--report")
    if predictions:
        require_apart(predictions, read, option="--predictions")
    for task in tasks:
        note(f"fold {task.fold}: {task.checkpoint} on {task.data}")
    done = total = 0
    with Progress("eval", "clips") as progress:

        def on_batch(count: int, of: int) -> None:
            nonlocal done, total
            done, total = count + (done if done < total else 0), of  # each fold counts from zero
            progress.set(done, total)

        options: dict[str, Any] = {
            "device": device.value,
            "batch_size": batch_size,
            "prior": prior,
            "mirror": mirror,
            "across": across,
            "splits": ALL_LISTS if clips is ClipsKind.all else TEST_ONLY,
            "on_batch": on_batch,
        }
        result = run_evaluation(tasks, **options)
        probed = run_probe(tasks, result, **options) if probe else None
    values = result.to_dict() | ({"probe": probe_dict(probed)} if probed else {})
    give_result(json_to, values, lambda: Group(evaluation_table(result), *([probe_view(probed)] if probed else [])))
    if report:
        write_evaluation_report(result, report)
        if probed:
            write_probe_report(probed, report)
        note(f"report in {report}")
    for error in result.not_kept:
        if predictions:
            raise error
        warn(f"the clips' answers are not kept: {error}; name a folder with --predictions")


def _variant(prior: str | None, mirror: bool | None, across: Across, clips: ClipsKind) -> list[str]:
    """Return words for the options that make other answers than the checkpoint's own."""
    words = [] if prior is None else [Path(prior).stem]
    words += [] if mirror is None else ["mirror" if mirror else "no-mirror"]
    words += ["all"] if clips is ClipsKind.all else []
    return words + across.words()


def _files_beside(checkpoint: Path) -> list[Path]:
    """Return the checkpoint and the other files of its fold, which a result must not replace."""
    from dfer.runs import FOLD_FILES

    return [checkpoint, *(path for path in checkpoint.parent.glob("*") if path.name in FOLD_FILES)]
