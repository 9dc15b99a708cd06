"""The model: everything that is needed to answer from one release."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import repeat

import numpy as np

from unbraid_core.attributes import Attributes
from unbraid_core.categories import Categories
from unbraid_core.errors import IncompatibleError
from unbraid_core.interest_cache import InterestCache
from unbraid_core.item_change import ItemChange
from unbraid_core.live.delta import Delta
from unbraid_core.live.live_catalogue import LiveCatalogue
from unbraid_core.live.live_pipeline import live_pipeline
from unbraid_core.live.released_items import EncodeItems, ReleasedItems
from unbraid_core.pipeline import Pipeline
from unbraid_core.ports import Searcher
from unbraid_core.release import Lease, Release, ReleaseManifest
from unbraid_core.release.layout import INDEX, RANKER, USER_ENCODER
from unbraid_core.types import DoubleArray, History, Profile
from unbraid_index.content.item_encoder import ItemEncoder, open_item_encoder
from unbraid_index.exact import ExactSearcher
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.live_searcher import LiveSearcher
from unbraid_server.device import Device, DeviceChoice
from unbraid_server.device_options import DEFAULT_OPTIONS, DeviceOptions, Retrieval
from unbraid_server.device_searcher import DeviceSearcher
from unbraid_server.encoder import OnnxEncoder
from unbraid_server.ranker import OnnxRanker
from unbraid_server.retrieval import RetrievalChoice, choose_retrieval
from unbraid_server.shown_items import ShownItems

__all__ = ["KnownHistory", "Model", "load_model"]


@dataclass(frozen=True, slots=True, eq=False)
class KnownHistory:
    """The part of a history that a release can use, and how many events name an item that it does not know."""

    history: History
    ignored_count: int


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Model:
    """One release with the changes of its catalogue, ready to answer. Immutable, and safe to use from several threads.

    Attributes:
        manifest: what the release says about itself.
        released: the pipeline over its encoder, index and vectors, as it was built.
        delta: what changed since.
        catalogue: the items that there are now.
        shown: the same in messages of answers.
        pipeline: the pipeline over these, with a cache of interests where there is one.
        device: where the encoder runs, and why.
        retrieval: what searches for items, and why.
        action_index: index of every action of the vocabulary; an action that is not in it counts as 0.
        lease: keeps the release from being removed.
        list_imbalance: the longest list of its index over the mean one; 1 without lists.
    """

    manifest: ReleaseManifest
    released: Pipeline
    delta: Delta
    catalogue: LiveCatalogue
    shown: ShownItems
    pipeline: Pipeline
    device: DeviceChoice
    retrieval: RetrievalChoice
    action_index: Mapping[str, int]
    lease: Lease
    list_imbalance: float

    @property
    def release_id(self) -> str:
        """Names the release in every answer."""
        return self.manifest.release_id

    @property
    def space_id(self) -> str:
        """Identifies the vector space."""
        return self.manifest.space_id

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """The profiles that it can rank with, the one for callers without a wish first."""
        return (Profile.FORMULA,) if self.pipeline.ranker is None else (Profile.LEARNED, Profile.FORMULA)

    def with_changes(self, changes: Sequence[ItemChange]) -> Model:
        """The model with further changes of the catalogue; this one stays as it is.

        Args:
            changes: as ``CatalogueStore.changes`` gives them, all after ``delta.sequence``.

        Raises:
            IncompatibleError, IntegrityError: the item encoder is needed and cannot be used.
        """
        delta = self.delta.followed_by(changes)
        searcher = LiveSearcher(self.released.searcher, delta.added.vector_ND, delta.tombstone_I)
        catalogue = LiveCatalogue(delta)
        cache = self.pipeline.cache
        if cache is not None and delta.numbering != self.delta.numbering:
            cache = cache.successor()
        return replace(
            self,
            delta=delta,
            catalogue=catalogue,
            shown=self.shown.followed_by(catalogue),
            pipeline=replace(live_pipeline(self.released, delta, searcher), cache=cache),
        )

    def exact_pipeline(self) -> Pipeline:
        """The pipeline as it would be if the index missed nothing."""
        exact = ExactSearcher(self.released.item_vectors_ID)
        return replace(self.pipeline, searcher=LiveSearcher(exact, self.delta.added.vector_ND, self.delta.tombstone_I))

    def history(
        self,
        item_ids: Sequence[str],
        times_s: Sequence[float] | DoubleArray,
        actions: Sequence[str],
        until_s: float | None,
    ) -> KnownHistory:
        """A history in terms of this release: known items only, oldest first, equal times in the given order.

        Args:
            item_ids: outside ids, one for each event.
            times_s: epoch seconds of each event.
            actions: names of what was done in each event.
            until_s: later events are left out, and not counted; None keeps all.
        """
        row_N = self.catalogue.rows(item_ids)
        time_s_N = np.asarray(times_s, np.float64)
        action_N = np.fromiter(map(self.action_index.get, actions, repeat(0)), np.int64, len(actions))
        if (time_s_N[1:] < time_s_N[:-1]).any():
            order_N = np.argsort(time_s_N, kind="stable")
            row_N, time_s_N, action_N = row_N[order_N], time_s_N[order_N], action_N[order_N]
        count = len(row_N) if until_s is None else int(np.searchsorted(time_s_N, until_s, side="right"))
        known_N = np.flatnonzero(row_N[:count] >= 0)
        history = History(row_N[known_N], time_s_N[known_N], action_N[known_N])
        return KnownHistory(history, count - len(known_N))


def load_model(
    release: Release,
    device: Device,
    cache: InterestCache | None = None,
    options: DeviceOptions = DEFAULT_OPTIONS,
) -> Model:
    """Load the encoder, what searches, and, where there is one, the ranker of a verified release.

    Args:
        release: verified.
        device: where to run the encoder.
        cache: an empty one for the interests; None encodes every history anew.
        options: how to use a GPU, and what searches.

    Raises:
        DeviceUnavailable: what was demanded cannot be had.
        IntegrityError, IncompatibleError: a part cannot be read, or the parts do not fit together.
    """
    manifest = release.manifest
    encoder = OnnxEncoder(release.path(USER_ENCODER), manifest.encoder, device, options)
    retrieval = choose_retrieval(encoder.device, matrix_bytes=4 * math.prod(release.item_vectors_ID.shape))
    if retrieval.active is Retrieval.DEVICE:
        searcher: Searcher = DeviceSearcher(release.item_vectors_ID, encoder.device, encoder.handover)
        list_imbalance = 1.0
    else:
        searcher = index = _open_index(release)
        list_imbalance = index.list_imbalance
    pipeline = Pipeline(
        encoder=encoder,
        searcher=searcher,
        item_vectors_ID=release.item_vectors_ID,
        log_popularity_I=release.log_popularity_I,
        popular_row_I=np.argsort(-release.log_popularity_I, kind="stable"),
        half_life_s_K=np.array(manifest.half_life_s),
        scoring=manifest.scoring,
        max_history=manifest.encoder.max_history,
        calibrations={Profile(name): calibration for name, calibration in manifest.calibration.items()},
        ranker_inputs=release.ranker_inputs,
        ranker=None if manifest.ranker is None else OnnxRanker(release.path(RANKER), manifest.ranker),
        categories=Categories.of(release.catalogue),
        attributes=Attributes.of(release.catalogue),
    )
    delta = Delta.none(_released_items(release, pipeline))
    catalogue = LiveCatalogue(delta)
    return Model(
        manifest=manifest,
        released=pipeline,
        delta=delta,
        catalogue=catalogue,
        shown=ShownItems.of(catalogue, delta.released_count),
        pipeline=replace(pipeline, cache=cache),
        device=encoder.device,
        retrieval=retrieval,
        action_index={action: index for index, action in enumerate(manifest.encoder.actions)},
        lease=release.lease,
        list_imbalance=list_imbalance,
    )


def _open_index(release: Release) -> FaissSearcher:
    spec = release.manifest.index
    searcher = FaissSearcher.open(
        release.path(INDEX),
        spec.family,
        spec.search_params,
        release.item_vectors_ID,
        spec.filter_costs,
        spec.filter_codes,
    )
    if (searcher.size, searcher.dimension) != release.item_vectors_ID.shape:
        raise IncompatibleError(
            f"{INDEX}: holds {searcher.size} vectors of {searcher.dimension} dimensions, "
            f"the catalogue has {len(release.catalogue)} of {release.manifest.encoder.dimension}; build the index again"
        )
    return searcher


def _released_items(release: Release, pipeline: Pipeline) -> ReleasedItems:
    return ReleasedItems(
        space_id=release.manifest.space_id,
        catalogue=release.catalogue,
        item_vectors_ID=release.item_vectors_ID,
        searcher=pipeline.searcher,
        log_popularity_I=release.log_popularity_I,
        categories=pipeline.categories,
        ranker_inputs=pipeline.ranker_inputs,
        encode=None if release.manifest.item_encoder is None else _encoder_of_items(release),
        sequence=release.manifest.catalogue_sequence,
    )


def _encoder_of_items(release: Release) -> EncodeItems:
    """The item encoder, opened when it is needed first: many servers never do."""

    @cache
    def item_encoder() -> ItemEncoder:
        try:
            return open_item_encoder(release)
        except ModuleNotFoundError as error:
            raise IncompatibleError(
                f"{release.manifest.release_id}: its item encoder needs {error.name}; install it with: "
                "pip install 'unbraid[text]', or send vectors"
            ) from None

    return lambda items: item_encoder().encode(items).vectors_ND
