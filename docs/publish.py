"""Makes the weights that dfer ships of a trained fold: half precision, calibrated, with their checksum.

    dfer train recipes/pretrained.yaml
    python docs/publish.py runs/pretrained/fold1 data/ferplus

The temperature is fitted on the validation split, the figures in the file's metadata are those of the test split. The
records of the run and of those it started from go into one JSON file.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from dfer.pretrained import DEFAULT, FOLDER
from dfer.release.publish import publish_weights, training_history
from dfer.runs import fold_checkpoint
from dfer.runtime.files import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fold", type=Path, help="the folder of the trained fold")
    parser.add_argument("data", type=Path, help="the store that it was trained on")
    parser.add_argument("--described", default="FER+ stills (not on video)", help="the data, in a phrase")
    parser.add_argument("--out", type=Path, default=FOLDER / f"{DEFAULT}.safetensors", help="the file to write")
    parser.add_argument("--history", type=Path, default=Path("docs/pretrained_runs.json"), help="the runs' records")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    history = training_history(options.fold)
    written = publish_weights(fold_checkpoint(options.fold), options.data, options.out, described=options.described)
    write_json(options.history, history)
    print(f"{written.path}: {written.size / 1e6:.2f} MB, SHA-256 {written.sha256}")
    print(f"temperature {written.temperature:.3f}", *(f"{name} {value:.4f}" for name, value in written.figures.items()))
    print(f"in float32: {', '.join(written.kept) or 'nothing'}")


if __name__ == "__main__":
    main()
