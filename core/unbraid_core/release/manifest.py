"""The manifests: what an export and a release say about themselves.

An *export* is a trained encoder with its item vectors and catalogue; a *release* is an export plus the index over its
vectors. Both are folders whose manifest lists every file with size and sha256, and carries a digest of itself; no
other file in them is ever opened.
"""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    WrapSerializer,
    model_validator,
)

from unbraid_core.calibration import Calibration
from unbraid_core.counted import counted
from unbraid_core.errors import IncompatibleError, IntegrityError
from unbraid_core.release.layout import (
    EXPORT_FILES,
    EXPORT_MANIFEST,
    ITEM_ENCODER_FILES,
    RANKER_FILES,
    RELEASE_FILES,
    RELEASE_MANIFEST,
)
from unbraid_core.release.seal import UNSEALED, own_digest
from unbraid_core.types import Precision, Profile, Scoring

__all__ = [
    "FORMAT_VERSION",
    "EncoderSpec",
    "ExportManifest",
    "FileEntry",
    "FilterCosts",
    "IndexSpec",
    "ItemEncoderSpec",
    "RankerSpec",
    "ReleaseManifest",
    "TrainingRecord",
    "dump_manifest",
    "parse_manifest",
    "seal_manifest",
]

FORMAT_VERSION = 1


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _not_a_manifest(path: str) -> str:
    if path in (RELEASE_MANIFEST, EXPORT_MANIFEST):
        raise ValueError(f"{path!r} is a manifest, and a manifest does not list itself")
    return path


def _possible(scoring: Scoring) -> Scoring:
    for name in ("temperature", "own_half_life_s", "popularity_half_life_s", "candidate_count", "quota_min"):
        if getattr(scoring, name) <= 0:
            raise ValueError(f"{name} must be above 0, not {getattr(scoring, name)}")
    if scoring.quota_alpha < 0:
        raise ValueError(f"quota_alpha must be at least 0, not {scoring.quota_alpha}")
    return scoring


def _without_novelty(scoring: Scoring, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
    """A scoring that is no mixture is written as before there were any."""
    numbers: dict[str, Any] = dump(scoring)
    return {name: number for name, number in numbers.items() if name != "mixture" or number}


# No part of a path starts with a dot, so none can be "." or "..", and none is empty, so none is absolute.
FilePath = Annotated[
    str, Field(pattern=r"^[0-9A-Za-z_][0-9A-Za-z_.-]*(/[0-9A-Za-z_][0-9A-Za-z_.-]*)*$"), AfterValidator(_not_a_manifest)
]
UtcTime = Annotated[AwareDatetime, AfterValidator(lambda time: time.astimezone(UTC))]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,127}$")]
PositiveSeconds = Annotated[float, Field(gt=0)]
# Left out where it is fp32: the manifest of an uncompressed export is what it was before there was a choice.
StoredPrecision = Annotated[Precision, Field(exclude_if=lambda precision: precision is Precision.FP32)]
PossibleScoring = Annotated[Scoring, AfterValidator(_possible), WrapSerializer(_without_novelty)]


class FileEntry(_Strict):
    """One file of the folder."""

    size: Annotated[int, Field(ge=0)]
    sha256: Hex64


class EncoderSpec(_Strict):
    """Shape and vocabulary of the user encoder: K, D and L."""

    architecture: str
    interest_count: Annotated[int, Field(ge=1)]
    dimension: Annotated[int, Field(ge=1)]
    max_history: Annotated[int, Field(ge=1)]
    actions: Annotated[list[str], Field(min_length=1, description="index 0 stands for an unknown action")]


class ItemEncoderSpec(_Strict):
    """How item_encoder.onnx is fed: the text of the columns, joined in their order, cut into tokens."""

    tokeniser: Literal["terms", "subwords"]
    max_tokens: Annotated[int, Field(ge=1)]
    columns: Annotated[list[str], Field(min_length=1, description="columns of the catalogue")]


class TrainingRecord(_Strict):
    """What the model was trained on, so that no evaluation on seen events goes unnoticed."""

    split: Annotated[str, Field(description="the split in its text form, for example last-10 or before-2011-11-01")]
    seed: int
    event_count: Annotated[int, Field(ge=0)]
    user_count: Annotated[int, Field(ge=0)]
    last_event_time: UtcTime
    data_sha256: Hex64
    validation: dict[str, float]


