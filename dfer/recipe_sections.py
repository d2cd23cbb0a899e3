"""The sections of a recipe on data, augmentation, the optimizer and training, each key typed and described."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, WrapValidator, field_validator, model_validator

from dfer.settings import Count, Fraction, NonNegative, PathText, Positive, Settings


class StoreSection(Settings):
    """One of several stores to train on."""

    path: PathText = Field(description="store folder, as `dfer preprocess` wrote it")
    weight: Positive = Field(
        1.0, description="how often an epoch sees each clip: 0.5 is half of the clips, drawn again for each epoch"
    )
    labels: dict[str, str | None] = Field(
        {}, description="other names for the store's classes; null leaves a class out"
    )
    targets: PathText | None = Field(
        None, description="CSV of target probabilities, used in place of label and votes for the clips it names"
    )


def _read_paths(values: Any, _of_union: object) -> str | list[StoreSection]:
    """Return a folder as it is, and stores of a list with every key spelled out."""
    if isinstance(values, str):
        return TypeAdapter(PathText).validate_python(values)
    if not isinstance(values, list | tuple) or not values:
        raise ValueError("input should be a store folder, or a list of them")
    # A union's own errors would name its members as if they were keys.
    return _STORES.validate_python([{"path": item} if isinstance(item, str) else item for item in values])


_STORES = TypeAdapter(list[StoreSection])


class DataSection(Settings):
    """The stores, and the frames that are taken of a clip."""

    path: Annotated[PathText | list[StoreSection], WrapValidator(_read_paths)] = Field(
        description="store folder, as `dfer preprocess` wrote it, or a list of several"
    )
    val_fraction: Annotated[float, Field(ge=0.0, lt=0.9)] = Field(
        0.1,
        description="share of the train list held out to choose `best` by; with 0 there is only `last`. Not used where "
        "the data set has an official validation split, nor with `train.select: test`",
    )
    segments: Count = Field(
        8, description="equal parts of a clip, each giving `model.num_frames` / `segments` consecutive frames"
    )

    @property
    def folders(self) -> list[Path]:
        """The folders of the stores."""
        return [Path(self.path)] if isinstance(self.path, str) else [Path(part.path) for part in self.path]


class AugmentSection(Settings):
    """Random changes in training, drawn per clip; motion, light and cover drift along it, the rest stays the same."""

    crop_scale: Annotated[tuple[Fraction, Fraction], Field(strict=False)] = Field(
        (0.7, 1.0), description="area of the random resized crop, as a share of the aligned crop"
    )
    crop_ratio: Annotated[tuple[Positive, Positive], Field(strict=False)] = Field(
        (0.9, 1.1111), description="aspect ratio of the random resized crop"
    )
    flip: Fraction = Field(0.5, description="probability of a mirror image")
    rotation: NonNegative = Field(0.0, description="largest rotation, degrees")
    jitter: Fraction = Field(0.0, description="largest relative change of brightness, contrast and saturation")
    grayscale: Fraction = Field(0.0, description="probability of dropping colour")
    erase: Fraction = Field(0.0, description="probability of blanking a rectangle of 2 to 20 % of the area")
    mixup: NonNegative = Field(
        0.0,
        description="α of the Beta distribution from which the share is drawn by which the two clips of a pair are "
        "blended; 0 turns it off",
    )
    cutmix: NonNegative = Field(
        0.0,
        description="α of the Beta distribution of the area that the two clips of a pair exchange, the same rectangle "
        "in all frames; 0 turns it off. With `mixup` as well, each pair gets one or the other",
    )

    motion: Fraction = Field(
        0.0,
        description="how far a face drifts within a clip, slowly and with a little jitter, in half sides of the frame; "
        "scale and angle drift too. Makes clips out of stills",
    )
    light: Fraction = Field(
        0.0, description="largest change of brightness from the middle of a frame to its sides; drifts along the clip"
    )
    tint: Fraction = Field(0.0, description="largest change of each colour's gain, as a logarithm")
    sharpness: NonNegative = Field(
        0.0,
        description="largest weight of the difference from a blurred copy that is added, or (up to 1) taken away",
    )
    noise: Fraction = Field(0.0, description="largest standard deviation of noise, as a share of full brightness")
    cover: Fraction = Field(
        0.0, description="probability of a skin-coloured patch that moves over the face's rim like a hand"
    )
    onset: Fraction = Field(
        0.0,
        description="probability that a clip begins or ends with the face of its pair's other clip, blended in over up "
        "to 35 % of its length",
    )

    @property
    def has_effects(self) -> bool:
        """True if the recipe asks for any effect of `dfer.batches.effects`."""
        return any((self.motion, self.light, self.tint, self.sharpness, self.noise, self.cover, self.onset))

    @model_validator(mode="after")
    def _ordered(self) -> AugmentSection:
        if not 0 < self.crop_scale[0] <= self.crop_scale[1]:
            raise ValueError("crop_scale must be two shares in ascending order, the first above 0")
        if self.crop_ratio[0] > self.crop_ratio[1]:
            raise ValueError("crop_ratio must be two ratios in ascending order")
        return self


class OptimSection(Settings):
    """Optimizer and learning-rate schedule, stepped per batch."""

    name: Literal["adamw", "sgd"] = Field("adamw", description="the optimizer")
    lr: Positive = Field(5e-4, description="highest learning rate")
    weight_decay: NonNegative = Field(0.05, description="weight decay")
    decayed: Literal["weights", "all"] = Field(
        "weights",
        description="what decays: `weights` leaves out biases, norms, position embeddings and the class token",
    )
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.9, description="of SGD; AdamW ignores it")
    stem_lr_scale: NonNegative = Field(
        1.0,
        description="learning rate of the stem relative to the rest; 0 freezes its weights (not its batch-norm "
        "statistics, see `train.frozen_norm`) and saves its backward pass",
    )
    stem_layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0,
        description="factor of the learning rate from each stage of the stem to the one below it, on top of "
        "`stem_lr_scale`",
    )
    accumulate: Count = Field(
        1,
        description="parts a batch is computed in, one after another, to save memory: the same step up to rounding, "
        "except for batch-norm statistics and the center form of the compact loss, which see one part at a time",
    )
    schedule: Literal["cosine", "step"] = Field("cosine", description="how the learning rate falls")
    warmup_epochs: NonNegative = Field(
        0.0, description="epochs in which the learning rate rises linearly; fractions are fine"
    )
    step_epochs: Count = Field(40, description="`step` schedule: epochs between decays")
    step_gamma: Positive = Field(0.1, description="`step` schedule: factor of a decay")
    final_lr_fraction: Fraction = Field(
        0.01, description="`cosine` schedule: the last learning rate, as a share of `optim.lr`"
    )
    clip_grad_norm: NonNegative = Field(0.0, description="largest norm of the gradient; 0 turns clipping off")


class TrainSection(Settings):
    """The training loop."""

    epochs: Count = Field(50, description="number of epochs")
    epoch_share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0, description="share of the train list that an epoch sees, drawn again for each"
    )
    batch_size: Count = Field(32, description="clips in a batch")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        0,
        description="decides the validation split, initial weights, order of clips, frames, augmentation and dropout",
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto", description="`auto`: bf16 autocast where the device computes in it, else float32"
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="`torch.compile` of the model and of augmentation; `auto`: on GPUs. Where several processes share "
        "batch norm, only what follows it is compiled. Where it fails, training goes on without it, with a warning",
    )
    frozen_norm: bool = Field(
        False,
        description="batch norm keeps the statistics of `model.backbone` or `model.init`; processes then exchange "
        "none, and compile the whole model",
    )
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0,
        description="decay of a moving average of the weights, which is then validated and saved; 0: no average",
    )
    select: Literal["val", "test"] = Field(
        "val",
        description="what `best` is chosen on; `test` only to compare with published tables, and marked in every table",
    )
    feed: Literal["auto", "device", "memory", "stream"] = Field(
        "auto",
        description="where decoded crops are kept: in the GPU's memory (`device`, if there is room for them and "
        "for a step), in main memory, or nowhere, decoded as they are needed (`stream`). `auto` takes the first that "
        "has room, and the log says which",
    )
    memory_gb: NonNegative = Field(
        0.0,
        description="main memory for decoded crops, GB; 0: a third of what is free. Where they take more, they are "
        "streamed",
    )
    workers: Annotated[int, Field(ge=0, le=256)] = Field(0, description="decoding threads; 0: one per core")
    save_minutes: Positive = Field(5.0, description="longest time between two saves of state and checkpoints, minutes")

    @field_validator("compile", mode="before")
    @classmethod
    def _on_and_off(cls, value: object) -> object:
        """YAML reads on and off as truth values."""
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value
