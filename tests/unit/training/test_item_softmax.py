"""The softmax over items, whole, sampled and with weighed negatives, against sums written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unbraid_core.types import DoubleArray
from unbraid_training.loss.item_softmax import ItemSoftmax
from unbraid_training.loss.negatives import Negatives

B, K, T, D, ITEMS = 3, 2, 4, 5, 30
SCALE = 6.0
quick = settings(max_examples=50)
seeds = st.integers(0, 2**32 - 1)


class World:
    """Random interests, items, biases and targets."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.interests_BKD = _unit(torch.randn(B, K, D, generator=generator))
        self.item_vectors_ID = _unit(torch.randn(ITEMS, D, generator=generator))
        self.bias_BI = torch.randn(B, ITEMS, generator=generator)
        self.row_BT = torch.randint(ITEMS, (B, T), generator=generator)
        self.frequency_I = torch.softmax(torch.randn(ITEMS, generator=generator), dim=0)

    def log_p(self, negatives: Negatives, hardness: float = 0.0) -> Tensor:
        softmax = ItemSoftmax(self.item_vectors_ID, self.bias_BI, SCALE, negatives, hardness)
        return softmax.log_p(self.interests_BKD, self.row_BT)

    def affinity(self) -> DoubleArray:
        """[B, K, I]"""
        affinity_BKI: DoubleArray = (self.interests_BKD.double() @ self.item_vectors_ID.double().T).numpy() * SCALE
        return affinity_BKI

    def written_out(self, hardness: float) -> DoubleArray:
        """Log p [B, K, T], one negative after the other."""
        affinity_BKI, bias_BI = self.affinity(), self.bias_BI.double().numpy()
        log_p_BKT = np.empty((B, K, T))
        for b, k, t in np.ndindex(B, K, T):
            target = int(self.row_BT[b, t])
            others = [item for item in range(ITEMS) if item != target]
            weight_N = np.exp(hardness * affinity_BKI[b, k, others])
            weight_N /= weight_N.mean()
            negative = (weight_N * np.exp(affinity_BKI[b, k, others] + bias_BI[b, others])).sum()
            positive = np.exp(affinity_BKI[b, k, target] + bias_BI[b, target])
            log_p_BKT[b, k, t] = np.log(positive / (positive + negative))
        return log_p_BKT


def _unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)


@quick
@given(seed=seeds, hardness=st.sampled_from([0.0, 0.3, 1.0]))
def test_it_is_the_sum_over_the_whole_catalogue(seed: int, hardness: float) -> None:
    world = World(seed)
    found = world.log_p(Negatives.whole(ITEMS), hardness)
    np.testing.assert_allclose(found, world.written_out(hardness), rtol=1e-3, atol=1e-4)


@quick
@given(seed=seeds)
def test_without_hardness_it_is_a_softmax(seed: int) -> None:
    world = World(seed)
    log_p_BKI = torch.log_softmax(torch.from_numpy(world.affinity()) + world.bias_BI.unsqueeze(1), dim=-1)
    index_BKT = world.row_BT.unsqueeze(1).expand(-1, K, -1)
    np.testing.assert_allclose(
        world.log_p(Negatives.whole(ITEMS)), log_p_BKI.gather(2, index_BKT), rtol=1e-3, atol=1e-4
    )


@quick
@given(seed=seeds)
def test_harder_negatives_only_lower_the_chance(seed: int) -> None:
    world = World(seed)
    world.bias_BI = torch.zeros(B, ITEMS)
    log_p = [world.log_p(Negatives.whole(ITEMS), hardness) for hardness in (0.0, 0.5, 1.0)]
    assert bool((log_p[1] <= log_p[0] + 1e-5).all())
    assert bool((log_p[2] <= log_p[1] + 1e-5).all())


@quick
@given(seed=seeds, hardness=st.sampled_from([0.0, 1.0]))
def test_a_sample_of_everything_is_everything(seed: int, hardness: float) -> None:
    """Every item drawn once, and expected once: the sampled softmax is the whole one."""
    world = World(seed)
    everything = Negatives.sampled(torch.randperm(ITEMS), torch.full((ITEMS,), 1 / ITEMS), uniform_count=0)
    np.testing.assert_allclose(
        world.log_p(everything, hardness), world.log_p(Negatives.whole(ITEMS), hardness), rtol=1e-3, atol=1e-4
    )


@quick
@given(seed=seeds, uniform_count=st.integers(1, 60))
def test_a_sample_holds_what_was_drawn_and_the_targets_of_the_batch(seed: int, uniform_count: int) -> None:
    torch.manual_seed(seed)
    world = World(seed)
    row_N = world.row_BT.flatten()
    negatives = Negatives.sampled(row_N, world.frequency_I, uniform_count)
    rows = negatives.row_C.tolist()
    assert sorted(set(rows)) == rows
    assert set(row_N.tolist()) <= set(rows)
    assert len(rows) <= uniform_count + len(row_N)
    assert torch.isfinite(negatives.log_weight_I).nonzero().flatten().tolist() == rows


def test_the_correction_makes_the_sum_unbiased() -> None:
    """Targets drawn by their frequency: the weights of every item average to 1 over many batches."""
    torch.manual_seed(0)
    world = World(1)
    repeats = 4000
    total_I = torch.zeros(ITEMS)
    for _ in range(repeats):
        row_N = torch.multinomial(world.frequency_I, 12, replacement=True)
        total_I += Negatives.sampled(row_N, world.frequency_I, 10).log_weight_I.exp()
    np.testing.assert_allclose(total_I / repeats, np.ones(ITEMS), atol=0.12)


def test_a_larger_sample_comes_nearer_to_the_whole() -> None:
    world = World(2)
    whole = world.log_p(Negatives.whole(ITEMS))
    errors = []
    for uniform_count in (10, 100, 10_000):
        torch.manual_seed(3)
        row_N = torch.multinomial(world.frequency_I, uniform_count, replacement=True)
        sampled = world.log_p(Negatives.sampled(row_N, world.frequency_I, uniform_count))
        errors.append((sampled - whole).abs().mean().item())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.05


def test_a_target_among_the_negatives_does_not_count_against_itself() -> None:
    """However often it was drawn: with no other item in the sample its chance is 1."""
    world = World(4)
    world.row_BT = torch.full((B, T), 7)
    only_itself = Negatives.sampled(torch.full((5,), 7), world.frequency_I, 1)
    drawn = set(only_itself.row_C.tolist()) - {7}
    log_weight_I = only_itself.log_weight_I.clone()
    log_weight_I[list(drawn)] = -torch.inf
    log_p = world.log_p(Negatives(torch.tensor([7]), log_weight_I))
    assert log_p.exp().min().item() == pytest.approx(1.0, abs=1e-4)


def test_gradients_are_finite_where_one_item_has_all_the_weight() -> None:
    interests_BKD = torch.tensor([[[1.0, 0.0]]], requires_grad=True)
    items_ID = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [-1.0, 0.1]], requires_grad=True)
    softmax = ItemSoftmax(items_ID, torch.zeros(1, 3), 100.0, Negatives.whole(3), hardness=0.5)
    softmax.log_p(interests_BKD, torch.tensor([[0, 1]])).sum().backward()
    assert interests_BKD.grad is not None
    assert items_ID.grad is not None
    assert torch.isfinite(interests_BKD.grad).all()
    assert torch.isfinite(items_ID.grad).all()