class IndexSpec(_Strict):
    """How index.faiss was built and what it reached against the exact oracle.

    ``recall`` is merged: of the union of the lists of a user's interests, cut to quotas, ``recall_at`` items of them
    at most. In releases without ``recall_lower_bound`` it is that of single interests.
    """

    family: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    # Left out of the text where there is none, as in releases from before there was a choice of families.
    factory: Annotated[str | None, Field(exclude_if=lambda factory: factory is None)] = None
    search_params: dict[str, int]
    recall_at: Annotated[int, Field(ge=1)]
    recall: Annotated[float, Field(ge=0, le=1)]
    recall_lower_bound: Annotated[float | None, Field(le=1, exclude_if=lambda bound: bound is None)] = None
    query_source: Literal["held-out users", "held-out interests", "item vectors"]
    # Left out where there are none: an index without lists scans what is allowed.
    filter_costs: Annotated[FilterCosts | None, Field(exclude_if=lambda costs: costs is None)] = None
    # Left out where comparing with all that is allowed costs less.
    filter_codes: Annotated[FilterCodes | None, Field(exclude_if=lambda codes: codes is None)] = None


class FilterCosts(_Strict):
    """What a search among allowed rows costs on this index, as measured when it was built, and what it may leave out.

    Lists of the index are left out as long as no more than ``missed_share`` of the wanted rows are expected in them:
    so the recall that the index was built for is reached with filters, too.
    """

    missed_share: Annotated[float, Field(gt=0)]
    spread_factor: Annotated[float, Field(gt=0, description="how far inner products of real queries are spread")]
    usual_ns: Annotated[float, Field(ge=0, description="a call that looks into lists, half of the rows allowed")]
    listed_row_ns: Annotated[
        float, Field(ge=0, description="each row of a list that a query looks into, half of them allowed")
    ]
    scanned_row_ns: Annotated[float, Field(gt=0, description="each row that is compared with the queries of a call")]

    def scan_ns(self, allowed_count: int) -> float:
        """Of comparing with every allowed row."""
        return allowed_count * self.scanned_row_ns

    def lists_ns(self, listed_count: int) -> float:
        """Of looking into lists that hold so many rows, counted for each query."""
        return listed_count * self.listed_row_ns


class FilterCodes(_Strict):
    """How the rows that a recurring filter allows are searched by their codes, as measured when the index was built."""

    shortlist_percent: Annotated[int, Field(ge=100, description="rows that codes propose, of those asked for")]
    least_rows: Annotated[int, Field(ge=1, description="with fewer allowed rows, comparing with each costs less")]
    call_ns: Annotated[float, Field(ge=0, description="a call, however few rows are allowed")]
    row_ns: Annotated[float, Field(gt=0, description="each allowed row")]

    def search_ns(self, allowed_count: int) -> float:
        """Of a search by codes."""
        return self.call_ns + allowed_count * self.row_ns


class RankerSpec(_Strict):
    """What ranker.onnx was trained on, and the numbers that belong to the arrays beside it."""

    # Left out of the text where there are trees: a manifest with them is as it was before there was a choice.
    head: Annotated[Literal["trees", "interactions"], Field(exclude_if=lambda head: head == "trees")] = "trees"
    features: Annotated[list[str], Field(min_length=1, description="columns of its input, in order")]
    tree_count: Annotated[int | None, Field(ge=1, exclude_if=lambda count: count is None)] = None
    depth: Annotated[int, Field(ge=1, description="candidates that each source brings")]
    neighbour_half_life_s: PositiveSeconds
    common_user_count: Annotated[int, Field(ge=1, description="fewest users that two neighbours have in common")]
    factor_confidence: Annotated[float, Field(gt=0)]
    factor_regularisation: Annotated[float, Field(gt=0)]
    parity_max_difference: Annotated[float, Field(ge=0, description="of scores, between ONNX Runtime and training")]


def _known_profiles(calibrations: dict[str, Calibration]) -> dict[str, Calibration]:
    for profile in calibrations:
        if profile not in set(Profile):
            raise ValueError(f"{profile!r} is no ranking profile")
    return calibrations


class ExportManifest(_Strict):
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
    calibration: Annotated[
        dict[str, Calibration], AfterValidator(_known_profiles), Field(exclude_if=lambda calibration: not calibration)
    ] = {}
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
