"""Figures that others published, or that follow from the architecture on paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dfer.evaluation.metrics import per_class_recall, uar, war
from dfer.evaluation.published import read_published
from dfer.model import logo_former_b, logo_former_s
from dfer.model.complexity import count_gmacs, count_parameters

# Clips per class over DFEW's five test folds: happy, sad, neutral, angry, surprise, disgust, fear.
DFEW_CLIPS = np.array([2445, 1894, 2669, 2173, 1469, 145, 902])

# Tables of DFEW: per-class recalls in percent, UAR, WAR.
PUBLISHED = [
    pytest.param([84.05, 62.57, 67.52, 70.03, 56.43, 3.45, 31.78], 53.69, 65.70, id="Former-DFER"),
    pytest.param([75.17, 39.49, 55.11, 62.49, 45.00, 1.38, 20.51], 42.74, 53.54, id="C3D"),
]


@pytest.mark.parametrize(("recalls", "published_uar", "published_war"), PUBLISHED)
def test_published_recalls_give_the_published_uar_and_war(
    recalls: list[float], published_uar: float, published_war: float
) -> None:
    # Fractions of clips: the published recalls are no quotients of these counts to the last digit.
    correct = np.array(recalls) / 100 * DFEW_CLIPS
    confusion = np.diag(correct)
    rng = np.random.default_rng(0)
    for label, wrong in enumerate(DFEW_CLIPS - correct):  # where the errors go decides neither figure
        others = [other for other in range(7) if other != label]
        confusion[label, others] = wrong * rng.dirichlet(np.ones(6))
    assert confusion.sum() == pytest.approx(11697)
    assert 100 * per_class_recall(confusion) == pytest.approx(recalls)
    assert round(100 * uar(confusion), 2) == published_uar
    assert round(100 * war(confusion), 2) == published_war


def test_the_shipped_table_has_the_figures_that_recalls_give() -> None:
    shipped = {result.method: (result.uar, result.war) for result in read_published("dfew")}
    known = {param.id: param.values[1:] for param in PUBLISHED if param.id in shipped}
    assert known == {name: shipped[name] for name in ("Former-DFER",)}


@pytest.mark.parametrize(
    ("build", "attention", "frames", "gmacs"),
    [
        pytest.param(logo_former_s, "local_global", 16, 10.1, id="s"),
        pytest.param(logo_former_s, "local_global", 64, 41.5, id="s-64-frames"),
        pytest.param(logo_former_s, "joint", 16, 11.2, id="s-joint"),
        pytest.param(logo_former_s, "joint", 64, 67.6, id="s-joint-64-frames"),
        pytest.param(logo_former_b, "local_global", 16, 17.5, id="b"),
    ],
)
def test_gmacs(build: Any, attention: str, frames: int, gmacs: float) -> None:
    model = build(num_frames=frames, attention=attention)
    assert count_gmacs(model, num_frames=frames) == pytest.approx(gmacs, abs=0.06)


@pytest.mark.parametrize(
    ("build", "millions"), [pytest.param(logo_former_s, 9.24, id="s"), pytest.param(logo_former_b, 19.8, id="b")]
)
def test_parameters(build: Any, millions: float) -> None:
    assert count_parameters(build()) / 1e6 == pytest.approx(millions, abs=0.05)


def stem_macs(side: int = 112) -> int:
    """One frame through ResNet-18 up to layer3, by hand: outputs x inputs x kernel of each convolution."""
    first, second, third, fourth = ((side // stride) ** 2 for stride in (2, 4, 8, 16))
    macs = first * 64 * 3 * 49
    macs += 4 * second * 64 * 64 * 9
    macs += third * (128 * 64 * 9 + 3 * 128 * 128 * 9 + 128 * 64)
    macs += fourth * (256 * 128 * 9 + 3 * 256 * 256 * 9 + 256 * 128)
    return macs


@pytest.mark.parametrize("frames", [16, 64])
def test_the_counter_sees_everything_attention_does(frames: int) -> None:
    """By hand, with n tokens; in two frames, a 7x7 map has one window of 2·4·4, two of 2·4·3, and one of 2·3·3.

    The sums over windows, n · D, are no product of matrices and do not count: a hundredth of a percent.
    """
    n, dim, depth = frames * 49, 256, 6
    sizes = (32, 24, 24, 18)
    windows = len(sizes) * frames // 2
    common = stem_macs() * frames + n * 256 * dim + dim * 7
    mlp, projections = 2 * 4 * dim**2 * n, 4 * dim**2 * n
    local_attention = 2 * sum(size**2 for size in sizes) * frames // 2 * dim
    global_attention = 2 * dim**2 * (n + windows) + 2 * n * windows * dim
    joint_attention = 2 * n * n * dim
    local_global = common + depth * (mlp + projections + local_attention + global_attention)
    joint = common + depth * (mlp + projections + joint_attention)
    assert count_gmacs(logo_former_s(), frames) == pytest.approx(local_global / 1e9, rel=1e-9)
    assert count_gmacs(logo_former_s(attention="joint"), frames) == pytest.approx(joint / 1e9, rel=1e-9)


def test_the_trap_is_real_and_not_ours() -> None:
    """Counted naively on a CPU, the fused attention counts as 0, and attention over all tokens looks cheapest."""
    model = logo_former_s(attention="joint", stem_width=8, depth=1).eval()
    naive = FlopCounterMode(display=False)
    with torch.inference_mode(), naive:
        model(torch.zeros(1, 16, 3, 112, 112))
    hidden = count_gmacs(model) - naive.get_total_flops() / 2e9
    assert hidden == pytest.approx(2 * 784**2 * 256 / 1e9, rel=1e-9)


def test_cost_is_linear_in_the_clips_length_unless_all_tokens_attend_to_all() -> None:
    growth = {}
    for attention in ("local", "local_global", "joint"):
        model = logo_former_s(attention=attention)
        growth[attention] = count_gmacs(model, 64) / count_gmacs(model, 16)
    assert growth["local"] == pytest.approx(4.0, rel=1e-4)
    assert growth["local_global"] == pytest.approx(4.0, rel=0.03)  # a small quadratic term is left: n · n/32
    assert growth["joint"] > 6
