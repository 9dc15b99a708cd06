"""What the files of an export and a release are called."""

from __future__ import annotations

__all__ = [
    "CATALOGUE",
    "EXPORT_FILES",
    "EXPORT_MANIFEST",
    "FACTORS",
    "INDEX",
    "ITEM_ENCODER",
    "ITEM_ENCODER_FILES",
    "ITEM_FEATURES",
    "ITEM_STATISTICS",
    "ITEM_TOKENISER",
    "ITEM_VECTORS",
    "NEIGHBOUR_ROWS",
    "NEIGHBOUR_WEIGHTS",
    "QUERIES",
    "QUERY_SHARES",
    "RANKER",
    "RANKER_FILES",
    "RELEASE_FILES",
    "RELEASE_MANIFEST",
    "REPORTS",
    "SIGNATURE",
    "USER_ENCODER",
    "USER_FILES",
]

EXPORT_MANIFEST = "export.json"
RELEASE_MANIFEST = "manifest.json"
# Beside the manifest of a signed release; not listed in there, since it is made of it.
SIGNATURE = "manifest.sig"

USER_ENCODER = "user_encoder.onnx"
ITEM_VECTORS = "item_vectors.npy"
ITEM_FEATURES = "item_features.npy"
CATALOGUE = "items.arrow"
INDEX = "index.faiss"
REPORTS = "reports"

# Where items were trained with their text: tokens of the text to item vectors, and what cuts a text into tokens.
ITEM_ENCODER = "item_encoder.onnx"
ITEM_TOKENISER = "item_tokeniser.json"
ITEM_ENCODER_FILES = (ITEM_ENCODER, ITEM_TOKENISER)

# Interest vectors of held-out histories, float32 [Q, D], without any id: an index is measured on them. They are still
# taken from what users did, so an export may carry them, and a release never does: it holds no user data.
QUERIES = "queries.npy"
# Their log shares, float32 [U, K], where Q = U K and the K interests of a user follow each other.
QUERY_SHARES = "query_log_shares.npy"
USER_FILES = (QUERIES, QUERY_SHARES)

# What profile ``learned`` needs; a release has all of these or none.
RANKER = "ranker.onnx"
NEIGHBOUR_ROWS = "neighbour_rows.npy"
NEIGHBOUR_WEIGHTS = "neighbour_weights.npy"
FACTORS = "factors.npy"
ITEM_STATISTICS = "item_statistics.npy"
RANKER_FILES = (RANKER, NEIGHBOUR_ROWS, NEIGHBOUR_WEIGHTS, FACTORS, ITEM_STATISTICS)

EXPORT_FILES = (USER_ENCODER, ITEM_VECTORS, ITEM_FEATURES, CATALOGUE)
RELEASE_FILES = (*EXPORT_FILES, INDEX)
