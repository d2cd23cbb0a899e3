"""Measures weights and writes the figures into docs/model_card.md.

    dfer preprocess ferplus ./raw
    python docs/model_card.py default data/ferplus --clips clips/ --history docs/pretrained_runs.json

The figures go between the marks of the card; the rest of its text is written by hand. Nearly all of the time goes to
the test stills and to the seven changed copies of some of them; --stability-clips says of how many.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from dfer.datasets.media import VIDEO_SUFFIXES
from dfer.release.model_card import measure_model
from dfer.reports.model_card import update_model_card
from dfer.runtime.files import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="a .safetensors, or the name of shipped weights")
    parser.add_argument("data", type=Path, help="the store whose test split is used")
    parser.add_argument("--clips", type=Path, help="a folder of real videos")
    parser.add_argument("--detector-weights", type=Path, help="for the videos")
    parser.add_argument("--stability-clips", type=int, default=1000, help="test clips that are also changed")
    parser.add_argument("--history", type=Path, help="the runs' records, as docs/publish.py wrote them")
    parser.add_argument("--out", type=Path, default=Path("docs/model_card.md"), help="the card")
    parser.add_argument("--json", type=Path, help="the figures as JSON, too")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    files = sorted(options.clips.iterdir()) if options.clips else []
    measured = measure_model(
        options.checkpoint,
        options.data,
        videos=[file for file in files if file.suffix.lower() in VIDEO_SUFFIXES],
        stability_clips=options.stability_clips,
        detector_weights=options.detector_weights,
    )
    if options.history:
        measured["training"] = json.loads(options.history.read_text(encoding="utf-8"))
    if options.json:
        write_json(options.json, measured)
    update_model_card(options.out, measured)


if __name__ == "__main__":
    main()
