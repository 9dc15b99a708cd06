"""What keeps interests apart, and what tells whether they are, against sums written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.types import DoubleArray
from unbraid_training.loss.independence import distance_correlation
from unbraid_training.loss.mixture import mixture_loss
from unbraid_training.loss.routing import routing_variance
from unbraid_training.loss.separation import Separation

quick = settings(max_examples=50)
seeds = st.integers(0, 2**32 - 1)


def centred(points_BD: DoubleArray) -> DoubleArray:
    distance_BB = np.linalg.norm(points_BD[:, None] - points_BD[None], axis=2)
    centred_BB: DoubleArray = (
        distance_BB - distance_BB.mean(axis=0) - distance_BB.mean(axis=1)[:, None] + distance_BB.mean()
    )
    return centred_BB


@quick
@given(seed=seeds)
def test_distance_correlation_is_that_of_the_definition(seed: int) -> None:
    points_BKD = np.random.default_rng(seed).normal(size=(12, 3, 4))
    covariances = {}
    for first, second in np.ndindex(3, 3):
        product_BB = centred(points_BKD[:, first]) * centred(points_BKD[:, second])
        covariances[first, second] = math.sqrt(product_BB.mean())
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([covariances[a, b] / math.sqrt(covariances[a, a] * covariances[b, b]) for a, b in pairs])
    found = distance_correlation(torch.from_numpy(points_BKD.astype(np.float32)))
    assert found.item() == pytest.approx(float(expected), rel=1e-3)


def test_distance_correlation_sees_any_dependence() -> None:
    generator = torch.Generator().manual_seed(0)
    x_BD = torch.randn(1000, 1, 2, generator=generator)
    y_BD = torch.randn(1000, 1, 2, generator=generator)
    independent = distance_correlation(torch.cat([x_BD, y_BD], dim=1)).item()
    equal = distance_correlation(torch.cat([x_BD, x_BD], dim=1)).item()
    square = distance_correlation(torch.cat([x_BD, x_BD.square()], dim=1)).item()
    assert independent < 0.12
    assert square > 2 * independent, "no linear correlation, and yet it is seen"
    assert equal == pytest.approx(1.0, abs=1e-4)
    assert distance_correlation(x_BD).item() == 0.0, "one interest has none to depend on"


def test_distance_correlation_has_finite_gradients_where_users_are_alike() -> None:
    interests_BKD = torch.nn.functional.normalize(torch.ones(4, 2, 3), dim=-1).requires_grad_()
    distance_correlation(interests_BKD).backward()
    assert interests_BKD.grad is not None
    assert torch.isfinite(interests_BKD.grad).all()


@quick
@given(seed=seeds)
def test_routing_variance_is_that_of_the_weights_of_a_history(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length_B = rng.integers(1, 7, 4)
    mask_BL = np.arange(7) < length_B[:, None]
    assignment_BLK = rng.dirichlet(np.ones(3), (4, 7)) * mask_BL[:, :, None]
    expected = 0.0
    for length, assignment_LK in zip(length_B, assignment_BLK, strict=True):
        weight_LK = assignment_LK[:length] / assignment_LK[:length].sum(axis=0)
        expected += ((weight_LK * length).var(axis=0) ** 2).sum() / 4
    found = routing_variance(
        torch.from_numpy(assignment_BLK.transpose(0, 2, 1).astype(np.float32)), torch.from_numpy(mask_BL)
    )
    assert found.item() == pytest.approx(expected, rel=1e-3, abs=1e-5)


def one_hot(interest_BL: list[list[int]], interest_count: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(interest_BL), interest_count).transpose(1, 2).float()


def test_separation_of_a_clean_and_of_a_collapsed_routing() -> None:
    mask_BL = torch.ones(1, 8, dtype=torch.bool)
    apart_BKD = torch.eye(4).unsqueeze(0)
    clean = Separation.of(apart_BKD, one_hot([[0, 0, 1, 1, 2, 2, 3, 3]], 4), mask_BL)
    assert clean == pytest.approx(Separation(2.0, math.log(4), 0.0), abs=1e-5)
    collapsed = Separation.of(torch.ones(1, 4, 4) / 2, one_hot([[1] * 8], 4), mask_BL)
    assert collapsed == pytest.approx(Separation(8.0, 0.0, 1.0), abs=1e-5)
    alone = Separation.of(torch.ones(1, 1, 1), one_hot([[0] * 8], 1), mask_BL)
    assert alone == pytest.approx(Separation(8.0, 0.0, 0.0), abs=1e-5)


@quick
@given(seed=seeds)
def test_what_is_padded_does_not_count_for_the_separation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assignment_BKL = torch.from_numpy(rng.dirichlet(np.ones(3), (2, 5)).astype(np.float32)).transpose(1, 2)
    interests_BKD = torch.from_numpy(rng.normal(size=(2, 3, 4)).astype(np.float32))
    plain = Separation.of(interests_BKD, assignment_BKL, torch.ones(2, 5, dtype=torch.bool))
    padded_BKL = torch.cat([assignment_BKL, torch.zeros(2, 3, 4)], dim=2)
    mask_BL = torch.arange(9).expand(2, 9) < 5
    assert Separation.of(interests_BKD, padded_BKL, mask_BL) == pytest.approx(plain, rel=1e-5)
    assert 1.0 <= plain.effective_events <= 5.0
    assert 0.0 <= plain.usage_entropy <= math.log(3) + 1e-6


@quick
@given(seed=seeds)
def test_a_hard_selection_costs_more_than_the_mixture_and_at_most_log_k_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_choice_BTK = torch.log_softmax(torch.from_numpy(rng.normal(size=(3, 2, 4))), dim=-1)
    log_p_BKT = torch.from_numpy(-rng.exponential(3.0, (3, 4, 2)))
    mask_BT = torch.tensor([[True, True], [True, False], [True, True]])
    soft = mixture_loss(log_choice_BTK, log_p_BKT, mask_BT).item()
    hard = mixture_loss(log_choice_BTK, log_p_BKT, mask_BT, hard=True).item()
    joint_BTK = (log_choice_BTK + log_p_BKT.transpose(1, 2)).numpy()
    assert hard == pytest.approx(-joint_BTK.max(axis=2)[mask_BT.numpy()].mean())
    assert soft - 1e-9 <= hard <= soft + math.log(4) + 1e-9


def test_a_hard_selection_teaches_one_interest_only() -> None:
    log_p_BKT = torch.tensor([[[-1.0], [-3.0]]], requires_grad=True)
    mixture_loss(torch.log(torch.tensor([[[0.5, 0.5]]])), log_p_BKT, torch.tensor([[True]]), hard=True).backward()
    assert log_p_BKT.grad is not None
    assert log_p_BKT.grad.flatten().tolist() == [-1.0, 0.0]
