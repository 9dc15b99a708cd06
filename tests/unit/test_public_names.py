"""Names that others build on: adding or removing one is a decision, so it changes this file too."""

from __future__ import annotations

import importlib

import pytest

PUBLIC_NAMES = {
    "unbraid_client": """
        Activation ActivationError AllOf Answer AnyOf AsyncUnbraidClient AttributeValue Basis BatchResult CacheStatus
        CallCount Cancelled CatalogueStatus ClientError Condition Conflict DeadlineExceeded DeleteResult DeviceStatus
        Distribution ErrorDetails Event EventLike Evidence FieldViolation Interest InterestsResult InvalidRequest IsSet
        Item ItemPage ItemsResult Moment NoneOf NotAllowed NotFound Numbers Overloaded Profile Question RankResult
        RebuildNews RebuildProgress RebuildResult RecallStatus RecommendResult Recommendation ReleasePage ReleaseStatus
        ReleaseSummary ScoreTerms SearchPlan SecurityStatus ServerError ServerStatus ServingStatus SimilarItem
        SimilarResult Source TimeSpent Times Tls Token Unavailable UnbraidClient UpsertResult
    """,
    "unbraid_core.errors": """
        CallerGone Conflict DeviceUnavailable IncompatibleError IntegrityError InvalidInput NotFound Overloaded
        PermissionDenied Unauthenticated Unavailable UnbraidError
    """,
    "unbraid_core.item_change": "AttributeValue Item ItemChange ItemVector",
    "unbraid_core.ports": "CatalogueStore Encoder Event Ranker Searcher StateStore UserEvent",
    "unbraid_core.release": """
        FORMAT_VERSION EncoderSpec Export ExportManifest FileEntry FilterCodes FilterCosts IndexSpec ItemEncoderSpec
        Lease Probe RankerSpec Release ReleaseManifest ReleaseStore ReleaseSummary SignatureCheck Staging
        TrainingRecord Verdict collect_releases folded_sequence open_export open_release publish_export
        publish_release
    """,
    "unbraid_core.types": """
        Basis BoolArray DoubleArray Effort FloatArray History HistoryBatch IntArray InterestBatch Interests Precision
        Profile Query Ranking RowArray ScoreTerms Scoring SearchHits SearchPlan Source
    """,
}


@pytest.mark.parametrize("module", PUBLIC_NAMES)
def test_public_names_are_these(module: str) -> None:
    found = importlib.import_module(module)
    assert sorted(found.__all__) == sorted(PUBLIC_NAMES[module].split())
    assert all(hasattr(found, name) for name in found.__all__)


@pytest.mark.parametrize("module", PUBLIC_NAMES)
def test_a_star_import_brings_no_name_twice(module: str) -> None:
    names = importlib.import_module(module).__all__
    assert len(set(names)) == len(names)
