"""Which model answers: one at a time, replaced while calls are in progress."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from unbraid_core.item_change import ItemChange
from unbraid_core.ports import CatalogueStore
from unbraid_core.release import Release
from unbraid_server.model import Model, load_model
from unbraid_server.warm_up import warm_up

__all__ = ["ActiveModel"]


class ActiveModel:
    """The model that answers, shared by all services of a server.

    A call asks for the current model once and uses nothing else, so no answer mixes two releases, or two states of the
    catalogue. A model that was replaced is closed, mappings and all, when the last call that uses it lets go of it.

    Args:
        model: of the first release.
        catalogue: the changes of the catalogue; those that the release has not folded in are applied to it.
        batch_limit: questions that will be answered together.
    """

    def __init__(self, model: Model, catalogue: CatalogueStore, batch_limit: int = 1) -> None:
        self._catalogue = catalogue
        self._batch_limit = batch_limit
        self._loading, self._changing = Lock(), Lock()
        self._current = self._caught_up(model)

    def current(self) -> Model:
        """The model that answers now."""
        return self._current

    def warm_up(self) -> None:
        """Let the first model answer golden queries; those that follow do so before they become current.

        Raises:
            IncompatibleError: an answer breaks a rule.
        """
        warm_up(self._current, self._batch_limit)

    def activate(self, release: Release) -> Model:
        """Load a release beside the current one, warm it up, and let it answer all calls from now on.

        The golden queries warm it up: they are answered as in the trial before an activation, but with the threads and
        on the device of this server. Then the changes of the catalogue are applied to it.

        Args:
            release: verified.

        Returns:
            The new model.

        Raises:
            DeviceUnavailable, IntegrityError, IncompatibleError: it cannot be used; the current one goes on answering.
        """
        with self._loading:
            cache, device = self._current.pipeline.cache, self._current.device
            successor = None if cache is None else cache.successor()
            model = load_model(release, device.requested, successor, device.options)
            warm_up(model, self._batch_limit)
            model = self._caught_up(model)
            # Changes go on meanwhile; what came since is little.
            with self._changing:
                self._current = self._caught_up(model)
                return self._current

    def follow(self) -> Model:
        """Apply what was stored since, by whichever process, and return the model.

        Raises:
            Unavailable: the catalogue store cannot be read.
            IncompatibleError, IntegrityError: the item encoder is needed and cannot be used.
        """
        with self._changing:
            self._current = self._caught_up(self._current)
            return self._current

    def change(self, changes: Sequence[ItemChange]) -> Model:
        """Store changes of the catalogue durably, apply them, and return the model.

        Raises:
            Unavailable: they cannot be stored.
        """
        self._catalogue.apply(changes)
        return self.follow()

    def _caught_up(self, model: Model) -> Model:
        sequence = model.delta.sequence
        last = self._catalogue.last_sequence()
        if last < sequence:
            # A new store, beside a release that has folded changes of a former one in.
            self._catalogue.continue_after(sequence)
        changes = self._catalogue.changes(sequence) if last > sequence else ()
        return model.with_changes(changes) if changes else model
