"""Every combination of trunk, time, extraction and short-term branch, in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from unbraid_core.types import DoubleArray
from unbraid_training.config import DAY_S, EncoderConfig, ExtractionName, TrunkName, every_encoder
from unbraid_training.encoder import MultiInterestEncoder
from unbraid_training.encoder.events import Events
from unbraid_training.encoder.extraction import dynamic_routing

B, L, D, K, ACTIONS = 3, 6, 8, 4, 3
TOLERANCE = 1e-5
PLAIN = EncoderConfig()
TRUNKS = get_args(TrunkName)
VARIANTS = every_encoder()
every_variant = pytest.mark.parametrize("config", VARIANTS, ids=lambda config: config.architecture)


@dataclass(frozen=True)
class Histories:
    """The inputs of an encoder, in the order of its arguments."""

    item_vectors_BLD: Tensor
    age_s_BL: Tensor
    action_BL: Tensor
    mask_BL: Tensor

    def through(self, encoder: MultiInterestEncoder) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            answer: tuple[Tensor, Tensor] = encoder(self.item_vectors_BLD, self.age_s_BL, self.action_BL, self.mask_BL)
        return answer

    def filled(self, other: Histories) -> Histories:
        """The same histories, with what ``other`` holds where they are padded."""
        return Histories(
            torch.where(self.mask_BL[:, :, None], self.item_vectors_BLD, other.item_vectors_BLD),
            torch.where(self.mask_BL, self.age_s_BL, other.age_s_BL),
            torch.where(self.mask_BL, self.action_BL, other.action_BL),
            self.mask_BL,
        )


def histories(seed: int, *length_B: int) -> Histories:
    """Histories over about a week, zero where padded."""
    generator = torch.Generator().manual_seed(seed)
    mask_BL = torch.arange(L) < torch.tensor(length_B)[:, None]
    vectors_BLD = torch.nn.functional.normalize(torch.randn(len(length_B), L, D, generator=generator), dim=-1)
    pause_s_BL = torch.rand(mask_BL.shape, generator=generator) * 3 * DAY_S * mask_BL
    age_s_BL = pause_s_BL.flip(1).cumsum(1).flip(1)
    newest_s_B1 = age_s_BL.gather(1, torch.tensor(length_B)[:, None] - 1)
    action_BL = torch.randint(0, ACTIONS, mask_BL.shape, generator=generator)
    return Histories(
        vectors_BLD * mask_BL[:, :, None], (age_s_BL - newest_s_B1) * mask_BL, action_BL * mask_BL, mask_BL
    )


def fresh(config: EncoderConfig, interest_count: int = K) -> MultiInterestEncoder:
    torch.manual_seed(3)
    return MultiInterestEncoder(D, interest_count, ACTIONS, 0.5, config).eval()


def shaken(config: EncoderConfig, interest_count: int = K) -> MultiInterestEncoder:
    """An encoder away from its starting point, where nothing is zero by construction."""
    encoder = fresh(config, interest_count)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return encoder


def assert_same(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=TOLERANCE)


def difference(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


def test_there_is_a_name_for_each() -> None:
    assert len({config.architecture for config in VARIANTS}) == 40
    assert PLAIN.architecture == "none+time/self-attentive"
    assert EncoderConfig(trunk="gru", short_term=True).architecture == "gru+time/self-attentive/short-term"


@every_variant
def test_what_stands_in_the_padding_does_not_matter(config: EncoderConfig) -> None:
    encoder, padded = shaken(config), histories(1, 2, 5, 1)
    expected = padded.through(encoder)
    assert_same(padded.filled(histories(2, L, L, L)).through(encoder), expected)
    # Not even what could never stand in a history.
    nonsense = replace(histories(2, L, L, L), age_s_BL=torch.full((B, L), 1e12))
    assert_same(padded.filled(nonsense).through(encoder), expected)


@every_variant
def test_a_history_of_padding_alone_gives_numbers(config: EncoderConfig) -> None:
    nothing = replace(histories(1, L, L, L), mask_BL=torch.zeros(B, L, dtype=torch.bool))
    interests_BKD, assignment_BKL = nothing.through(shaken(config))
    assert torch.isfinite(interests_BKD).all()
    assert not assignment_BKL.any()


@every_variant
def test_a_single_interest_has_every_event(config: EncoderConfig) -> None:
    drawn = histories(1, 2, 5, 1)
    interests_B1D, assignment_B1L = drawn.through(shaken(config, interest_count=1))
    np.testing.assert_allclose(torch.linalg.vector_norm(interests_B1D, dim=-1), 1.0, atol=TOLERANCE)
    np.testing.assert_allclose(assignment_B1L[:, 0], drawn.mask_BL, atol=TOLERANCE)


@every_variant
def test_training_starts_as_without_a_trunk(config: EncoderConfig) -> None:
    drawn = histories(1, 2, L, 4)
    bare = config.model_copy(update={"trunk": "none"})
    assert_same(drawn.through(fresh(config)), drawn.through(fresh(bare)))


@every_variant
def test_gradients_reach_every_weight(config: EncoderConfig) -> None:
    encoder, drawn = shaken(config), histories(1, L, 4, 2)
    generator = torch.Generator().manual_seed(0)
    interests_BKD, assignment_BKL = encoder(drawn.item_vectors_BLD, drawn.age_s_BL, drawn.action_BL, drawn.mask_BL)
    loss = (interests_BKD * torch.randn(interests_BKD.shape, generator=generator)).sum()
    (loss + (assignment_BKL * torch.randn(assignment_BKL.shape, generator=generator)).sum()).backward()
    for name, parameter in encoder.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().max() > 1e-7, f"{name} has no effect"


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("extraction", get_args(ExtractionName))
def test_only_with_time_ages_are_read(trunk: TrunkName, extraction: ExtractionName) -> None:
    with_time = EncoderConfig(trunk=trunk, extraction=extraction)
    drawn = histories(1, L, 5, 4)
    slower = replace(drawn, age_s_BL=drawn.age_s_BL * 7)
    encoder = shaken(with_time)
    assert difference(slower.through(encoder), drawn.through(encoder)) > 1e-3
    encoder = shaken(with_time.model_copy(update={"time": False}))
    assert difference(slower.through(encoder), drawn.through(encoder)) == 0.0


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_trunk_reads_the_order_of_events(trunk: TrunkName) -> None:
    config = EncoderConfig(trunk=trunk, time=False)
    drawn, order = histories(1, L, L, L), [2, 0, 1, 3, 4, 5]
    encoder = shaken(config)
    interests_BKD, _ = replace(
        drawn, item_vectors_BLD=drawn.item_vectors_BLD[:, order], action_BL=drawn.action_BL[:, order]
    ).through(encoder)
    moved = float((interests_BKD - drawn.through(encoder)[0]).abs().max())
    assert moved < TOLERANCE if trunk == "none" else moved > 1e-3


def squash(sum_KD: DoubleArray) -> DoubleArray:
    square_K1 = (sum_KD**2).sum(axis=1, keepdims=True)
    squashed_KD: DoubleArray = square_K1 / (1 + square_K1) * sum_KD / np.sqrt(square_K1)
    return squashed_KD


def softmax(logit_NK: DoubleArray) -> DoubleArray:
    power_NK = np.exp(logit_NK)
    shares_NK: DoubleArray = power_NK / power_NK.sum(axis=1, keepdims=True)
    return shares_NK


def test_dynamic_routing_is_that_of_mind_from_a_fixed_start() -> None:
    """Algorithm 1 of the paper, one history at a time, with averaged agreements."""
    drawn, direction_KD = histories(5, L, 3, 1), torch.nn.functional.normalize(torch.randn(K, D), dim=-1)
    value_BLD = torch.nn.functional.normalize(drawn.item_vectors_BLD + 0.1, dim=-1)
    events = Events(drawn.item_vectors_BLD, value_BLD, drawn.age_s_BL, drawn.mask_BL)
    found_BLK = dynamic_routing(events, direction_KD).exp().double().numpy()
    for b in range(B):
        event_ND = drawn.item_vectors_BLD[b, drawn.mask_BL[b]].double().numpy()
        capsule_ND = value_BLD[b, drawn.mask_BL[b]].double().numpy()
        agreements = [event_ND @ direction_KD.double().numpy().T]
        for _ in range(2):
            shares_NK = softmax(20.0 * np.mean(agreements, axis=0))
            agreements.append(capsule_ND @ squash(shares_NK.T @ capsule_ND).T)
        expected_NK = softmax(20.0 * np.mean(agreements, axis=0))
        np.testing.assert_allclose(found_BLK[b, : len(event_ND)], expected_NK, atol=TOLERANCE)


def test_dynamic_routing_keeps_its_directions_and_answers_alike_every_time() -> None:
    encoder, drawn = shaken(EncoderConfig(extraction="dynamic-routing")), histories(1, L, 4, 2)
    assert not encoder.direction_KD.requires_grad
    assert difference(drawn.through(encoder), drawn.through(encoder)) == 0.0


def last_session(hours: float, session_s: float) -> float:
    """How far the interests move when a short-term branch reads a last event that is ``hours`` after all others."""
    drawn = histories(1, L, L, L)
    age_s_BL = torch.full((B, L), hours * 3_600.0)
    age_s_BL[:, -1] = 0.0
    config = EncoderConfig(time=False, short_term=True, session_s=session_s)
    # With all events in the session, long and short term differ by their saliencies alone.
    with_branch, without = shaken(config), shaken(config)
    without.short_term = None
    found, expected = (replace(drawn, age_s_BL=age_s_BL).through(encoder) for encoder in (with_branch, without))
    np.testing.assert_array_equal(found[1], expected[1])
    return float((found[0] - expected[0]).abs().max())


def test_the_last_session_reaches_back_as_far_as_configured() -> None:
    within, beyond = last_session(2.0, session_s=7_200.0), last_session(2.0, session_s=7_199.0)
    assert within > 1e-4
    assert beyond > 1e-4
    assert within != beyond
    assert last_session(48.0, session_s=7_199.0) == beyond
    assert last_session(0.5, session_s=7_200.0) == within


def test_an_interest_that_the_session_does_not_touch_stays_as_it_is() -> None:
    encoder = shaken(EncoderConfig(time=False, short_term=True))
    direction_KD = torch.nn.functional.normalize(torch.eye(D)[:K], dim=-1)
    with torch.no_grad():
        encoder.direction_KD.copy_(direction_KD)
        encoder.action.weight.zero_()
    # Interests 0 and 1 long ago, then a session on interest 1.
    vectors_LD = direction_KD[[0, 0, 1, 1, 1]]
    age_s_L = torch.tensor([9.0, 8.0, 7.0, 0.1, 0.0]) * DAY_S
    drawn = Histories(
        vectors_LD[None], age_s_L[None], torch.zeros(1, 5, dtype=torch.int64), torch.ones(1, 5, dtype=torch.bool)
    )
    found_BKD, _ = drawn.through(encoder)
    encoder.short_term = None
    long_BKD, _ = drawn.through(encoder)
    np.testing.assert_allclose(found_BKD[0, 0], long_BKD[0, 0], atol=1e-6)
    assert (found_BKD[0, 1] - long_BKD[0, 1]).abs().max() > 1e-3
