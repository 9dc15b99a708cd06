"""Which release is active, and which ones were before it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from unbraid_core.errors import IntegrityError
from unbraid_core.release.fields import Name, UtcTime
from unbraid_core.release.replacement import replace_text

__all__ = ["Activation", "ActivationLog"]

CURRENT = "CURRENT"
ACTIVATIONS = "ACTIVATIONS"


def _without_its_end(line: str) -> str:
    """Where the end of the line is missing, the end of the name may be missing as well."""
    if not line.endswith("\n"):
        raise ValueError("the line has no end")
    return line[:-1]


_LINE = TypeAdapter(Annotated[Name, BeforeValidator(_without_its_end)])


class Activation(BaseModel):
    """One line of the log. A rollback takes back the activations after that of its release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: UtcTime
    release_id: Name
    rollback: bool


class ActivationLog:
    """CURRENT names the active release; ACTIVATIONS tells what was active before, one JSON object a line.

    Both files are only ever replaced as a whole, the log first. A writer that is killed between the two leaves a last
    line that names another release than CURRENT does: it never took effect, so it is not read, and the next writer
    drops it. Writers hold the lock of the store.

    Args:
        root: the folder of releases.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def current(self) -> str | None:
        """The active release, None where nothing was activated yet.

        Raises:
            IntegrityError: CURRENT does not hold a release_id.
        """
        text = self._read(CURRENT)
        if text is None:
            return None
        try:
            return _LINE.validate_python(text)
        except ValidationError:
            where = self._root / CURRENT
            raise IntegrityError(
                f"{where}: expected a release_id, found {text[:80]!r}; remove the file and activate a release"
            ) from None

    def stamp(self) -> tuple[int, int] | None:
        """Changes with every activation, of the same release too; None where nothing was activated yet."""
        try:
            status = (self._root / CURRENT).stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns

    def effective(self) -> list[Activation]:
        """All activations that took effect, oldest first.

        Raises:
            IntegrityError: a line is not an activation.
        """
        lines = (self._read(ACTIVATIONS) or "").splitlines()
        activations = [self._parse(line, number) for number, line in enumerate(lines, start=1)]
        if activations and activations[-1].release_id != self.current():
            activations.pop()
        return activations

    def earlier(self) -> list[str]:
        """The releases that were active before the current one, latest first, without those that were rolled back."""
        standing: list[str] = []
        for activation in self.effective():
            if activation.rollback and activation.release_id in standing:
                while standing[-1] != activation.release_id:
                    standing.pop()
            else:
                standing.append(activation.release_id)
        current = self.current()
        return [release_id for release_id in reversed(standing) if release_id != current]

    def record(self, activation: Activation) -> None:
        """Make a release the active one. Killed at any moment, this leaves the old CURRENT or the new one."""
        activations = [*self.effective(), activation]
        replace_text(self._root / ACTIVATIONS, "".join(f"{line.model_dump_json()}\n" for line in activations))
        replace_text(self._root / CURRENT, f"{activation.release_id}\n")

    def _parse(self, line: str, number: int) -> Activation:
        try:
            return Activation.model_validate_json(line)
        except ValidationError:
            where = f"{self._root / ACTIVATIONS}: line {number}"
            raise IntegrityError(f"{where}: expected an activation, found {line[:80]!r}; remove that line") from None

    def _read(self, name: str) -> str | None:
        try:
            return (self._root / name).read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return None
