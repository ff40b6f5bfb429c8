"""One model in the packagings that runners read, as a suite names it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, model_validator

from runners.base.packaging import Packaging

ONE_PATH = "one path"
SEVERAL = "packagings"
TAGS = (ONE_PATH, SEVERAL)
"""What pydantic puts into the location of an error, and no user wrote."""


class Packagings(BaseModel):
    """The paths of one model, by packaging: `{ gguf = "qwen.gguf", hf = "Qwen3-8B" }`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gguf: Path | None = None
    hf: Path | None = None
    mlx: Path | None = None

    @model_validator(mode="after")
    def _check_given(self) -> Packagings:
        if not self.given:
            known = ", ".join(packaging.value for packaging in Packaging)
            raise ValueError(f"needs a path under at least one of {known}")
        return self

    @property
    def given(self) -> tuple[tuple[Packaging, Path], ...]:
        """Those that there are."""
        paths = ((packaging, getattr(self, packaging.value)) for packaging in Packaging)
        return tuple((packaging, path) for packaging, path in paths if path is not None)


Model = Path | Packagings
"""As a suite names it: one path for every runner, or one for each packaging."""

ModelSetting = Annotated[
    Annotated[Path, Tag(ONE_PATH)] | Annotated[Packagings, Tag(SEVERAL)],
    Discriminator(lambda value: SEVERAL if isinstance(value, dict | Packagings) else ONE_PATH),
]
"""The same, as pydantic is to read it."""


class SameModels:
    """Which paths are one model: equal ones, and those of one entry of a suite."""

    def __init__(self, models: Iterable[Model | None]) -> None:
        self._entries: dict[str, set[int]] = {}
        for number, model in enumerate(models):
            for _, path in model.given if isinstance(model, Packagings) else ():
                self._entries.setdefault(str(path), set()).add(number)

    def same(self, one: str | None, other: str | None) -> bool:
        """Whether two paths of arms are one model; None is no model, and the same as None."""
        if one is None or other is None or one == other:
            return one == other
        return not self._entries.get(one, set()).isdisjoint(self._entries.get(other, ()))

    def several(self, paths: Iterable[str | None]) -> bool:
        """Whether there is more than one model among the paths, none counting as one."""
        found = list(dict.fromkeys(paths))
        return not all(self.same(found[0], other) for other in found[1:])
