"""Exports and releases, opened: every byte was checked before anything was loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import IncompatibleError, IntegrityError, NotFound
from unbraid_core.item_vectors import STORED_TYPE, CompactVectors, ItemVectors
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_core.release.arrays import check_finite, read_matrix
from unbraid_core.release.files import readable, verify
from unbraid_core.release.layout import (
    CATALOGUE,
    EXPORT_MANIFEST,
    ITEM_FEATURES,
    ITEM_VECTORS,
    QUERIES,
    QUERY_SHARES,
    SIGNATURE,
)
from unbraid_core.release.lease import Lease
from unbraid_core.release.manifest import ExportManifest, ReleaseManifest, parse_manifest
from unbraid_core.release.ranker import read_ranker_inputs
from unbraid_core.types import BoolArray, FloatArray, Precision

__all__ = ["Export", "Release", "SignatureCheck", "open_export", "open_release", "read_manifest"]

SignatureCheck = Callable[[bytes, bytes], bool]
"""Whether the second argument, the content of a signature file, is a good signature of the first."""

UNIT_LENGTH_TOLERANCE = 1e-3

M = TypeVar("M", bound=ExportManifest)


@dataclass(frozen=True, slots=True, eq=False)
class _Opened(Generic[M]):
    folder: Path
    manifest: M
    item_vectors_ID: ItemVectors
    log_popularity_I: FloatArray
    catalogue: Catalogue
    ranker_inputs: RankerInputs | None

    def path(self, name: str) -> Path:
        """Where a listed file lies.

        Raises:
            NotFound: the manifest does not list it.
        """
        if name not in self.manifest.files:
            raise NotFound(f"{self.folder.name}: {self.manifest.file_name} lists no file {name!r}")
        return self.folder / name


@dataclass(frozen=True, slots=True, eq=False)
class Release(_Opened[ReleaseManifest]):
    """A verified release.

    Attributes:
        folder: where it lies.
        manifest: what it says about itself.
        item_vectors_ID: unit vectors of the items, memory-mapped; float32 whatever they are stored as.
        log_popularity_I: log of each item's decayed, smoothed share of all events; finite.
        catalogue: the I items.
        ranker_inputs: what profile ``learned`` reads, memory-mapped; None where the release has no ranker.
        lease: says that the release is in use; whoever uses a part of the release for long keeps it.
    """

    lease: Lease


class Export(_Opened[ExportManifest]):
    """A verified export: a release without an index. The attributes are those of a ``Release``."""

    __slots__ = ()

    def queries(self) -> FloatArray | None:
        """Unit vectors [Q, D] of held-out interests to measure an index on, None where the export carries none.

        Raises:
            IncompatibleError: not float32 [Q, D].
            IntegrityError: not a NumPy file, or not of unit length.
        """
        if QUERIES not in self.manifest.files:
            return None
        return _unit_vectors(self.path(QUERIES), self.manifest.encoder.dimension)

    def query_log_shares(self) -> FloatArray | None:
        """Log shares [U, K] of the interests in ``queries``, K after K of them; None where users are unknown.

        Raises:
            IncompatibleError: not float32 [U, K].
            IntegrityError: not a NumPy file, or not finite.
        """
        if QUERY_SHARES not in self.manifest.files:
            return None
        path = self.path(QUERY_SHARES)
        return check_finite(path, read_matrix(path, np.float32, self.manifest.encoder.interest_count))


def open_release(folder: Path, is_signed: SignatureCheck | None = None) -> Release:
    """Verify a release and load its vectors and catalogue.

    Args:
        folder: of the release.
        is_signed: demands a signature of the manifest, and says of its bytes and those of the signature whether it is
            good. The manifest has the sha256 of every file, so it speaks for all of them.

    Raises:
        NotFound: the release is being removed.
        IntegrityError: a file is missing, unlisted, unreadable or changed, or holds impossible values; or the demanded
            signature is missing or of another key.
        IncompatibleError: another format version, or the parts do not fit together.
    """
    folder = folder.resolve()
    lease = Lease.take(folder)
    manifest = read_manifest(folder, ReleaseManifest, is_signed)
    return Release(folder, manifest, *_load(folder, manifest), lease)


def open_export(folder: Path) -> Export:
    """Verify an export and load its vectors and catalogue.

    Raises:
        NotFound: there is no export in the folder.
        IntegrityError, IncompatibleError: as ``open_release``.
    """
    folder = folder.resolve()
    if not (folder / EXPORT_MANIFEST).is_file():
        raise NotFound(
            f"{folder}: is no export ({EXPORT_MANIFEST} is missing); name the folder that unbraid export wrote, "
            "RUN_DIR/export unless it was told another"
        )
    manifest = read_manifest(folder, ExportManifest)
    return Export(folder, manifest, *_load(folder, manifest))


def read_manifest(folder: Path, model: type[M], is_signed: SignatureCheck | None = None) -> M:
    """Read the manifest of a folder, and nothing else but its signature where that is demanded.

    Raises:
        IncompatibleError, IntegrityError: as ``parse_manifest``, or it cannot be read, or is not signed as demanded.
    """
    where = f"{folder.name}/{model.file_name}"
    with readable(where):
        text = (folder / model.file_name).read_bytes()
    if is_signed is not None and not is_signed(text, _signature(folder)):
        raise IntegrityError(f"{folder.name}/{SIGNATURE}: the manifest is not signed with the key that is trusted")
    return parse_manifest(text, model, where)


def _signature(folder: Path) -> bytes:
    try:
        return (folder / SIGNATURE).read_bytes()
    except OSError:
        raise IntegrityError(
            f"{folder.name}/{SIGNATURE}: a signature is demanded and there is none; use: unbraid release sign"
        ) from None


def _load(folder: Path, manifest: ExportManifest) -> tuple[ItemVectors, FloatArray, Catalogue, RankerInputs | None]:
    verify(folder, manifest.files, manifest.file_name)
    item_vectors_ID = _item_vectors(folder / ITEM_VECTORS, manifest)
    features_IF = check_finite(folder / ITEM_FEATURES, read_matrix(folder / ITEM_FEATURES, np.float32, 1))
    catalogue = Catalogue.open(folder / CATALOGUE)
    if not len(catalogue) == len(item_vectors_ID) == len(features_IF):
        raise IncompatibleError(
            f"{folder.name}: {len(catalogue)} items in {CATALOGUE}, {len(item_vectors_ID)} in {ITEM_VECTORS}, "
            f"{len(features_IF)} in {ITEM_FEATURES}"
        )
    return item_vectors_ID, features_IF[:, 0], catalogue, read_ranker_inputs(folder, manifest, len(catalogue))


def _item_vectors(path: Path, manifest: ExportManifest) -> ItemVectors:
    dimension, precision = manifest.encoder.dimension, manifest.vector_precision
    if precision is Precision.FP32:
        return _unit_vectors(path, dimension)
    vectors = CompactVectors(read_matrix(path, STORED_TYPE[precision], dimension))
    _refuse_lengths(path, vectors.length_I, (vectors.length_I > 0) & np.isfinite(vectors.length_I), "above 0")
    return vectors


def _unit_vectors(path: Path, dimension: int) -> FloatArray:
    vectors_ND = read_matrix(path, np.float32, dimension)
    length_N = np.sqrt(np.einsum("nd,nd->n", vectors_ND, vectors_ND))
    _refuse_lengths(path, length_N, np.abs(length_N - 1.0) <= UNIT_LENGTH_TOLERANCE, "1")
    return vectors_ND


def _refuse_lengths(path: Path, length_N: FloatArray, good_N: BoolArray, expected: str) -> None:
    """Name the first bad row; the lengths that are good are asked for, so that one that is no number is bad."""
    if not good_N.all():
        row = int(good_N.argmin())
        raise IntegrityError(
            f"{path.parent.name}/{path.name}: row {row} has length {length_N[row]}, expected {expected}"
        )
