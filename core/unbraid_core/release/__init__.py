"""The release format: manifests, integrity, publication and activation."""

from unbraid_core.release.collection import Verdict, collect_releases, folded_sequence
from unbraid_core.release.index_spec import FilterCodes, FilterCosts, IndexSpec
from unbraid_core.release.lease import Lease
from unbraid_core.release.manifest import FORMAT_VERSION, ExportManifest, FileEntry, ReleaseManifest
from unbraid_core.release.publication import publish_export, publish_release
from unbraid_core.release.release import Export, Release, SignatureCheck, open_export, open_release
from unbraid_core.release.staging import Probe, Staging
from unbraid_core.release.store import ReleaseStore, ReleaseSummary
from unbraid_core.release.trained_parts import EncoderSpec, ItemEncoderSpec, RankerSpec, TrainingRecord

__all__ = [
    "FORMAT_VERSION",
    "EncoderSpec",
    "Export",
    "ExportManifest",
    "FileEntry",
    "FilterCodes",
    "FilterCosts",
    "IndexSpec",
    "ItemEncoderSpec",
    "Lease",
    "Probe",
    "RankerSpec",
    "Release",
    "ReleaseManifest",
    "ReleaseStore",
    "ReleaseSummary",
    "SignatureCheck",
    "Staging",
    "TrainingRecord",
    "Verdict",
    "collect_releases",
    "folded_sequence",
    "open_export",
    "open_release",
    "publish_export",
    "publish_release",
]
