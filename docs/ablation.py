"""Measure what each part of LOGO-Former adds, on generated clips: prints the table of docs/benchmarks.md.

    dfer demo
    python docs/ablation.py demo/data --folds 1,2

Every variant is recipes/demo.yaml with one change, trained on the same folds with the same seeds and tested on people
it has never seen. Finished runs are kept in --out, so that an interrupted measurement continues. Drawings say nothing
about real faces; they can show whether a part does its job.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from dfer.drawing.tables import markdown_table
from dfer.evaluation.evaluate import evaluate
from dfer.evaluation.plan import plan_evaluation
from dfer.evaluation.results import Evaluation
from dfer.model.build import build_model
from dfer.model.complexity import count_gmacs
from dfer.recipe import Recipe, load_recipe
from dfer.runtime.device import describe_machine
from dfer.training import train

# A surprise clip and a fear clip have the same frames in different order: a model that ignores time gets half of them.
TIME_ORDER_PAIR = ("surprise", "fear")
VARIANTS = {
    "local + global (reference)": {},
    "local only": {"model.attention": "local"},
    "global only": {"model.attention": "global"},
    "joint: all tokens": {"model.attention": "joint"},
    "windows of one frame": {"model.window": "[1, 2, 2]"},
    "λ = 0": {"loss.compact_weight": "0"},
    "λ = 0.5, logit": {"loss.compact_weight": "0.5"},
    "λ = 0.05, center": {"loss.compact_form": "center"},
}
COLUMNS = ("variant", "WAR", "UAR", "time-order pair", "intra/inter", "GMACs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the store of generated clips")
    parser.add_argument("--folds", default="1,2", help="comma-separated")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation_drawn"), help="where the runs go")
    options = parser.parse_args()
    folds = [int(fold) for fold in options.folds.split(",")]
    rows = []
    for name, changes in VARIANTS.items():
        overrides = [f"{key}={value}" for key, value in changes.items()]
        recipe = load_recipe(Path("recipes/demo.yaml"), [f"data.path={json.dumps(str(options.data))}", *overrides])
        run = options.out / "_".join(["demo", *(item.replace("/", "") for item in overrides)])
        train(recipe, folds=folds, out=run)
        result = evaluate(plan_evaluation(run=run, folds=folds, data=options.data))
        rows.append([name, *_figures(result, recipe)])
        print("  ".join(rows[-1]), flush=True)
    print("\n".join(["", f"{describe_machine()}; means over folds {options.folds}", ""]))
    print("\n".join(markdown_table(COLUMNS, rows)))


def _figures(result: Evaluation, recipe: Recipe) -> list[str]:
    pair = [result.labels.index(name) for name in TIME_ORDER_PAIR]
    confusion = result.pooled.confusion
    model = build_model(recipe.model, result.labels)
    return [
        f"{100 * result.mean_war:.2f}",
        f"{100 * result.mean_uar:.2f}",
        f"{100 * confusion[pair, pair].sum() / confusion[pair].sum():.2f}",
        f"{np.mean([fold.intra_inter_ratio for fold in result.folds]):.3f}",
        f"{count_gmacs(model, recipe.model.num_frames, recipe.model.image_size):.4f}",
    ]


if __name__ == "__main__":
    main()
