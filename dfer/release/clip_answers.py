"""Compare the rules that make one answer of a face's windows, on clips with onsets and neutral stretches.

    python -m dfer.release.clip_answers default data/ferplus data/faces160

A clip is made of two stills of the validation lists: it begins neutral, an expression comes, blended in within a third
of a second or cut, and may go again, with a little motion and changes of light. Clips that stay neutral, half of them
with a moment of another neutral still, as a mouth that speaks, show how often a rule invents an expression. The result
is a Markdown table.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dfer.batches.sampling import sample_frames
from dfer.drawing.tables import markdown_table
from dfer.errors import DataError
from dfer.evaluation.across import store_as_trained
from dfer.evaluation.metrics import expected_calibration_error
from dfer.model.checkpoint import CheckpointInfo, load_checkpoint
from dfer.model.pixels import prepare_clips
from dfer.model.priors import Answering, choose_answering
from dfer.model.video_model import VideoModel
from dfer.records.whole_face import NEUTRAL, RULES, answer_for_face
from dfer.release.script import run_script
from dfer.runs import find_checkpoint
from dfer.runtime.device import choose_device
from dfer.runtime.formatting import percent
from dfer.store import open_store, read_clip

WINDOWS, FRAMES = 8, 4  # windows of a clip, and different frames of each
NEUTRAL_SHARES = (0.0, 0.3, 0.5, 0.7)  # of a clip's time
STILL, MOMENT = 1.0, 0.7  # shares of the first still in a neutral clip
SPREAD = "frames spread over the clip"
_LARGEST_SHIFT, _LARGEST_GAIN = 0.03, 0.06
_LONGEST_BLEND = 0.07  # of a clip: a third of a second of five seconds

Crop = NDArray[np.uint8]


@dataclass(frozen=True)
class MadeClip:
    """A clip made of stills.

    Attributes:
        label: number of its emotion.
        neutral_share: the share of the time of its first still, which is neutral.
        frames: uint8 [WINDOWS * FRAMES, S, S, 3].
    """

    label: int
    neutral_share: float
    frames: NDArray[np.uint8]


def expression_course(neutral_share: float, length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how strong the expression is in each frame, float64 [length], 0 to 1: a rise, a plateau, maybe a fall.

    Args:
        neutral_share: the share of the time before and after the expression.
        length: number of frames.
        rng: draws when it comes and how quickly.
    """
    if neutral_share >= 1:
        return np.zeros(length)
    before = neutral_share * rng.choice([1.0, 0.0, rng.uniform()])  # it stays, it fades, or both ends are neutral
    blend = rng.uniform(0.01, _LONGEST_BLEND)
    time = (np.arange(length) + 0.5) / length
    rise = (time - before) / blend + 0.5 if before > 0 else np.ones(length)
    end = before + 1 - neutral_share
    fall = (end - time) / blend + 0.5 if end < 1 else np.ones(length)
    return np.clip(np.minimum(rise, fall), 0, 1) * rng.uniform(0.8, 1.0)


