"""Which tokens came of which step, when a generator yields them one by one.

llama-cpp-python says nothing of its drafts. What it does with them is known, though: it evaluates
the last token with the draft behind it, then samples at each of these places in turn, and goes on
as long as the sampled token is the draft's. So a step is over with the first token that differs
from the draft, or with the token after a draft that was right to its end.
"""

from __future__ import annotations

from collections.abc import Sequence

from runners.base.generator_server import Step


class StepCounter:
    """Puts one generation's tokens together to steps. Knows nothing of models."""

    def __init__(self) -> None:
        self._draft: tuple[int, ...] = ()
        self._tokens: list[int] = []
        self._text: list[str] = []

    def draft(self, tokens: Sequence[int]) -> None:
        """What the next step verifies. Without a call between two steps it verifies nothing."""
        if self._tokens:
            raise RuntimeError("a draft was made in the middle of a step")
        self._draft = tuple(tokens)

    def add(self, token: int, text: str) -> Step | None:
        """The step that this token ends; None where the draft's next token decides."""
        place = len(self._tokens)
        self._tokens.append(token)
        self._text.append(text)
        if place < len(self._draft) and self._draft[place] == token:
            return None
        return self._close(accepted=place)

    def cut(self) -> Step | None:
        """The unfinished step of a generation that stops here: all its tokens were the draft's."""
        return self._close(accepted=len(self._tokens)) if self._tokens else None

    def _close(self, accepted: int) -> Step:
        step = Step(
            tokens=tuple(self._tokens),
            text="".join(self._text),
            drafted=len(self._draft),
            accepted=accepted,
        )
        self._draft = ()
        self._tokens = []
        self._text = []
        return step
