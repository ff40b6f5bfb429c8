"""Which packaging of a model a runner takes, or why it can take none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.models.errors import ModelFileError, printable
from harness.models.shelf import Shelf
from harness.packagings import Model, Packagings
from runners.base.contract import Runner
from runners.base.packaging import Packaging, packaging_of

DRAFT_MODEL = "draft model"


@dataclass(frozen=True)
class Choice:
    """One model for one runner."""

    path: str | None
    """What the runner takes; of a model that it cannot take, what names it."""
    reason: str | None = None
    """Why the runner cannot take it."""


def choose(model: Model | None, runner: Runner, shelf: Shelf, what: str = "model") -> Choice:
    """The first of the runner's packagings that the model has. Never fails.

    A runner that reads no models is held against nothing.
    """
    if model is None:
        return Choice(None)
    if not isinstance(model, Packagings):
        path = str(model)
        return Choice(path, _reason_against(path, runner, shelf) if runner.packagings else None)
    paths = {packaging: str(path) for packaging, path in model.given}
    for packaging in runner.packagings:
        if (path := paths.get(packaging, "")) != "":
            return Choice(path, _reason_against(path, runner, shelf))
    path = next(iter(paths.values()))
    if not runner.packagings:
        return Choice(path)
    given = words_of(paths, "and")
    return Choice(
        path, f"{reads(runner)}, and the {what} is given as {given}{' only' * (len(paths) == 1)}"
    )


def _reason_against(path: str, runner: Runner, shelf: Shelf) -> str | None:
    try:
        found = packaging_of(shelf.file(path).path)
    except ModelFileError as error:
        return str(error)
    if found is None or found in runner.packagings:  # None: gone since it was read.
        return None
    return f"{reads(runner)}, and {printable(path)} is {found.words}"


def reads(runner: Runner) -> str:
    """'mlx reads an MLX folder or a Hugging Face folder'."""
    return f"{runner.name} reads {words_of(runner.packagings, 'or')}"


def words_of(packagings: Iterable[Packaging], conjunction: str) -> str:
    """'an MLX folder or a Hugging Face folder'."""
    *first, last = [packaging.words for packaging in packagings]
    return f" {conjunction} ".join([*([", ".join(first)] if first else []), last])
