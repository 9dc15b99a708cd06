"""The decay of interests: its start, its bounds, and what its loss teaches on a process whose half-lives are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from unbraid_core.decay import log_mass, log_share
from unbraid_training.config import DAY_S, DecayConfig, TrainConfig
from unbraid_training.data.splits import LastEvents
from unbraid_training.data.synthetic import SyntheticSpec, plant
from unbraid_training.decay import NO_DECAY_S, Decay
from unbraid_training.item_statistics import log_popularity
from unbraid_training.loss.whole_events import WholeEvents
from unbraid_training.score_fit import ALL_TIME_S
from unbraid_training.trainer import Trainer

K = 3
seeds = st.integers(0, 2**32 - 1)


def test_half_lives_start_log_spaced_and_stay_within_their_bounds() -> None:
    decay = Decay(DecayConfig(range_s=(1e4, 1e7), bounds_s=(1e3, 1e8)), 4)
    assert decay.half_life_s().tolist() == pytest.approx([1e4, 1e5, 1e6, 1e7], rel=1e-4)
    with torch.no_grad():
        decay.log_half_life_K.add_(torch.tensor([-100.0, 0.0, 0.0, 100.0]))
    decay.keep_bounds()
    assert decay.half_life_s().tolist() == pytest.approx([1e3, 1e5, 1e6, 1e8], rel=1e-4)


def test_half_lives_can_be_given() -> None:
    assert Decay(DecayConfig(half_lives_s=(5e4,)), 2).half_life_s().tolist() == pytest.approx([5e4, 5e4], rel=1e-4)
    each = Decay(DecayConfig(kind="fixed", half_lives_s=(5e4, 3e8)), 2)
    assert each.half_life_s().tolist() == pytest.approx([5e4, 3e8], rel=1e-4)


def test_as_many_half_lives_as_interests_are_wanted() -> None:
    with pytest.raises(ValidationError, match=r"2 values for 3 interests; give one for all, or one for each"):
        TrainConfig(interest_count=3, decay=DecayConfig(half_lives_s=(1.0, 2.0)))


@pytest.mark.parametrize("kind", ["fixed", "none"])
def test_without_learning_only_the_restlessness_moves(kind: str) -> None:
    decay = Decay(DecayConfig.model_validate({"kind": kind}), K)
    assert [parameter is decay.restlessness_logit for parameter in decay.trainable()] == [True]


def test_without_decay_ten_years_change_no_share() -> None:
    decay = Decay(DecayConfig(kind="none"), 2)
    assignment_BKL = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    ages_s_BTL = torch.tensor([[[3650 * DAY_S, 0.0]]])
    choice_K = decay.log_choice(assignment_BKL, torch.tensor([[True, True]]), ages_s_BTL)[0, 0].exp().tolist()
    assert choice_K == pytest.approx([0.5, 0.5], abs=1e-3)
    assert decay.half_life_s().max() == pytest.approx(NO_DECAY_S, rel=1e-4)


@settings(max_examples=50)
@given(seed=seeds)
def test_the_loss_is_that_of_the_interest_that_comes_next(seed: int) -> None:
    """Against the formula, one example after the other, every event whole in the interest of its largest share."""
    rng = np.random.default_rng(seed)
    B, L = (int(size) for size in rng.integers(1, 6, 2))
    half_life_s_K = np.exp(rng.uniform(np.log(1e5), np.log(1e7), K))
    decay = Decay(DecayConfig(half_lives_s=tuple(half_life_s_K)), K)
    with torch.no_grad():
        decay.restlessness_logit.fill_(float(rng.normal()))
    restlessness = decay.restlessness().item()
    mask_BL = np.arange(L) < rng.integers(1, L + 1, B)[:, None]
    assignment_BLK = rng.dirichlet(np.ones(K), (B, L)) * mask_BL[:, :, None]
    age_s_BL = rng.uniform(0, 1e6, (B, L)) * mask_BL
    next_B = rng.integers(0, K, B)
    losses = []
    for b in range(B):
        whole_L = assignment_BLK[b].argmax(axis=1)[mask_BL[b]]
        alive_L = 2.0 ** (-age_s_BL[b][mask_BL[b]] / half_life_s_K[whole_L])
        mass_K = np.bincount(whole_L, alive_L, K)
        share = mass_K[next_B[b]] / mass_K.sum()
        losses.append(-math.log((1 - restlessness) * share + restlessness / K))
    events = WholeEvents.of(
        torch.from_numpy(assignment_BLK.transpose(0, 2, 1).astype(np.float32)),
        torch.from_numpy(mask_BL),
        torch.from_numpy(age_s_BL.astype(np.float32)),
    )
    found = decay.loss(events, torch.from_numpy(next_B))
    assert found.item() == pytest.approx(float(np.mean(losses)), rel=1e-3, abs=1e-4)


def test_the_loss_teaches_the_decay_and_leaves_the_assignment_alone() -> None:
    decay = Decay(DecayConfig(), 2)
    assignment_BKL = torch.tensor([[[0.9, 0.2], [0.1, 0.8]]], requires_grad=True)
    age_s_BL = torch.tensor([[2e5, 1e5]])
    decay.loss(WholeEvents.of(assignment_BKL, torch.tensor([[True, True]]), age_s_BL), torch.tensor([0])).backward()
    assert assignment_BKL.grad is None
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in decay.trainable())


@settings(max_examples=50)
@given(seed=seeds)
def test_the_shares_of_whole_events_are_those_of_serving(seed: int) -> None:
    """Some events are nearly gone, and some interests have no event at all."""
    rng = np.random.default_rng(seed)
    length = int(rng.integers(1, 8))
    half_life_s_K = np.exp(rng.uniform(np.log(1e6), np.log(1e8), K))
    age_s_L = rng.uniform(0, 3e7, length)
    whole_KL = np.eye(K, dtype=np.float32)[rng.integers(0, K, length)].T
    expected_K = np.exp(log_share(log_mass(whole_KL, age_s_L, half_life_s_K)))
    events = WholeEvents.of(
        torch.from_numpy(np.pad(whole_KL, ((0, 0), (0, 2))))[None],
        torch.from_numpy(np.arange(length + 2) < length)[None],
        torch.from_numpy(np.pad(age_s_L, (0, 2)))[None].float(),
    )
    found_K = events.log_share(torch.from_numpy(half_life_s_K).float())[0]
    assert found_K.isfinite().all()
    assert found_K.exp().numpy() == pytest.approx(expected_K, abs=1e-4)


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_settled_half_lives_are_those_that_were_planted(seed: int) -> None:
    """Each within a factor of 1.5, also the slow one, whose mark a few thousand examples hardly show."""
    planted = plant(SyntheticSpec(seed=seed))
    train = LastEvents(10).apply(planted.dataset).train
    trainer = Trainer(train, TrainConfig(dimension=16, seed=seed), log_popularity(train, ALL_TIME_S))
    trainer.settle_decay()
    row_I = torch.arange(len(train.catalogue))
    interest_I = trainer.model.eval().interest_of(trainer.model.item_vectors(), row_I)
    cluster_I = planted.cluster_of_item_I[planted.dataset.catalogue.rows(train.catalogue.item_ids)]
    cluster_K = np.array([np.bincount(cluster_I[interest_I == interest]).argmax() for interest in range(4)])
    ratio_K = trainer.model.half_life_s().detach().numpy() / planted.half_life_s_K[cluster_K]
    assert sorted(cluster_K) == [0, 1, 2, 3]
    assert np.abs(np.log(ratio_K)).max() < np.log(1.5)
