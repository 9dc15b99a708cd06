"""What every tokeniser keeps to, and the batches that are made of its tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unbraid_core.errors import IntegrityError
from unbraid_index.content.subwords import Subwords
from unbraid_index.content.tokeniser import Tokeniser, TokeniserKind, open_tokeniser, token_batches
from unbraid_index.content.vocabulary import Vocabulary

TEXTS = [
    "jazz 12, jazz",
    "hiking 3",
    "baking 4",
    "jazz 12, new",
    "",
    "xylophone",
    "hiking jazz baking astronomy 1 2 3 4 5 6",
]


@pytest.fixture(params=["terms", "subwords"])
def tokeniser(request: pytest.FixtureRequest, sentence_folder: Path) -> Tokeniser:
    if request.param == "terms":
        return Vocabulary.of([*TEXTS, *TEXTS])
    return Subwords.open(sentence_folder / "tokenizer.json", 10)


def test_equal_texts_have_equal_tokens_and_others_have_others(tokeniser: Tokeniser) -> None:
    first, second, third = tokeniser.tokens(["jazz 12", "jazz 12", "hiking 3"])
    assert first == second
    assert first != third


def test_a_text_does_not_depend_on_the_others(tokeniser: Tokeniser) -> None:
    assert tokeniser.tokens(TEXTS) == [tokeniser.tokens([text])[0] for text in TEXTS]
    assert tokeniser.tokens([]) == []


def test_no_text_is_longer_than_the_limit(tokeniser: Tokeniser, tmp_path: Path) -> None:
    tokeniser.write(tmp_path / "tokeniser.json")
    short = open_tokeniser(tmp_path / "tokeniser.json", tokeniser.kind, 4)
    assert short.max_tokens == 4
    assert max(map(len, short.tokens(TEXTS))) == 4


def test_what_was_written_is_read_again(tokeniser: Tokeniser, tmp_path: Path) -> None:
    tokeniser.write(tmp_path / "tokeniser.json")
    again = open_tokeniser(tmp_path / "tokeniser.json", tokeniser.kind, tokeniser.max_tokens)
    assert again.kind == tokeniser.kind
    assert again.tokens(TEXTS) == tokeniser.tokens(TEXTS)


@pytest.mark.parametrize("kind", ["terms", "subwords"])
@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", b"\xff\xfe"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, kind: TokeniserKind, content: bytes) -> None:
    (tmp_path / "tokeniser.json").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"tokeniser\.json"):
        open_tokeniser(tmp_path / "tokeniser.json", kind, 10)


def test_batches_hold_every_text_once_padded_to_the_longest(tokeniser: Tokeniser) -> None:
    tokens = tokeniser.tokens(TEXTS * 30)
    found = {}
    for position_B, batch in token_batches(tokens):
        assert batch.token_BL.shape == batch.mask_BL.shape
        assert (batch.token_BL[~batch.mask_BL] == 0).all()
        for position, token_L, mask_L in zip(position_B.tolist(), batch.token_BL, batch.mask_BL, strict=True):
            assert (np.diff(mask_L.astype(int)) <= 0).all(), "padding is on the right"
            found[position] = token_L[mask_L].tolist()
    assert [found[position] for position in range(len(tokens))] == tokens


def test_terms_are_shared_words_and_pairs_the_most_frequent_first() -> None:
    vocabulary = Vocabulary.of(["Red lamp", "red LAMP shade", "red", "one off"])
    assert vocabulary.terms == ["red", "lamp", "red lamp"]
    assert vocabulary.tokens(["the RED red lamp!", "a lamp, red"]) == [[0, 1, 2], [1, 0]]
