"""What a launch's answers told of their drafts, held against the runner's other records."""

from __future__ import annotations

from collections.abc import Mapping

from runners.base.contract import Completion

Drafts = tuple[int, int | None]
"""(accepted, drafted); None where a source counts only what was accepted."""


class Told:
    """The totals of all answers of a launch, and whether every request told its drafts."""

    def __init__(self) -> None:
        self._accepted = self._drafted = 0
        self._untold = 0
        """Requests that may have drafted and have not said how much: under way, or broken off."""

    def begin(self) -> None:
        """A request is sent."""
        self._untold += 1

    def add(self, completion: Completion) -> None:
        """The end of a request; one that tells nothing of its drafts stays untold."""
        if completion.accepted is None or completion.drafted is None:
            return
        self._accepted += completion.accepted
        self._drafted += completion.drafted
        self._untold -= 1

    def disagreement(self, others: Mapping[str, Drafts]) -> str | None:
        """Which of the sources, by name, count other drafts; None: they agree, or nobody can say.

        Of a request that broke off only the runner's own counters tell.
        """
        sources = {"the responses": (self._accepted, self._drafted)}
        sources |= {name: (accepted, n) for name, (accepted, n) in others.items() if n is not None}
        if self._untold or len(set(sources.values())) < 2:
            return None
        counts = (
            f"{name}: {accepted} of {drafted}" for name, (accepted, drafted) in sources.items()
        )
        return f"accepted and drafted tokens differ: {', '.join(counts)}"
