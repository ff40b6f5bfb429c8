"""Which tokens came of which step, when a generator yields them one by one.

A step drafts, verifies the draft in one pass of the target, yields the leading tokens that were
right and then one of the target's own, which ends the step. Only the end of the answer cuts a step
short.
"""

from __future__ import annotations

from runners.base.generator_server import Step


class StepCounter:
    """Puts one generation's tokens together to steps. Knows nothing of models."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._text: list[str] = []
        self._drafted = 0

    @property
    def is_open(self) -> bool:
        """Whether the next token belongs to a step that has begun."""
        return bool(self._tokens)

    def begin(self, drafted: int) -> None:
        """How many draft tokens the next step verifies. Without a call it verifies none."""
        if self._tokens:
            raise RuntimeError("a draft was made in the middle of a step")
        self._drafted = drafted

    def add(self, token: int, text: str, *, from_draft: bool) -> Step | None:
        """The step that this token ends; None where more of it may follow.

        `from_draft`: the token is the draft's, and was right.
        """
        if from_draft and len(self._tokens) == self._drafted:
            raise RuntimeError("more tokens of the draft were accepted than were drafted")
        self._tokens.append(token)
        self._text.append(text)
        return None if from_draft else self._close(len(self._tokens) - 1)

    def cut(self) -> Step | None:
        """The unfinished step of an answer that ends here: all its tokens were the draft's."""
        return self._close(len(self._tokens)) if self._tokens else None

    def _close(self, accepted: int) -> Step:
        step = Step(tuple(self._tokens), "".join(self._text), self._drafted, accepted)
        self._tokens, self._text, self._drafted = [], [], 0
        return step
