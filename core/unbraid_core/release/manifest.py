"""The manifests: what an export and a release say about themselves.

An *export* is a trained encoder with its item vectors and catalogue; a *release* is an export plus the index over its
vectors. Both are folders whose manifest lists every file with size and sha256, and carries a digest of itself; no
other file in them is ever opened.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator

from unbraid_core.calibration import Calibration
from unbraid_core.counted import counted
from unbraid_core.errors import IncompatibleError, IntegrityError
from unbraid_core.release.fields import (
    FilePath,
    Hex64,
    Name,
    PositiveSeconds,
    PossibleScoring,
    StoredPrecision,
    Strict,
    UtcTime,
)
from unbraid_core.release.index_spec import IndexSpec
from unbraid_core.release.layout import (
    EXPORT_FILES,
    EXPORT_MANIFEST,
    ITEM_ENCODER_FILES,
    RANKER_FILES,
    RELEASE_FILES,
    RELEASE_MANIFEST,
)
from unbraid_core.release.seal import UNSEALED, own_digest
from unbraid_core.release.trained_parts import EncoderSpec, ItemEncoderSpec, RankerSpec, TrainingRecord
from unbraid_core.types import Precision, Profile

__all__ = [
    "FORMAT_VERSION",
    "ExportManifest",
    "FileEntry",
    "ReleaseManifest",
    "dump_manifest",
    "parse_manifest",
    "seal_manifest",
]

FORMAT_VERSION = 1


class FileEntry(Strict):
    """One file of the folder."""

    size: Annotated[int, Field(ge=0)]
    sha256: Hex64


def _known_profiles(calibrations: dict[str, Calibration]) -> dict[str, Calibration]:
    for profile in calibrations:
        if profile not in set(Profile):
            raise ValueError(f"{profile!r} is no ranking profile")
    return calibrations


class ExportManifest(Strict):
    """export.json: everything about a release but its index.

    ``manifest_sha256`` is the digest of the manifest's own bytes with 64 zeros in its place: the listed files are
    covered by ``files``, and this covers the rest, a half-life for example.
    """

    file_name: ClassVar[str] = EXPORT_MANIFEST
    required_files: ClassVar[tuple[str, ...]] = EXPORT_FILES

    format_version: Literal[1]
    manifest_sha256: Hex64 = UNSEALED
    space_id: Name
    created_time: UtcTime
    encoder: EncoderSpec
    half_life_s: list[PositiveSeconds]
    scoring: PossibleScoring
    training: TrainingRecord
    # Left out of the text where there is none, so a manifest without one is as it was before there were any.
    ranker: Annotated[RankerSpec | None, Field(exclude_if=lambda ranker: ranker is None)] = None
    # Scores to probabilities, by ranking profile.
    calibration: Annotated[dict[str, Calibration], AfterValidator(_known_profiles)] = Field(
        default_factory=dict, exclude_if=lambda calibration: not calibration
    )
    encoder_precision: StoredPrecision = Precision.FP32
    vector_precision: StoredPrecision = Precision.FP32
    item_encoder: Annotated[ItemEncoderSpec | None, Field(exclude_if=lambda spec: spec is None)] = None
    files: dict[FilePath, FileEntry]

    @model_validator(mode="after")
    def _half_life_per_interest(self) -> ExportManifest:
        if len(self.half_life_s) != self.encoder.interest_count:
            raise ValueError(
                f"half_life_s has {counted(len(self.half_life_s), 'value')} for "
                f"{counted(self.encoder.interest_count, 'interest')}"
            )
        return self

    @model_validator(mode="after")
    def _nothing_missing(self) -> ExportManifest:
        required = [*self.required_files]
        required += RANKER_FILES if self.ranker else ()
        required += ITEM_ENCODER_FILES if self.item_encoder else ()
        missing = [name for name in required if name not in self.files]
        if missing:
            raise ValueError(f"files does not list {', '.join(missing)}")
        return self


class ReleaseManifest(ExportManifest):
    """manifest.json of a release.

    ``parent`` is the release that it was built to follow, if any; ``catalogue_sequence`` the number of the last change
    of the catalogue that it has folded in, 0 for none.
    """

    file_name: ClassVar[str] = RELEASE_MANIFEST
    required_files: ClassVar[tuple[str, ...]] = RELEASE_FILES

    release_id: Name
    parent: Name | None
    index: IndexSpec
    catalogue_sequence: Annotated[int, Field(ge=0, exclude_if=lambda sequence: sequence == 0)] = 0


M = TypeVar("M", bound=ExportManifest)


def seal_manifest(manifest: M) -> M:
    """The manifest with its files in order and the digest of its own bytes."""
    ordered = {"files": dict(sorted(manifest.files.items())), "manifest_sha256": UNSEALED}
    unsealed = manifest.model_copy(update=ordered)
    return unsealed.model_copy(update={"manifest_sha256": own_digest(dump_manifest(unsealed))})


def dump_manifest(manifest: ExportManifest) -> bytes:
    """The bytes of a sealed manifest as they are stored: indented JSON."""
    return manifest.model_dump_json(indent=2).encode() + b"\n"


def parse_manifest(text: bytes, model: type[M], where: str) -> M:
    """Read the stored bytes of a manifest.

    Args:
        text: what ``dump_manifest`` returned.
        model: which kind of manifest it has to be.
        where: names the manifest in messages.

    Raises:
        IncompatibleError: another format version.
        IntegrityError: not JSON, a field is missing, unknown or out of range, or any byte was changed; the message
            names the field.
    """
    try:
        manifest = model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise _refusal(error, where) from None
    claimed = manifest.manifest_sha256
    if own_digest(text, claimed) != claimed:
        raise IntegrityError(f"{where}: manifest_sha256: the manifest was changed after it was written")
    return manifest


def _refusal(error: ValidationError, where: str) -> IncompatibleError | IntegrityError:
    """What to tell about the first thing that is wrong; a format version comes before everything else."""
    first, *_ = sorted(error.errors(), key=lambda problem: problem["loc"] != ("format_version",))
    field = ".".join(str(part) for part in first["loc"] if part != "[key]") or "manifest"
    if field == "format_version" and first["type"] == "literal_error":
        return IncompatibleError(
            f"{where}: format_version is {first['input']!r}, this unbraid reads {FORMAT_VERSION}; "
            "export and build the release again with this version"
        )
    return IntegrityError(f"{where}: {field}: {first['msg'].removeprefix('Value error, ')}")
