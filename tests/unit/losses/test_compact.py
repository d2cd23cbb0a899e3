"""The compact loss: both forms against loops, their gradients, and batches that lack classes."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dfer.errors import UsageError
from dfer.evaluation.metrics import intra_inter_ratio
from dfer.losses import CompactLoss
from dfer.losses.compact import CenterCompactness, logit_compactness

C, D = 5, 6


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def batch(size: int = 8, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(size, C, dtype=dtype), torch.arange(size) % C, torch.randn(size, D, dtype=dtype)


def logit_form_by_loops(logits: Tensor, labels: Tensor) -> float:
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        wrong = [math.exp(value) for index, value in enumerate(row) if index != label]
        q = [value / sum(wrong) for value in wrong]
        total += 0.5 * sum((p - 1 / len(q)) * math.log(p) for p in q)
    return total / len(logits)


def center_form_by_loops(centers: Tensor, features: Tensor, labels: Tensor, margin: float) -> float:
    intra = sum(float(((f - centers[y]) ** 2).sum()) / D for f, y in zip(features, labels.tolist(), strict=True)) / len(
        features
    )
    shortfalls = []
    for a in sorted(set(labels.tolist())):
        mean = features[labels == a].mean(dim=0)
        for c in range(len(centers)):
            if c != a:
                distance = float((mean - centers[c]).norm()) / math.sqrt(D)
                shortfalls.append(max(0.0, margin - distance))
    return intra + sum(shortfalls) / len(shortfalls)


def settled_centers(**settings: Any) -> CenterCompactness:
    """Centres that all classes have been seen for, in evaluation mode: they stay where they are."""
    centers = CenterCompactness(num_classes=C, dim=D, **settings).double()
    centers.centers.normal_()
    centers.seen.fill_(True)
    return centers.eval()


# --------------------------------------------------------------------------------------------------- the contract


def test_the_contract_holds() -> None:
    logits, labels, features = batch()
    loss = CompactLoss(weight=0.1)
    assert loss.form == "logit"
    assert loss(logits, labels, features).item() == pytest.approx(0.1 * logit_form_by_loops(logits, labels))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"weight": -1.0}, "weight must be", id="negative"),
        pytest.param({"weight": math.nan}, "weight must be", id="nan"),
        pytest.param({"weight": 1.0, "form": "centre"}, "form must be logit or center", id="form"),
        pytest.param({"weight": 1.0, "form": "center"}, "needs num_classes and dim", id="no-sizes"),
        pytest.param({"weight": 1.0, "form": "center", "dim": 4}, "needs num_classes", id="no-classes"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CompactLoss(**settings)


def test_center_form_asks_for_features() -> None:
    logits, labels, _ = batch()
    with pytest.raises(ValueError, match="needs the pooled features"):
        CompactLoss(weight=1.0, form="center", num_classes=C, dim=D)(logits, labels)


@pytest.mark.parametrize("form", ["logit", "center"])
def test_weight_zero_is_exactly_zero_and_touches_nothing(form: Any) -> None:
    loss = CompactLoss(weight=0.0, form=form, num_classes=C, dim=D).train()
    logits, labels, features = batch()
    value = loss(logits.fill_(math.nan).requires_grad_(), labels, features)
    assert value.item() == 0.0
    assert not value.requires_grad
    assert form == "logit" or not loss.centers.seen.any()


@pytest.mark.parametrize("form", ["logit", "center"])
def test_weight_scales_the_loss(form: Any) -> None:
    values = [
        CompactLoss(weight=weight, form=form, num_classes=C, dim=D)(*batch_of_one_seed()).item()
        for weight in (1.0, 2.5)
    ]
    assert values[1] == pytest.approx(2.5 * values[0])
    assert values[0] > 0


def batch_of_one_seed() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    return batch()


# ------------------------------------------------------------------------------------------------- the logit form


def test_logit_form_equals_half_the_symmetric_divergence() -> None:
    logits, labels, _ = batch()
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        q = torch.cat([row[:label], row[label + 1 :]]).softmax(dim=0)
        u = torch.full_like(q, 1 / (C - 1))
        total += 0.5 * float((q * (q / u).log()).sum() + (u * (u / q).log()).sum())
    assert logit_compactness(logits, labels).item() == pytest.approx(total / len(logits))
    assert logit_form_by_loops(logits, labels) == pytest.approx(total / len(logits))


def test_equal_wrong_classes_minimise_the_logit_form() -> None:
    labels = torch.arange(C)
    logits = torch.full((C, C), -1.5, dtype=torch.float64)
    logits[labels, labels] = torch.linspace(-3, 30, C, dtype=torch.float64)  # the target may be anywhere
    logits.requires_grad_()
    value = logit_compactness(logits, labels)
    value.backward()
    assert value.item() == pytest.approx(0.0, abs=1e-12)
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-12
    for _ in range(20):
        assert logit_compactness(logits + 0.1 * torch.randn_like(logits), labels) > 1e-6


def test_logit_form_leaves_the_target_logit_to_the_cross_entropy() -> None:
    logits, labels, _ = batch()
    logits.requires_grad_()
    logit_compactness(logits, labels).backward()
    assert logits.grad is not None
    target = F.one_hot(labels, C).bool()
    assert (logits.grad[target] == 0).all()
    assert (logits.grad[~target] != 0).all()


def test_soft_labels_give_the_expected_value() -> None:
    logits, labels, _ = batch()
    one_hot = F.one_hot(labels, C).double()
    assert torch.equal(logit_compactness(logits, one_hot), logit_compactness(logits, labels))
    probabilities = torch.rand(8, C, dtype=torch.float64).softmax(dim=1)
    expected = sum(
        float(probability) * logit_form_by_loops(row[None], torch.tensor([label]))
        for row, row_probabilities in zip(logits, probabilities, strict=True)
        for label, probability in enumerate(row_probabilities)
    )
    assert logit_compactness(logits, probabilities).item() == pytest.approx(expected / 8)


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_logit_form_gradient(soft: bool) -> None:
    logits, labels, _ = batch(4)
    targets = torch.rand(4, C, dtype=torch.float64).softmax(dim=1) if soft else labels
    assert torch.autograd.gradcheck(lambda x: logit_compactness(x, targets), logits.requires_grad_())


@pytest.mark.parametrize(
    "logits",
    [
        pytest.param(torch.tensor([[1e4, -1e4, 0.0]]), id="huge"),
        pytest.param(torch.zeros(1, 3), id="equal"),
        pytest.param(torch.tensor([[0.3, -0.2]]), id="two-classes"),
    ],
)
def test_logit_form_stays_finite(logits: Tensor) -> None:
    logits.requires_grad_()
    value = logit_compactness(logits, torch.tensor([0]))
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    if logits.shape[1] == 2:  # the one wrong class is as far away as all the others: there are none
        assert value.item() == 0.0


# ------------------------------------------------------------------------------------------------ the center form


def test_center_form_by_loops() -> None:
    centers = settled_centers(margin=1.3)
    _, labels, features = batch()
    expected = center_form_by_loops(centers.centers, features, labels, margin=1.3)
    assert centers(features, labels).item() == pytest.approx(expected)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [2, 2, 2, 2], [0, 0, 4, 4]], ids=["many", "one", "two"])
def test_center_form_gradient(labels: list[int]) -> None:
    centers = settled_centers(margin=2.0)
    features = torch.randn(4, D, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: centers(x, torch.tensor(labels)), features)


def test_both_terms_of_the_center_form_move_the_features() -> None:
    """A clip at its own centre feels no pull, only the push away from a centre within the margin."""
    centers = settled_centers(margin=1.0)
    centers.centers.zero_()
    centers.centers[1, 0] = 0.5
    centers.seen.copy_(torch.tensor([True, True, False, False, False]))
    features = torch.zeros(1, D, dtype=torch.float64, requires_grad=True)
    centers(features, torch.tensor([0])).backward()
    assert features.grad is not None
    assert features.grad[0, 0] > 0  # downhill leads away from class 1
    assert features.grad[0, 1:].abs().max() == 0


def test_centers_start_at_the_first_mean_and_then_follow_slowly() -> None:
    loss = CenterCompactness(num_classes=3, dim=2, momentum=0.75).train()
    loss(torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 4.0]]), torch.tensor([0, 0, 2]))
    assert loss.centers.tolist() == [[2.0, 0.0], [0.0, 0.0], [0.0, 4.0]]
    assert loss.seen.tolist() == [True, False, True]
    loss(torch.tensor([[6.0, 4.0]]), torch.tensor([0]))
    assert loss.centers.tolist() == [[3.0, 1.0], [0.0, 0.0], [0.0, 4.0]]


def test_evaluation_leaves_the_centers_where_they_are() -> None:
    centers = settled_centers()
    before = centers.centers.clone()
    _, labels, features = batch()
    centers(features, labels)
    assert torch.equal(centers.centers, before)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize(
    "labels", [[3], [3, 3, 3], [0, 4, 0], [0, 1, 2, 3, 4]], ids=["one-clip", "one-class", "two", "all"]
)
def test_absent_classes_never_give_nan(labels: list[int], training: bool) -> None:
    loss = CompactLoss(weight=1.0, form="center", num_classes=C, dim=D).train(training)
    for _ in range(3):
        features = torch.zeros(len(labels), D, requires_grad=True)  # coinciding centres: the norm's corner
        value = loss(torch.zeros(len(labels), C), torch.tensor(labels), features)
        value.backward()
        assert value.isfinite()
        assert features.grad is not None
        assert features.grad.isfinite().all()


def test_classes_never_seen_take_no_part() -> None:
    loss = CenterCompactness(num_classes=C, dim=D, margin=10.0).train()
    features = torch.randn(4, D)
    assert loss(features[:2] * 0 + features[:1], torch.tensor([1, 1])).item() == pytest.approx(0.0, abs=1e-12)
    assert loss.eval()(features, torch.tensor([2, 3, 4, 4])).item() < 10.0
    unknown = CenterCompactness(num_classes=C, dim=D).eval()
    assert unknown(features, torch.tensor([0, 1, 2, 3])).item() == 0.0


def test_soft_labels_of_the_center_form_count_as_their_most_probable_class() -> None:
    logits, labels, features = batch()
    smoothed = 0.9 * F.one_hot(labels, C).double() + 0.1 / C
    values, centers = [], []
    for targets in (labels, smoothed):
        loss = CompactLoss(weight=1.0, form="center", num_classes=C, dim=D).train()
        values.append(loss(logits, targets, features).item())
        centers.append(loss.centers.centers)
    assert values[0] == values[1]
    assert torch.equal(*centers)


def test_centers_are_saved_and_are_no_parameters() -> None:
    loss = CompactLoss(weight=1.0, form="center", num_classes=C, dim=D).train()
    loss(*batch())
    again = CompactLoss(weight=1.0, form="center", num_classes=C, dim=D)
    again.load_state_dict(loss.state_dict())
    assert torch.equal(again.centers.centers, loss.centers.centers)
    assert again.centers.seen.all()
    assert list(loss.parameters()) == []


@pytest.mark.parametrize("form", ["logit", "center"])
def test_half_precision_is_computed_in_single(form: Any) -> None:
    logits, labels, features = batch(40, dtype=torch.float32)
    half = [logits.bfloat16(), labels, features.bfloat16()]
    single = [tensor.float() if tensor.is_floating_point() else tensor for tensor in half]
    first, second = (CompactLoss(weight=1.0, form=form, num_classes=C, dim=D) for _ in range(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = first(*half)
    assert value.dtype == torch.float32
    assert torch.equal(value, second(*single))


def test_the_center_form_lowers_the_ratio_it_is_made_for() -> None:
    features = torch.randn(60, D, requires_grad=True)
    labels = torch.arange(60) % 3
    loss = CenterCompactness(num_classes=3, dim=D).train()
    before = intra_inter_ratio(features.detach().numpy(), labels.numpy())
    optimizer = torch.optim.Adam([features], lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        loss(features, labels).backward()
        optimizer.step()
    assert intra_inter_ratio(features.detach().numpy(), labels.numpy()) < 0.2 * before


WORKER = """
import sys, torch
from torch import distributed
from dfer.losses.compact import CenterCompactness
rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
loss = CenterCompactness(num_classes=3, dim=2).train()
features = torch.tensor([[1.0, 0.0], [5.0, 6.0]] if rank == 0 else [[3.0, 2.0], [9.0, 9.0]])
loss(features, torch.tensor([0, 1] if rank == 0 else [0, 2]))
torch.save((loss.centers, loss.seen), f"{out}/{rank}.pt")
distributed.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_processes_share_their_centers(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", WORKER]
    workers = [subprocess.Popen([*arguments, str(rank), str(tmp_path / "store"), str(tmp_path)]) for rank in (0, 1)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    for rank in (0, 1):
        centers, seen = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert centers.tolist() == [[2.0, 1.0], [5.0, 6.0], [9.0, 9.0]]
        assert seen.all()
