"""What the steps of one answer drafted and accepted, after what OpenVINO GenAI tells of it.

With a draft model it tells both totals when the answer is done, but without the step that ends the
answer. By prompt lookup it tells how many tokens each step had, and nothing of the drafts.
"""

from __future__ import annotations

from dataclasses import dataclass

from runners.base.speculation import PLAIN
from runners.openvino.options import DRAFT_MODEL


@dataclass(frozen=True)
class Told:
    """The package's own account of one answer. None: it keeps none for this way of drafting."""

    sizes: tuple[int, ...]
    """Tokens of each step."""
    drafted: int | None = None
    accepted: int | None = None


class AnswerCounts:
    """The steps of one answer, in order."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._sizes: list[int] = []

    def add(self, tokens: int, *, stops: bool) -> tuple[int | None, int]:
        """(drafted, accepted) of a step of so many tokens; `stops`: the last one ends the text.

        Such a step's drafts are not told with a draft model, so both totals are without it: its
        last token may be the draft's or the target's own.
        """
        self._sizes.append(tokens)
        if self._method == PLAIN:
            return 0, 0
        return None, 0 if stops and self._method == DRAFT_MODEL else tokens - 1

    def drafted(self, told: Told, *, stops: bool) -> int | None:
        """Draft tokens of the whole answer; None where the package does not tell.

        `stops`: the text ended. A last step that fills the answer up to its limit drafted what it
        accepted: OpenVINO drafts as many tokens as leave room for one of the target's own.
        """
        if told.drafted is None:
            return None
        return told.drafted + (0 if stops else self._sizes[-1] - 1)

    def disagreement(self, told: Told) -> str | None:
        """How the package's account differs from the steps as they came; None where it does not."""
        if told.sizes != tuple(self._sizes):
            return (
                f"OpenVINO GenAI counts {len(told.sizes)} steps of {sum(told.sizes)} tokens, "
                f"but {len(self._sizes)} steps of {sum(self._sizes)} tokens came"
            )
        accepted = sum(size - 1 for size in self._sizes[:-1])
        if told.accepted is not None and told.accepted != accepted:
            return (
                f"OpenVINO GenAI counts {told.accepted} accepted tokens before the last step, "
                f"but the steps had {accepted}"
            )
        return None
