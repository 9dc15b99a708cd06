"""The user encoder in PyTorch: what the assignment means, and what an interest may depend on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unbraid_training.config import TrainConfig
from unbraid_training.encoder import MultiInterestEncoder
from unbraid_training.loss.item_softmax import ItemSoftmax
from unbraid_training.loss.mixture import mixture_loss
from unbraid_training.loss.negatives import Negatives
from unbraid_training.loss.routing import routing_information
from unbraid_training.model import Model

B, L, D, K, ACTIONS, ITEMS = 3, 7, 8, 4, 3, 20
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Batch:
    """The inputs of the encoder, in the order of its arguments."""

    item_vectors_BLD: Tensor
    age_s_BL: Tensor
    action_BL: Tensor
    mask_BL: Tensor

    def through(self, encoder: MultiInterestEncoder) -> tuple[Tensor, Tensor]:
        answer: tuple[Tensor, Tensor] = encoder(self.item_vectors_BLD, self.age_s_BL, self.action_BL, self.mask_BL)
        return answer

    def rows(self, start: int, stop: int) -> Batch:
        return Batch(*(getattr(self, name)[start:stop] for name in self.__dataclass_fields__))

    def events(self, order: list[int]) -> Batch:
        return Batch(*(getattr(self, name)[:, order] for name in self.__dataclass_fields__))


@pytest.fixture(scope="module")
def model() -> Model:
    """A model away from its starting point, where nothing is zero by construction."""
    torch.manual_seed(4)
    model = Model(TrainConfig(interest_count=K, dimension=D), ITEMS, ACTIONS)
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return model.eval()


@pytest.fixture(scope="module")
def encoder(model: Model) -> MultiInterestEncoder:
    return model.encoder


def batch(seed: int, lengths: list[int] | None = None) -> Batch:
    """Histories of the given lengths, zero where padded."""
    generator = torch.Generator().manual_seed(seed)
    length_B = torch.tensor(lengths or [L] * B)
    shape_BL = (len(length_B), int(length_B.max()))
    mask_BL = torch.arange(shape_BL[1]) < length_B[:, None]
    vectors_BLD = torch.nn.functional.normalize(torch.randn(*shape_BL, D, generator=generator), dim=-1)
    return Batch(
        vectors_BLD * mask_BL[:, :, None],
        torch.rand(shape_BL, generator=generator) * 1e7 * mask_BL,
        torch.randint(0, ACTIONS, shape_BL, generator=generator) * mask_BL,
        mask_BL,
    )


seeds = st.integers(0, 2**31)
some_lengths = st.lists(st.integers(1, 12), min_size=1, max_size=5)
quick = settings(max_examples=50)


@quick
@given(seed=seeds, lengths=some_lengths)
@torch.no_grad()
def test_unit_vectors_and_whole_events(encoder: MultiInterestEncoder, seed: int, lengths: list[int]) -> None:
    drawn = batch(seed, lengths)
    interests_BKD, assignment_BKL = drawn.through(encoder)
    assert interests_BKD.shape == (len(lengths), K, D)
    np.testing.assert_allclose(torch.linalg.vector_norm(interests_BKD, dim=-1), 1.0, atol=TOLERANCE)
    np.testing.assert_allclose(assignment_BKL.sum(dim=1), drawn.mask_BL, atol=TOLERANCE)
    assert (assignment_BKL >= 0).all()
    assert not assignment_BKL.transpose(1, 2)[~drawn.mask_BL].any()


@quick
@given(seed=seeds, lengths=some_lengths, extra=st.integers(1, 9))
@torch.no_grad()
def test_padding_and_neighbours_change_nothing(
    encoder: MultiInterestEncoder, seed: int, lengths: list[int], extra: int
) -> None:
    drawn = batch(seed, lengths)
    together = drawn.through(encoder)
    padded = Batch(
        *(
            torch.nn.functional.pad(getattr(drawn, name), (0, 0, 0, extra) if name.endswith("D") else (0, extra))
            for name in drawn.__dataclass_fields__
        )
    ).through(encoder)
    np.testing.assert_allclose(padded[0], together[0], atol=TOLERANCE)
    np.testing.assert_allclose(padded[1][:, :, : together[1].shape[2]], together[1], atol=TOLERANCE)
    for b in range(len(lengths)):
        alone = drawn.rows(b, b + 1).through(encoder)
        np.testing.assert_allclose(alone[0][0], together[0][b], atol=TOLERANCE)
        np.testing.assert_allclose(alone[1][0], together[1][b], atol=TOLERANCE)


@quick
@given(seed=seeds)
@torch.no_grad()
def test_what_stands_in_the_padding_does_not_matter(encoder: MultiInterestEncoder, seed: int) -> None:
    drawn = batch(seed, [2, 5, 1])
    garbage = batch(seed + 1, [5, 5, 5])
    filled = Batch(
        torch.where(drawn.mask_BL[:, :, None], drawn.item_vectors_BLD, garbage.item_vectors_BLD),
        torch.where(drawn.mask_BL, drawn.age_s_BL, garbage.age_s_BL),
        torch.where(drawn.mask_BL, drawn.action_BL, garbage.action_BL),
        drawn.mask_BL,
    )
    for expected, found in zip(drawn.through(encoder), filled.through(encoder), strict=True):
        np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@quick
@given(seed=seeds, order=st.permutations(range(L)))
@torch.no_grad()
def test_events_of_equal_age_have_no_order(encoder: MultiInterestEncoder, seed: int, order: list[int]) -> None:
    together = replace(batch(seed), age_s_BL=torch.full((B, L), 3_600.0))
    interests_BKD, assignment_BKL = together.through(encoder)
    shuffled_BKD, shuffled_BKL = together.events(order).through(encoder)
    np.testing.assert_allclose(shuffled_BKD, interests_BKD, atol=TOLERANCE)
    np.testing.assert_allclose(shuffled_BKL, assignment_BKL[:, :, order], atol=TOLERANCE)


@quick
@given(seed=seeds, factor=st.floats(0.0, 100.0))
@torch.no_grad()
def test_an_event_never_changes_its_interest_by_growing_old(
    encoder: MultiInterestEncoder, seed: int, factor: float
) -> None:
    young = batch(seed)
    old = replace(young, age_s_BL=young.age_s_BL * factor)
    np.testing.assert_array_equal(old.through(encoder)[1], young.through(encoder)[1])


@torch.no_grad()
def test_age_and_action_do_have_a_say_in_the_interests(encoder: MultiInterestEncoder) -> None:
    drawn = batch(1)
    interests_BKD, assignment_BKL = drawn.through(encoder)
    older_BKD, _ = replace(drawn, age_s_BL=drawn.age_s_BL.flip(1)).through(encoder)
    assert (older_BKD - interests_BKD).abs().max() > 1e-3
    _, other_BKL = replace(drawn, action_BL=(drawn.action_BL + 1) % ACTIONS).through(encoder)
    assert (other_BKL - assignment_BKL).abs().max() > 1e-3


@torch.no_grad()
def test_a_history_of_padding_alone_gives_numbers(encoder: MultiInterestEncoder) -> None:
    drawn = batch(1)
    interests_BKD, assignment_BKL = replace(drawn, mask_BL=torch.zeros(B, L, dtype=torch.bool)).through(encoder)
    assert torch.isfinite(interests_BKD).all()
    assert not assignment_BKL.any()


@torch.no_grad()
def test_an_untrained_interest_is_the_mean_of_its_events() -> None:
    torch.manual_seed(0)
    fresh = MultiInterestEncoder(D, K, ACTIONS, dropout=0.5).eval()
    drawn = batch(2)
    interests_BKD, assignment_BKL = drawn.through(fresh)
    mean_BKD = torch.nn.functional.normalize(assignment_BKL @ drawn.item_vectors_BLD, dim=-1)
    np.testing.assert_allclose(interests_BKD, mean_BKD, atol=TOLERANCE)


def test_the_loss_reaches_every_parameter_but_the_decay(model: Model) -> None:
    drawn = batch(3, [L, 4, 2])
    row_BT = torch.arange(B * 2).reshape(B, 2)
    age_s_BTL = drawn.age_s_BL[:, None, :] + torch.tensor([60.0, 9e5])[:, None]
    interests_BKD, assignment_BKL = drawn.through(model.encoder)
    choice_BTK = model.decay.log_choice(assignment_BKL, drawn.mask_BL, age_s_BTL)
    softmax = ItemSoftmax(model.item_vectors(), torch.zeros(B, ITEMS), 10.0, Negatives.whole(ITEMS))
    loss = mixture_loss(choice_BTK, softmax.log_p(interests_BKD, row_BT), row_BT >= 0)
    model.zero_grad()
    (loss - routing_information(assignment_BKL, drawn.mask_BL)).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("decay."):
            assert parameter.grad is None, name
            continue
        assert parameter.grad is not None, name
        # A term that shifts every logit alike gets a gradient of rounding errors.
        assert parameter.grad.abs().max() > 1e-6, f"{name} has no effect on the loss"


def test_the_interest_of_an_item_is_that_of_its_event(model: Model) -> None:
    row_N = torch.arange(ITEMS)
    item_vectors_ID = model.item_vectors()
    alone = torch.zeros(ITEMS, 1)
    _, assignment_NK1 = model.encoder(
        item_vectors_ID[row_N].unsqueeze(1), alone, alone.long(), torch.ones(ITEMS, 1, dtype=torch.bool)
    )
    assert model.interest_of(item_vectors_ID, row_N).tolist() == assignment_NK1[:, :, 0].argmax(dim=1).tolist()
