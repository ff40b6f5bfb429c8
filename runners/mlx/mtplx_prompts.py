"""Prompts as tokens: mtplx's raw completions take them so, and its chat endpoint would not do.

That one holds back what a model thinks, about thirty-five characters of it, to look for the end of
the thought, and strips marks and blanks from the text.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from runners.base.contract import Message, RequestError, RunnerError
from runners.base.process import describe_exit
from runners.base.question import ask

SCRIPT = Path(__file__).with_name("prompt.py")
ASKING_S = 120.0


class Prompts:
    """The prompts of one environment's tokenizers, each made once."""

    def __init__(self, python: str, env: Mapping[str, str]) -> None:
        self._python = python
        self._env = env
        self._known: dict[tuple[str, tuple[Message, ...]], list[int]] = {}

    async def tokens(self, folder: Path, messages: Sequence[Message]) -> list[int]:
        """The ids of a prompt by the model's own chat template.

        Raises:
            RequestError: the template refuses it, or there is no tokenizer.
        """
        key = (str(folder), tuple(messages))
        if key not in self._known:
            self._known[key] = await asyncio.to_thread(self._ask, *key)
        return self._known[key]

    def _ask(self, folder: str, messages: tuple[Message, ...]) -> list[int]:
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / "messages.json"
            file.write_text(json.dumps([asdict(message) for message in messages]), encoding="utf-8")
            try:
                answer = ask(
                    [self._python, "-I", str(SCRIPT), folder, str(file)],
                    env=self._env,
                    timeout_s=ASKING_S,
                )
            except RunnerError as error:
                raise RequestError(f"the prompt cannot be made: {error}") from None
        if answer.returncode != 0:
            last = answer.errors.strip().splitlines()[-1:] or [describe_exit(answer.returncode)]
            raise RequestError(f"the prompt cannot be made: {last[0][:300]}")
        try:
            tokens = [int(token) for token in json.loads(answer.out.strip().splitlines()[-1])]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise RequestError(f"the prompt cannot be made: {error!r}"[:300]) from None
        if not tokens:
            raise RequestError("the prompt is empty")
        return tokens
