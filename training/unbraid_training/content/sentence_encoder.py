"""A pretrained sentence encoder of the BERT family, read from a folder in the layout of sentence-transformers.

Devlin et al. 2019 (arXiv:1810.04805) for the layers, Reimers and Gurevych 2019 (arXiv:1908.10084) for the mean over
the tokens. Written out here, because it has to be exported to one ONNX graph together with what follows it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from unbraid_core.errors import InvalidInput, NotFound
from unbraid_index.content.subwords import Subwords

__all__ = ["WEIGHTS_FILE", "SentenceEncoder"]

SHAPE_FILE, TOKENISER_FILE, WEIGHTS_FILE = "config.json", "tokenizer.json", "model.safetensors"
LIMIT_FILE, POOLING_FILE = "sentence_bert_config.json", "1_Pooling/config.json"

# What a masked key gets before the softmax: -inf would turn a text without tokens into NaN.
MASKED = -1e9

# The modules below by the names that they have in the file of the weights.
EMBEDDING_NAMES = {
    "words": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "segments": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
}
WITHOUT_BIAS = ("words", "positions", "segments")
LAYER_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "narrow_norm": "output.LayerNorm",
}


class BertShape(BaseModel):
    """The part of config.json that decides about the layers."""

    model_type: str
    hidden_act: str
    position_embedding_type: str = "absolute"
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: int
    type_vocab_size: int
    max_position_embeddings: int
    layer_norm_eps: float


class Layer(nn.Module):
    """Self-attention and a feed-forward network, each added to its input and normalised."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        width = shape.hidden_size
        self.head_count = shape.num_attention_heads
        self.query, self.key, self.value, self.attended = (nn.Linear(width, width) for _ in range(4))
        self.attended_norm = nn.LayerNorm(width, shape.layer_norm_eps)
        self.wide = nn.Linear(width, shape.intermediate_size)
        self.narrow = nn.Linear(shape.intermediate_size, width)
        self.narrow_norm = nn.LayerNorm(width, shape.layer_norm_eps)

    def forward(self, hidden_BLF: Tensor, bias_B11L: Tensor) -> Tensor:
        """The hidden state after this layer [B, L, F]; the bias is added to the attention of every key."""
        query, key, value = (self._heads(part(hidden_BLF)) for part in (self.query, self.key, self.value))
        weight_BHLL = torch.softmax(query @ key.transpose(2, 3) * query.shape[-1] ** -0.5 + bias_B11L, dim=-1)
        context_BLF = (weight_BHLL @ value).transpose(1, 2).flatten(2)
        hidden_BLF = self.attended_norm(hidden_BLF + self.attended(context_BLF))
        wider_BLF = self.narrow(nn.functional.gelu(self.wide(hidden_BLF)))
        result_BLF: Tensor = self.narrow_norm(hidden_BLF + wider_BLF)
        return result_BLF

    def _heads(self, part_BLF: Tensor) -> Tensor:
        B, L, F = part_BLF.shape
        return part_BLF.view(B, L, self.head_count, F // self.head_count).transpose(1, 2)


class SentenceEncoder(nn.Module):
    """Unit-length mean of the last hidden states of a text's tokens.

    Args:
        shape: of the layers.
        tokeniser: that the weights were trained with.
        folder: where they came from.
    """

    def __init__(self, shape: BertShape, tokeniser: Subwords, folder: Path) -> None:
        super().__init__()
        self.tokeniser = tokeniser
        self._folder = folder
        self.words = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.positions = nn.Embedding(shape.max_position_embeddings, shape.hidden_size)
        self.segments = nn.Embedding(shape.type_vocab_size, shape.hidden_size)
        self.norm = nn.LayerNorm(shape.hidden_size, shape.layer_norm_eps)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))

    @classmethod
    def open(cls, folder: Path) -> SentenceEncoder:
        """Read config.json, tokenizer.json and model.safetensors, and what there is on pooling and length.

        Raises:
            NotFound: a file is missing.
            InvalidInput: not a BERT with a mean over its tokens, or the weights do not fit the configuration.
            IntegrityError: the tokeniser cannot be read.
        """
        for name in (SHAPE_FILE, TOKENISER_FILE, WEIGHTS_FILE):
            if not (folder / name).is_file():
                raise NotFound(f"{folder / name}: no such file; name a folder with a sentence encoder of its own files")
        shape = _read_shape(folder)
        limit = _read_json(folder / LIMIT_FILE).get("max_seq_length", shape.max_position_embeddings)
        tokeniser = Subwords.open(folder / TOKENISER_FILE, min(limit, shape.max_position_embeddings))
        encoder = cls(shape, tokeniser, folder)
        try:
            encoder.load_state_dict(_renamed(load_file(folder / WEIGHTS_FILE), shape.num_hidden_layers))
        except (KeyError, RuntimeError, SafetensorError) as error:
            problem = f"does not hold the weights that {SHAPE_FILE} describes ({str(error).splitlines()[0]})"
            raise InvalidInput(str(folder / WEIGHTS_FILE), f"{problem}; fetch the folder again") from None
        return encoder.eval()

    def forward(self, token_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """See TextEncoder."""
        position_L = torch.arange(token_BL.shape[1], device=token_BL.device)
        hidden_BLF = self.norm(self.words(token_BL) + self.positions(position_L) + self.segments.weight[0])
        present_BL1 = mask_BL.unsqueeze(-1).to(hidden_BLF.dtype)
        bias_B11L = ((1.0 - present_BL1) * MASKED).transpose(1, 2).unsqueeze(1)
        for layer in self.layers:
            hidden_BLF = layer(hidden_BLF, bias_B11L)
        return nn.functional.normalize((hidden_BLF * present_BL1).sum(dim=1), dim=-1)

    def write(self, folder: Path) -> list[str]:
        """See TextEncoder: copies what was read."""
        names = [SHAPE_FILE, TOKENISER_FILE, WEIGHTS_FILE, LIMIT_FILE]
        present = [name for name in names if (self._folder / name).is_file()]
        for name in present:
            shutil.copyfile(self._folder / name, folder / name)
        return present


def _read_shape(folder: Path) -> BertShape:
    path = folder / SHAPE_FILE
    try:
        shape = BertShape.model_validate(_read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidInput(str(path), f"{field}: {first['msg']}; name the folder of a BERT sentence encoder") from None
    expected = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    for name, value in expected.items():
        if getattr(shape, name) != value:
            problem = f"{name} is {getattr(shape, name)!r}, only {value!r} is supported"
            raise InvalidInput(str(path), f"{problem}; choose another sentence encoder")
    pooling = _read_json(folder / POOLING_FILE)
    chosen = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on]
    if pooling and chosen != ["pooling_mode_mean_tokens"]:
        problem = f"pools by {', '.join(chosen)}, only the mean over the tokens is supported"
        raise InvalidInput(str(folder / POOLING_FILE), f"{problem}; choose another sentence encoder")
    return shape


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is no such file."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise InvalidInput(str(path), "is not a JSON object; fetch the folder again")
    return content


def _renamed(weights: dict[str, Tensor], layer_count: int) -> dict[str, Tensor]:
    """The weights under the names of this module; some folders put ``bert.`` in front of theirs."""
    theirs = {name.removeprefix("bert."): tensor for name, tensor in weights.items()}
    modules = dict(EMBEDDING_NAMES)
    for index in range(layer_count):
        for ours, name in LAYER_NAMES.items():
            modules[f"layers.{index}.{ours}"] = f"encoder.layer.{index}.{name}"
    renamed = {f"{ours}.weight": theirs[f"{name}.weight"] for ours, name in modules.items()}
    biased = {ours: name for ours, name in modules.items() if ours not in WITHOUT_BIAS}
    return renamed | {f"{ours}.bias": theirs[f"{name}.bias"] for ours, name in biased.items()}
