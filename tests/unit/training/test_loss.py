"""The loss against NumPy oracles, and its share of the mass against the one that serving uses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core import decay
from unbraid_core.types import BoolArray, DoubleArray, FloatArray, IntArray
from unbraid_training.loss.choice import log_share
from unbraid_training.loss.item_softmax import ItemSoftmax
from unbraid_training.loss.mixture import mixture_loss
from unbraid_training.loss.negatives import Negatives
from unbraid_training.loss.routing import routing_information
from unbraid_training.loss.targets import Targets

K, D, ITEMS = 3, 6, 15
quick = settings(max_examples=50)
seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Drawn:
    """Histories with their targets; ages of what is padded are 0."""

    assignment_BKL: FloatArray
    mask_BL: BoolArray
    age_s_BTL: FloatArray
    half_life_s_K: FloatArray
    row_BT: IntArray
    mask_BT: BoolArray

    def log_share(self) -> torch.Tensor:
        return log_share(
            *map(torch.from_numpy, (self.assignment_BKL, self.mask_BL, self.age_s_BTL, self.half_life_s_K))
        )

    def targets(self) -> Targets:
        return Targets(*map(torch.from_numpy, (self.row_BT, self.age_s_BTL, self.mask_BT)))


def draw(seed: int, interest_count: int = K) -> Drawn:
    rng = np.random.default_rng(seed)
    B, T, L = (int(size) for size in rng.integers(1, 6, 3))
    mask_BL = np.arange(L) < rng.integers(1, L + 1, B)[:, None]
    assignment_BLK = rng.dirichlet(np.full(interest_count, 0.3), (B, L)) * mask_BL[:, :, None]
    age_s_BTL = rng.uniform(0, 3e7, (B, 1, L)) + rng.uniform(0, 1e7, (B, T, 1))
    return Drawn(
        assignment_BKL=assignment_BLK.transpose(0, 2, 1).astype(np.float32),
        mask_BL=mask_BL,
        age_s_BTL=(age_s_BTL * mask_BL[:, None, :]).astype(np.float32),
        half_life_s_K=np.exp(rng.uniform(np.log(8.64e4), np.log(3e8), interest_count)).astype(np.float32),
        row_BT=rng.integers(0, ITEMS, (B, T)),
        mask_BT=np.arange(T) < rng.integers(1, T + 1, B)[:, None],
    )


@quick
@given(seed=seeds, interest_count=st.integers(1, 6))
def test_training_and_serving_share_out_the_mass_alike(seed: int, interest_count: int) -> None:
    drawn = draw(seed, interest_count)
    log_share_BTK = drawn.log_share().numpy()
    for b, mask_L in enumerate(drawn.mask_BL):
        for t, age_s_L in enumerate(drawn.age_s_BTL[b]):
            log_mass_K = decay.log_mass(
                drawn.assignment_BKL[b][:, mask_L],
                age_s_L[mask_L].astype(np.float64),
                drawn.half_life_s_K.astype(np.float64),
            )
            # A log mass reaches hundreds of nats, of which float32 keeps seven digits.
            np.testing.assert_allclose(log_share_BTK[b, t], decay.log_share(log_mass_K), rtol=1e-5, atol=3e-4)


def plain_loss(
    drawn: Drawn, interests_BKD: FloatArray, vectors_ID: FloatArray, bias_BI: FloatArray, scale: float
) -> float:
    """The mean of -log sum_k share_k * softmax_i(scale * v_k.e_i + bias_bi), one target after the other."""
    log_share_BTK = drawn.log_share().numpy().astype(np.float64)
    losses = []
    for b, t in np.argwhere(drawn.mask_BT):
        p = 0.0
        for k in range(K):
            logit_I: DoubleArray = scale * (vectors_ID @ interests_BKD[b, k]).astype(np.float64) + bias_BI[b]
            p += math.exp(log_share_BTK[b, t, k]) * math.exp(logit_I[drawn.row_BT[b, t]]) / np.exp(logit_I).sum()
        losses.append(-math.log(p))
    return float(np.mean(losses))


@quick
@given(seed=seeds, scale=st.sampled_from([1.0, 10.0, 20.0]))
def test_the_loss_is_that_of_a_mixture_of_softmaxes(seed: int, scale: float) -> None:
    drawn = draw(seed)
    rng = np.random.default_rng([seed, 1])
    interests_BKD = rng.normal(size=(len(drawn.row_BT), K, D)).astype(np.float32)
    interests_BKD /= np.linalg.norm(interests_BKD, axis=2, keepdims=True)
    vectors_ID = rng.normal(size=(ITEMS, D)).astype(np.float32)
    vectors_ID /= np.linalg.norm(vectors_ID, axis=1, keepdims=True)
    bias_BI = rng.normal(-3.0, 1.0, (len(drawn.row_BT), ITEMS)).astype(np.float32)
    targets = drawn.targets()
    softmax = ItemSoftmax(torch.from_numpy(vectors_ID), torch.from_numpy(bias_BI), scale, Negatives.whole(ITEMS))
    log_p_BKT = softmax.log_p(torch.from_numpy(interests_BKD), targets.row_BT)
    loss = mixture_loss(drawn.log_share(), log_p_BKT, targets.mask_BT)
    assert loss.item() == pytest.approx(plain_loss(drawn, interests_BKD, vectors_ID, bias_BI, scale), rel=1e-4)


@quick
@given(seed=seeds, interest_count=st.integers(1, 6))
def test_routing_information_lies_between_0_and_log_k(seed: int, interest_count: int) -> None:
    drawn = draw(seed, interest_count)
    information = routing_information(torch.from_numpy(drawn.assignment_BKL), torch.from_numpy(drawn.mask_BL)).item()
    assert -1e-5 <= information <= math.log(interest_count) + 1e-5


@quick
@given(seed=seeds)
def test_routing_information_is_the_mutual_information_of_event_and_interest(seed: int) -> None:
    drawn = draw(seed)
    assignment_NK = drawn.assignment_BKL.transpose(0, 2, 1)[drawn.mask_BL].astype(np.float64)
    usage_K = assignment_NK.mean(axis=0)
    expected = sum(
        share * math.log(share / usage) / len(assignment_NK)
        for share_K in assignment_NK
        for share, usage in zip(share_K, usage_K, strict=True)
        if share > 0
    )
    information = routing_information(torch.from_numpy(drawn.assignment_BKL), torch.from_numpy(drawn.mask_BL)).item()
    assert information == pytest.approx(expected, abs=1e-5)


def test_the_extremes_of_routing() -> None:
    mask_BL = torch.tensor([[True] * 4 + [False] * 2])
    one_each = torch.zeros(1, 4, 6)
    one_each[0, range(4), range(4)] = 1.0
    assert routing_information(one_each, mask_BL).item() == pytest.approx(math.log(4))
    spread = torch.full((1, 4, 6), 0.25)
    assert routing_information(spread, mask_BL).item() == pytest.approx(0.0, abs=1e-6)
    collapsed = torch.zeros(1, 4, 6)
    collapsed[:, 2] = 1.0
    assert routing_information(collapsed, mask_BL).item() == pytest.approx(0.0, abs=1e-6)
