"""Item vectors out of text and a bounded correction: where they start, what training may do to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import Conflict
from unbraid_core.types import DoubleArray, FloatArray
from unbraid_training.checkpoint import Checkpoint, load_checkpoint
from unbraid_training.config import TrainConfig
from unbraid_training.content.config import TFIDF, ContentConfig
from unbraid_training.content.item_content import ItemContent, read_content
from unbraid_training.content.whitening import Whitening
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.splits import LastEvents
from unbraid_training.item_vectors import ContentVectors
from unbraid_training.observer import Silence
from unbraid_training.train import train

ITEMS, FEATURES, DIMENSION = 300, 24, 8
TrainTiny = Callable[..., Checkpoint]


def unit(vectors_ND: DoubleArray) -> DoubleArray:
    unit_ND: DoubleArray = vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return unit_ND


@pytest.fixture
def features_IF() -> torch.Tensor:
    """Correlated, and far from the origin, as those of sentence encoders are."""
    rng = np.random.default_rng(1)
    mixed = rng.normal(size=(ITEMS, FEATURES)) @ rng.normal(size=(FEATURES, FEATURES)) + 5.0
    return torch.from_numpy(mixed.astype(np.float32))


def vectors_over(features_IF: torch.Tensor, **settings: float) -> ContentVectors:
    whitening = Whitening.fit(features_IF, FEATURES)
    return ContentVectors(whitening, whitening(features_IF), DIMENSION, ContentConfig.model_validate(settings))


def wanted_vectors(features_IF: torch.Tensor, noise: float) -> FloatArray:
    """Vectors that a map of the features explains, up to noise."""
    rng = np.random.default_rng(2)
    white_IF = Whitening.fit(features_IF, FEATURES)(features_IF).double().numpy()
    clean_ID = unit(white_IF @ rng.normal(size=(FEATURES, DIMENSION)))
    return unit(clean_ID + noise * rng.normal(size=clean_ID.shape)).astype(np.float32)


def test_white_features_have_no_mean_and_equal_variances(features_IF: torch.Tensor) -> None:
    white_IF = Whitening.fit(features_IF, FEATURES)(features_IF).double().numpy()
    np.testing.assert_allclose(white_IF.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(white_IF.T @ white_IF / ITEMS, np.eye(FEATURES) / FEATURES, atol=1e-4)


@pytest.mark.parametrize(("width", "kept"), [(5, 5), (FEATURES, 7), (100, 7)])
def test_whitening_keeps_the_directions_that_there_are(width: int, kept: int) -> None:
    rng = np.random.default_rng(3)
    flat_NF = (rng.normal(size=(ITEMS, 7)) @ rng.normal(size=(7, FEATURES))).astype(np.float32)
    assert Whitening.fit(torch.from_numpy(flat_NF), width).width == kept


def test_equal_texts_are_white_too() -> None:
    same_NF = torch.ones(4, FEATURES)
    assert torch.isfinite(Whitening.fit(same_NF, FEATURES)(same_NF)).all()


def test_vectors_start_where_they_are_wanted_as_far_as_the_bound_allows(features_IF: torch.Tensor) -> None:
    wanted_ID = wanted_vectors(features_IF, noise=0.3)
    cosine = []
    for bound in (1.0, 0.3, 1e-6):
        items = vectors_over(features_IF, delta_bound=bound)
        items.start(wanted_ID)
        cosine.append(float((items().detach().numpy() * wanted_ID).sum(axis=1).mean()))
        assert items.delta_ID.norm(dim=1).max() <= bound * (1 + 1e-5)
    assert cosine[0] > 0.999
    assert cosine[0] > cosine[1] > cosine[2] > 0.5


def test_content_alone_comes_near_to_what_the_text_explains(features_IF: torch.Tensor) -> None:
    items = vectors_over(features_IF)
    wanted_ID = wanted_vectors(features_IF, noise=0.0)
    items.start(wanted_ID)
    content_ID = items.projection(features_IF).detach().numpy()
    assert (content_ID * wanted_ID).sum(axis=1).mean() > 0.95


def test_corrections_never_leave_their_bound(features_IF: torch.Tensor) -> None:
    items = vectors_over(features_IF, delta_bound=0.5)
    with torch.no_grad():
        items.delta_ID.copy_(torch.randn(ITEMS, DIMENSION))
    before_ID = items.delta_ID.detach().clone()
    items.keep_bounds()
    length_I = items.delta_ID.norm(dim=1)
    assert length_I.max() <= 0.5 * (1 + 1e-5)
    inside_I = before_ID.norm(dim=1) <= 0.5
    torch.testing.assert_close(items.delta_ID[inside_I], before_ID[inside_I])
    torch.testing.assert_close(torch.cosine_similarity(items.delta_ID, before_ID), torch.ones(ITEMS))


def test_a_share_of_the_steps_sees_contents_alone(features_IF: torch.Tensor) -> None:
    items = vectors_over(features_IF, delta_dropout=0.25)
    items.start(wanted_vectors(features_IF, noise=1.0))
    content_ID = items.projection(features_IF)
    torch.manual_seed(4)
    alone = [torch.allclose(items.sample(), content_ID, atol=1e-5) for _ in range(400)]
    assert 0.17 < np.mean(alone) < 0.33
    torch.testing.assert_close(items(), items(), rtol=0, atol=0)


@pytest.fixture(scope="module")
def text_run(train_tiny: TrainTiny, tiny_config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text") / "run"
    train_tiny(folder, config=tiny_config.model_copy(update={"content": ContentConfig(text=TFIDF)}))
    return folder


def test_training_moves_the_map_and_keeps_the_bounds(text_run: Path) -> None:
    checkpoint = load_checkpoint(text_run)
    items, reader = checkpoint.model.items, checkpoint.reader
    assert isinstance(items, ContentVectors)
    assert reader is not None
    content = ItemContent(checkpoint.catalogue, reader, reader.features(checkpoint.catalogue))
    start = content.vectors_of(checkpoint.catalogue, checkpoint.settings)
    torch.testing.assert_close(start.whitened_IW, items.whitened_IW)
    start.start(checkpoint.item_vectors_ID)
    assert not torch.allclose(start.projection.map_WD, items.projection.map_WD, atol=1e-4)
    assert items.delta_ID.norm(dim=1).max() <= checkpoint.settings.content.delta_bound * (1 + 1e-5)


def test_a_text_of_the_topic_leads_to_the_items_of_the_topic(text_run: Path) -> None:
    checkpoint = load_checkpoint(text_run)
    encoder, catalogue = checkpoint.item_encoder(), checkpoint.catalogue
    assert encoder is not None
    topics = sorted({catalogue.categories(row)[0] for row in range(len(catalogue))})
    new = Catalogue.of(topics, [f"{topic} unheard of" for topic in topics], [[topic] for topic in topics])
    for topic, vector_D in zip(topics, encoder.vectors(new), strict=True):
        nearest = np.argsort(-(checkpoint.item_vectors_ID @ vector_D))[:10]
        assert np.mean([catalogue.categories(int(row))[0] == topic for row in nearest]) >= 0.8


def test_other_text_makes_another_run_where_text_is_read(
    text_run: Path, tiny_run: Path, tiny_dataset: Dataset, tiny_config: TrainConfig
) -> None:
    """Same ids and events, but one title is corrected."""
    table = tiny_dataset.catalogue.table
    titles = pa.array(["corrected", *table.column("title").to_pylist()[1:]])
    renamed = table.set_column(table.column_names.index("title"), "title", titles)
    changed = replace(tiny_dataset, catalogue=Catalogue(renamed))
    with_text = tiny_config.model_copy(update={"content": ContentConfig(text=TFIDF)})
    with pytest.raises(Conflict, match="holds another run: its text_sha256 is"):
        train(changed, LastEvents(5), with_text, text_run, Silence())
    assert train(changed, LastEvents(5), tiny_config, tiny_run, Silence()).settings == tiny_config


def test_a_run_that_was_stopped_goes_on_with_the_same_text(
    text_run: Path,
    train_tiny: TrainTiny,
    tiny_config: TrainConfig,
    watch: Callable[..., object],
    interrupted: type[Exception],
    tmp_path: Path,
) -> None:
    config = tiny_config.model_copy(update={"content": ContentConfig(text=TFIDF)})
    with pytest.raises(interrupted):
        train_tiny(tmp_path / "run", watch(stop_at=9), config=config)
    train_tiny(tmp_path / "run", config=config)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (text_run / "model.safetensors").read_bytes()


def test_no_text_is_read_where_none_is_asked_for(tiny_dataset: Dataset) -> None:
    assert read_content(tiny_dataset.catalogue, TrainConfig()) is None
    assert read_content(Catalogue.of(["a"]), TrainConfig()) is None
