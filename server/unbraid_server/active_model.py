"""Which model answers: one at a time, replaced while calls are in progress."""

from __future__ import annotations

from threading import Lock

from unbraid_core.release import Release
from unbraid_server.model import Model, load_model
from unbraid_server.probe import probe

__all__ = ["ActiveModel"]


class ActiveModel:
    """The model that answers, shared by all services of a server.

    A call asks for the current model once and uses nothing else, so no answer mixes two releases. A model that was
    replaced is closed, mappings and all, when the last call that uses it lets go of it.

    Args:
        model: the first one.
    """

    def __init__(self, model: Model) -> None:
        self._current = model
        self._changing = Lock()

    def current(self) -> Model:
        """The model that answers now."""
        return self._current

    def activate(self, release: Release) -> Model:
        """Load a release beside the current one, warm it up, and let it answer all calls from now on.

        The golden queries warm it up: they are answered as in the trial before an activation, but with the threads and
        on the device of this server.

        Args:
            release: verified.

        Returns:
            The new model.

        Raises:
            DeviceUnavailable, IntegrityError, IncompatibleError: it cannot be used; the current one goes on answering.
        """
        with self._changing:
            model = load_model(release, self._current.device.requested)
            probe(model)
            self._current = model
            return model