def make_clip(neutral: Crop, expression: Crop, course: NDArray[np.float64], rng: np.random.Generator) -> Crop:
    """Return the frames of a clip, uint8 [N, S, S, 3], that blends from one crop to another and back.

    Args:
        neutral, expression: uint8 [S, S, 3].
        course: the share of the expression in each frame, float64 [N].
        rng: draws motion and light.
    """
    size, number = len(neutral), len(course)
    drift = np.cumsum(rng.normal(0, _LARGEST_SHIFT / 3, (number, 2)), axis=0).clip(-_LARGEST_SHIFT, _LARGEST_SHIFT)
    gains = 1 + np.cumsum(rng.normal(0, _LARGEST_GAIN / 4, number)).clip(-_LARGEST_GAIN, _LARGEST_GAIN)
    frames = []
    for share, (down, right), gain in zip(course, drift, gains, strict=True):
        image = (1 - share) * neutral.astype(np.float64) + share * expression
        rows, columns = ((np.arange(size) + round(shift * size)).clip(0, size - 1) for shift in (down, right))
        frames.append((gain * image[rows][:, columns]).round().clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def make_clips(stills: dict[int, list[Path]], neutral: int, *, count: int, seed: int = 0) -> list[MadeClip]:
    """Return `count` clips of each expression, and four times as many that stay neutral.

    Args:
        stills: files of the stills of each label, crops of one size.
        neutral: its label.
        count: clips of each expression, spread over `NEUTRAL_SHARES`.
        seed: decides all that is random.
    """
    rng = np.random.default_rng(seed)
    plans = [(label, NEUTRAL_SHARES[n % 4]) for label in sorted(stills) if label != neutral for n in range(count)]
    plans += [(neutral, share) for share in (STILL, MOMENT)] * (2 * count)
    clips = []
    for label, share in plans:
        course = expression_course(share, WINDOWS * FRAMES, rng)
        calm, shown = (read_clip(Path(rng.choice(np.array(stills[of], object))))[0] for of in (neutral, label))
        clips.append(MadeClip(label, share, make_clip(calm, shown, course, rng)))
    return clips


@torch.inference_mode()
def answer_clips(
    model: VideoModel, info: CheckpointInfo, answering: Answering, clips: Sequence[MadeClip]
) -> dict[str, NDArray[np.float64]]:
    """Return each rule's probabilities of the clips, float64 [N, C], and those of frames spread over each clip.

    Args:
        model: on the device to compute on.
        info: of its checkpoint.
        answering: how its logits become probabilities.
        clips: see `make_clips`.
    """
    config, device = model.config, next(model.parameters()).device

    def probabilities(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
        given = prepare_clips(torch.from_numpy(frames).to(device), config.image_size)
        features = model.clip_features(given, config.num_frames // frames.shape[1], mirror=info.mirror)
        return answering.probabilities(model.head(features).float().cpu().numpy())

    found: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for clip in clips:
        windows = probabilities(clip.frames.reshape(WINDOWS, FRAMES, *clip.frames.shape[1:]))
        for rule in RULES:
            found[rule].append(answer_for_face(windows, np.ones(WINDOWS), info.labels, rule=rule))
        chosen = sample_frames(len(clip.frames), config.num_frames, info.segments)
        found[SPREAD].append(probabilities(clip.frames[chosen][None])[0])
    return {rule: np.stack(answers) for rule, answers in found.items()}


def comparison_table(clips: Sequence[MadeClip], answers: dict[str, NDArray[np.float64]], labels: Sequence[str]) -> str:
    """Return a Markdown table: a row per rule, recalls in percent by how much of a clip is neutral.

    Args:
        clips: see `make_clips`.
        answers: see `answer_clips`.
        labels: the emotions.
    """
    truth = np.array([clip.label for clip in clips])
    shares = np.array([clip.neutral_share for clip in clips])
    rows = []
    for rule, probabilities in answers.items():
        right = probabilities.argmax(axis=1) == truth
        recalls = {label: right[truth == label].mean() for label in np.unique(truth)}
        shown = [label for label in recalls if labels[label] != NEUTRAL]
        by_share = [
            np.mean([right[(truth == label) & (shares == share)].mean() for label in shown]) for share in NEUTRAL_SHARES
        ]
        calm = [right[(shares == share) & np.isin(truth, shown, invert=True)].mean() for share in (STILL, MOMENT)]
        figures = [*calm, *by_share, np.mean(list(recalls.values()))]
        ece = expected_calibration_error(probabilities, truth)
        rows.append([rule, *(percent(float(figure), 1) for figure in figures), f"{ece:.3f}"])
    expressive = [f"{percent(share, 0)} % neutral" for share in NEUTRAL_SHARES]
    return "\n".join(markdown_table(["answer", "neutral", "neutral, a moment", *expressive, "UAR", "ECE"], rows))


def validation_stills(stores: Sequence[Path], info: CheckpointInfo) -> dict[int, list[Path]]:
    """Return the files of the validation stills of each label.

    Raises:
        DataError: a store has no validation list, or a label no still.
    """
    stills: defaultdict[int, list[Path]] = defaultdict(list)
    for path in stores:
        store = store_as_trained(open_store(path), info, 1)
        rows = [row for row in store.select(1, "val") if row.ok]
        if not rows:
            raise DataError("no validation list", where=path)
        for row in rows:
            stills[row.label].append(store.clip_path(row.clip_id))
    missing = [label for number, label in enumerate(info.labels) if not stills[number]]
    if missing:
        raise DataError(f"no validation still of {missing[0]}", where=stores[0])
    return dict(stills)


def main() -> None:
    """Print the comparison, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="a .safetensors, or the name of shipped weights")
    parser.add_argument("data", type=Path, nargs="+", help="stores of stills with a validation list")
    parser.add_argument("--clips", type=int, default=48, help="of each expression; four times as many stay neutral")
    parser.add_argument("--prior", help="see dfer predict")
    parser.add_argument("--seed", type=int, default=0, help="decides all that is random")
    options = parser.parse_args()
    path = find_checkpoint(options.checkpoint)
    model, info = load_checkpoint(path, choose_device("auto"))
    clips = make_clips(
        validation_stills(options.data, info), info.labels.index(NEUTRAL), count=options.clips, seed=options.seed
    )
    answers = answer_clips(model, info, choose_answering(info, options.prior, where=path), clips)
    print(comparison_table(clips, answers, info.labels))


if __name__ == "__main__":
    run_script(main)
