"""Which tokens of llama-cpp-python came of which step.

It says nothing of its drafts. What it does with them is known, though: it evaluates the last token
with the draft behind it, then samples at each of these places in turn, and goes on as long as the
sampled token is the draft's.
"""

from __future__ import annotations

from collections.abc import Sequence

from runners.base.generator_server import Step
from runners.base.steps import StepCounter


class ComparedSteps:
    """Steps of one generation, its tokens held against the drafts that were made for them."""

    def __init__(self) -> None:
        self._steps = StepCounter()
        self._draft: tuple[int, ...] = ()
        """What is left of the open step's draft."""

    def draft(self, tokens: Sequence[int]) -> None:
        """What the next step verifies. Without a call between two steps it verifies nothing."""
        self._steps.begin(len(tokens))
        self._draft = tuple(tokens)

    def add(self, token: int, text: str) -> Step | None:
        """The step that this token ends; None where the draft's next token decides."""
        right = self._draft[:1] == (token,)
        self._draft = self._draft[1:] if right else ()
        return self._steps.add(token, text, from_draft=right)

    def cut(self) -> Step | None:
        """The unfinished step of a generation that stops here: all its tokens were the draft's."""
        return self._steps.cut()
