"""What the files of an export and a release are called."""

from __future__ import annotations

__all__ = [
    "CATALOGUE",
    "EXPORT_FILES",
    "EXPORT_MANIFEST",
    "INDEX",
    "ITEM_FEATURES",
    "ITEM_VECTORS",
    "QUERIES",
    "RELEASE_FILES",
    "RELEASE_MANIFEST",
    "REPORTS",
    "USER_ENCODER",
]

EXPORT_MANIFEST = "export.json"
RELEASE_MANIFEST = "manifest.json"

USER_ENCODER = "user_encoder.onnx"
ITEM_VECTORS = "item_vectors.npy"
ITEM_FEATURES = "item_features.npy"
CATALOGUE = "items.arrow"
INDEX = "index.faiss"
REPORTS = "reports"

# Interest vectors of held-out histories, float32 [Q, D], without any id: an index is measured on them. They are still
# taken from what users did, so an export may carry them, and a release never does: it holds no user data.
QUERIES = "queries.npy"

EXPORT_FILES = (USER_ENCODER, ITEM_VECTORS, ITEM_FEATURES, CATALOGUE)
RELEASE_FILES = (*EXPORT_FILES, INDEX)
