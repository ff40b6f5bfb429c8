"""All settings that a tuning has to choose from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from runners.base.contract import OptionValue


@dataclass(frozen=True)
class Candidate:
    """One setting."""

    arm: str
    """Its id."""
    family: str
    """Settings that differ in nothing but the draft length share one."""
    draft_tokens: int
    group: str = ""
    """Settings that differ in nothing but options and the draft length share one; "": none does."""
    options: tuple[tuple[str, OptionValue], ...] = ()


@dataclass(frozen=True)
class Space:
    """The candidates, and the workloads that each may have a best of its own for."""

    candidates: tuple[Candidate, ...]
    workloads: tuple[str, ...]
    silent: frozenset[tuple[str, str]] = frozenset()
    """(arm, workload) that was measured, and has no readings since nothing was accepted there."""

    @property
    def families(self) -> Mapping[str, Sequence[Candidate]]:
        """Each with its candidates, the shortest draft first."""
        found: dict[str, list[Candidate]] = {}
        for one in sorted(self.candidates, key=lambda candidate: candidate.draft_tokens):
            found.setdefault(one.family, []).append(one)
        return found

    def without(self, arms: Collection[str]) -> Space:
        """What is left when some turn out not to work."""
        return replace(self, candidates=tuple(c for c in self.candidates if c.arm not in arms))
