"""Stills made worse step by step, and how a model answers on them.

Every step acts on the picture, as a worse camera would, and the face is then aligned by its known landmarks. So the
steps measure the recognition of the emotion, not the search for the face.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dfer.datasets import read_dataset
from dfer.faces.align import align_face
from dfer.faces.detectors import Detector
from dfer.faces.quality import face_sizes, head_angles, measure_crop
from dfer.model.checkpoint import CheckpointInfo
from dfer.model.pixels import prepare_clips
from dfer.model.priors import Answering
from dfer.model.video_model import VideoModel
from dfer.records import Face, Quality
from dfer.video import Frame, open_frames

BATCH = 16
FRAMES = 4  # of the model's clips: a still is the same in all of them
NOISE = 2.0  # standard deviation of a sensor's noise, of 255, which is what is left of a picture in the dark


@dataclass(frozen=True)
class Still:
    """A picture with one face.

    Attributes:
        label: number of its emotion.
        image: uint8 [H, W, 3].
        face: the face found in it.
    """

    label: int
    image: Frame
    face: Face

    @property
    def size(self) -> float:
        """The size of the face, see `face_sizes`."""
        return float(face_sizes(self.face.box_xyxy[None])[0])


@dataclass(frozen=True)
class Answers:
    """A model's answers on stills.

    Attributes:
        truth: int64 [N].
        probabilities: float64 [N, C].
        qualities: of each.
    """

    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    qualities: list[Quality]

    @property
    def right(self) -> NDArray[np.bool_]:
        """True for each right answer, bool [N]."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.truth)

    def select(self, places: NDArray[np.int64]) -> Answers:
        """Return some of the answers."""
        return Answers(self.truth[places], self.probabilities[places], [self.qualities[n] for n in places])


def shrink(still: Still, size: float) -> Still | None:
    """Reduce a picture until its face has a size in pixels; None if it is smaller already."""
    factor = size / still.size
    if factor > 1:
        return None
    height, width = still.image.shape[:2]
    wh = max(1, round(width * factor)), max(1, round(height * factor))
    image = np.asarray(cv2.resize(still.image, wh, interpolation=cv2.INTER_AREA), np.uint8)
    scale = np.array(wh) / (width, height)
    landmarks = ((still.face.landmarks + 0.5) * scale - 0.5).astype(np.float32)
    box = (still.face.box_xyxy * np.tile(scale, 2)).astype(np.float32)
    return replace(still, image=image, face=replace(still.face, landmarks=landmarks, box_xyxy=box))


def blur(still: Still, share: float) -> Still:
    """Blur a picture by a Gaussian whose standard deviation is a share of the face's size."""
    sigma = share * still.size
    image = cv2.GaussianBlur(still.image, (0, 0), sigma) if sigma > 0 else still.image
    return replace(still, image=np.asarray(image, np.uint8))


def darken(still: Still, gain: float) -> Still:
    """Multiply a picture's values by a gain, and add the noise of a sensor."""
    noise = np.random.default_rng(0).normal(0, NOISE, still.image.shape)
    return replace(still, image=(gain * still.image + noise).round().clip(0, 255).astype(np.uint8))


# By the name of a quality: the steps, from good to bad, and what makes a still worse.
STEPS: dict[str, tuple[Sequence[float], Callable[[Still, float], Still | None]]] = {
    "size": ((64, 36, 24, 17, 13, 10, 8), shrink),
    "sharpness": ((0.02, 0.04, 0.06, 0.09, 0.13, 0.18), blur),
    "brightness": ((0.3, 0.1, 0.06, 0.04, 0.025, 0.015, 0.01), darken),
}


def load_stills(
    name: str, raw: Path, labels: Sequence[str], detector: Detector, *, count: int, seed: int = 0
) -> list[Still]:
    """Return test stills in which a face is found, drawn at random.

    Args:
        name: the data set, a key of `dfer.datasets.DATASETS`.
        raw: its folder.
        labels: the emotions; stills of others are left out.
        detector: finds the faces; the one with the highest score is taken.
        count: at most this number.
        seed: decides which.
    """
    clips = [clip for clip in read_dataset(name, raw).clips if clip.folds.get(1) == "test"]
    stills: list[Still] = []
    for place in np.random.default_rng(seed).permutation(len(clips)):
        clip = clips[place]
        if len(stills) == count:
            break
        if clip.label_name not in labels or clip.source is None:
            continue
        _, image = next(open_frames(clip.source).iter_frames([0]))
        face = max(detector.detect(image), key=lambda face: face.score, default=None)
        if face is not None:
            stills.append(Still(list(labels).index(clip.label_name), image, face))
    return stills


def turned_stills(every: Sequence[Sequence[Still]], *, frontal: int = 300, least_yaw: float = 20.0) -> list[Still]:
    """Return all stills of turned heads, and some of each set with heads that are not.

    Args:
        every: of each set, in random order.
        frontal: number of heads, over all sets, turned by less than `least_yaw` degrees.
    """
    chosen = []
    for stills in every:
        yaws = np.abs(head_angles(np.stack([still.face.landmarks for still in stills]))[:, 0])
        chosen += [still for still, yaw in zip(stills, yaws, strict=True) if yaw >= least_yaw]
        chosen += [still for still, yaw in zip(stills, yaws, strict=True) if yaw < least_yaw][: frontal // len(every)]
    return chosen


@torch.inference_mode()
def answer_stills(model: VideoModel, info: CheckpointInfo, answering: Answering, stills: Sequence[Still]) -> Answers:
    """Answer for stills as `dfer predict --no-mirror` does for a picture, but in clips of `FRAMES` frames.

    Args:
        model: on the device to compute on.
        info: of its checkpoint.
        answering: how its logits become probabilities.
        stills: N pictures.
    """
    config, device = model.config, next(model.parameters()).device
    crops = [align_face(still.image, still.face.landmarks, info.crop_size) for still in stills]
    probabilities = []
    for first in range(0, len(crops), BATCH):
        batch = torch.from_numpy(np.stack(crops[first : first + BATCH])[:, None]).to(device)
        features = model.forward_features(prepare_clips(batch, config.image_size), FRAMES)
        probabilities.append(answering.probabilities(model.head(features).float().cpu().numpy()))
    qualities = [_quality(still, crop) for still, crop in zip(stills, crops, strict=True)]
    return Answers(np.array([still.label for still in stills]), np.concatenate(probabilities), qualities)


def _quality(still: Still, crop: Frame) -> Quality:
    yaw, pitch, roll = head_angles(still.face.landmarks[None])[0].tolist()
    sharpness, brightness = measure_crop(crop)
    return Quality(still.size, sharpness, brightness, yaw, pitch, roll, score=still.face.score, detected=1.0)
