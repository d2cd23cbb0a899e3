"""Write what teachers say of a store's clips, for a student to train on in place of labels.

    python -m dfer.release.teach runs/wide_0/fold1 runs/wide_1/fold1 --data data/ferplus --out teachers.csv
    dfer train student.yaml 'data.path=[{path: data/ferplus, targets: teachers.csv}]'

The targets are the mean over the teachers, and over each crop and its mirror image, of the calibrated probabilities
under the prior of the teachers' training clips, blended with the share of the annotators' votes, or with the label.

Source: G. Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, arXiv 1503.02531.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from dfer.errors import DataError, UsageError
from dfer.evaluation.across import store_as_trained
from dfer.evaluation.inference import evaluation_loader, run_clips
from dfer.faces.align import require_same_alignment
from dfer.labels import require_same_labels
from dfer.model.checkpoint import load_checkpoint
from dfer.model.priors import choose_answering
from dfer.records import SPLITS, Split
from dfer.release.script import run_script
from dfer.release.stability import mirror_crops
from dfer.runs import find_checkpoint
from dfer.runtime.device import choose_device
from dfer.shares import TRAINING
from dfer.store import Store, open_store
from dfer.store.manifest import ManifestRow
from dfer.store.targets import write_targets
from dfer.training.targets import class_targets

logger = logging.getLogger(__name__)


def teach(
    teachers: Sequence[Path],
    data: Path,
    out: Path,
    *,
    split: Split = "train",
    fold: int = 1,
    votes_share: float = 0.3,
    device: str = "auto",
    batch_size: int = 32,
) -> int:
    """Write the targets of a store's clips.

    Args:
        teachers: checkpoints or the folders of trained folds, all with the same labels.
        data: the store.
        out: the CSV, see `dfer.store.targets`.
        split: the clips; with "train" also those without a label (split "soft").
        fold: 1-based.
        votes_share: share of the annotators' votes, or of the label, in a target, 0..1.
        device: "auto", "cpu" or "cuda".
        batch_size: clips at a time; the targets do not depend on it.

    Returns:
        The number of clips.

    Raises:
        DferError: a teacher cannot be read or does not fit the store, or the file cannot be written.
    """
    if not 0 <= votes_share <= 1:
        raise UsageError(f"the votes' share must be from 0 to 1, got {votes_share:g}", where="--votes-share")
    given, labels = open_store(data), list[str]()
    rows: list[ManifestRow] = []
    said: list[NDArray[np.float64]] = []
    for number, teacher in enumerate(map(find_checkpoint, teachers), start=1):
        model, info = load_checkpoint(teacher, choose_device(device))
        labels = labels or info.labels
        store = store_as_trained(given, info, fold)
        for theirs, what in ((info.labels, "the teacher"), (store.info.labels, "the store")):
            require_same_labels(labels, theirs, what=what, where=str(teacher))
        require_same_alignment(info.alignment, store.info.alignment, where=str(teacher))
        rows = _rows(store, fold, split)
        logger.info("teacher %d of %d: %s, %s clips", number, len(teachers), teacher, f"{len(rows):,}")
        loader = evaluation_loader(store, rows, model, segments=info.segments, batch_size=batch_size)
        answering = choose_answering(info, None if info.prior is None else TRAINING, where=teacher)
        said += [
            answering.probabilities(run_clips(model, loader, change=change).logits) for change in (None, mirror_crops)
        ]
    own = class_targets(rows, len(labels), soft=True).numpy()
    targets = (1 - votes_share) * np.mean(said, axis=0) + votes_share * own
    write_targets(out, [row.clip_id for row in rows], labels, targets)
    return len(rows)


def _rows(store: Store, fold: int, split: Split) -> list[ManifestRow]:
    splits: tuple[Split, ...] = ("train", "soft") if split == "train" else (split,)
    rows = [row for row in store.select(fold, *splits) if row.ok]
    if not rows:
        raise DataError(f"fold {fold} has no {split} clip that could be read", where=store.root)
    return rows


def main() -> None:
    """Write targets, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teachers", type=Path, nargs="+", metavar="CHECKPOINT", help="a checkpoint or a fold's folder")
    parser.add_argument("--data", type=Path, required=True, help="the store")
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    parser.add_argument("--split", choices=SPLITS, default="train", help="the clips; train includes soft (train)")
    parser.add_argument("--fold", type=int, default=1, help="the fold (1)")
    parser.add_argument("--votes-share", type=float, default=0.3, help="share of votes or label in a target (0.3)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (auto)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    split = cast("Split", options.split)
    count = teach(
        options.teachers, options.data, options.out,
        split=split, fold=options.fold, votes_share=options.votes_share, device=options.device,
    )  # fmt: skip
    print(f"{options.out}: targets of {count:,} clips")


if __name__ == "__main__":
    run_script(main)
