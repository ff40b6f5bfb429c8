"""One model in mlx-lm: what the child process serves. Imports mlx-lm and the standard library."""

from __future__ import annotations

import heapq
import inspect
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import mlx.core as mx
from mlx_lm import load, stream_generate
from mlx_lm.generate import generate_step, speculative_generate_step
from mlx_lm.sample_utils import make_sampler

from runners.base.generator_server import Asked, End, RefusedError, Step
from runners.base.steps import StepCounter
from runners.base.vocabulary import difference
from runners.mlx.prompt import tokens_of

DRAFT_PREFILL_STEP = int(
    inspect.signature(speculative_generate_step).parameters["prefill_step_size"].default
)
"""Tokens of the prompt that mlx-lm has the draft model read at once, where nothing is set."""

Messages = Sequence[tuple[str, str]]


class Counted:
    """A draft model that counts its forward passes. Everything else is the model's."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.passes = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.passes += 1
        return self._model(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class Model:
    """A `generator_server.TokenGenerator`."""

    def __init__(
        self,
        model: str,
        draft: str | None,
        draft_tokens: int | None,
        options: Mapping[str, int],
    ) -> None:
        """Load the model, and the draft model.

        Raises:
            RuntimeError: a model cannot be loaded, or the draft's vocabulary is another one.
        """
        self._model, self._tokenizer = _loaded(model)
        self._options = dict(options)
        self._draft: Counted | None = None
        self._draft_tokens = draft_tokens
        self._disagreement: str | None = None
        if draft is not None:
            draft_model, tokenizer = _loaded(draft)
            # mlx-lm's API would not notice: it goes on and accepts nothing.
            reason = difference(
                self._tokenizer.get_vocab(), tokenizer.get_vocab(), _rows(draft_model)
            )
            if reason is not None:
                raise RuntimeError(f"the draft model has another vocabulary: {reason}")
            self._draft = Counted(draft_model)

    # ---- what the server asks for -------------------------------------------------------------

    def about(self) -> dict[str, object]:
        return {
            "method": "none" if self._draft is None else "draft-model",
            "draft_limit": self._draft_tokens,
            "disagreement": self._disagreement,
        }

    def generate(self, asked: Asked) -> Generator[Step | End, None, None]:
        prompt = self._prompt(asked.messages)
        settings: dict[str, Any] = dict(self._options)
        if self._draft is not None:
            settings |= {"draft_model": self._draft, "num_draft_tokens": self._draft_tokens}
            # The passes over the prompt, rounded up, are no drafts.
            chunk = self._options.get("prefill_step_size", DRAFT_PREFILL_STEP)
            self._draft.passes = (1 - len(prompt)) // chunk
        mx.random.seed(asked.seed)
        mx.reset_peak_memory()
        counter = StepCounter()
        finish = "length"
        written = 0
        # By temperature alone, so that runners with other defaults can be compared; 0 is greedy.
        responses = stream_generate(
            self._model,
            self._tokenizer,
            prompt,
            max_tokens=asked.max_tokens,
            sampler=make_sampler(temp=asked.temperature),
            **settings,
        )
        try:
            for response in responses:
                if not counter.is_open:
                    counter.begin(self._drafted(asked.max_tokens - written))
                written += 1
                step = counter.add(response.token, response.text, from_draft=response.from_draft)
                if response.finish_reason is not None:
                    finish = response.finish_reason
                    step = step or counter.cut()
                if step is not None:
                    yield step
        finally:
            responses.close()
        yield End(finish, len(prompt), cached_tokens=0, peak_memory=mx.get_peak_memory())

    def next_tokens(
        self, messages: Messages, written: Sequence[int], count: int
    ) -> list[tuple[int, float]]:
        prompt = mx.array([*self._prompt(messages), *written])
        steps = generate_step(prompt, self._model, max_tokens=1, **self._options)
        try:
            _, logprobs = next(steps)
        finally:
            steps.close()
        logprobs = logprobs.astype(mx.float32)
        values = (logprobs - mx.logsumexp(logprobs)).tolist()
        # Of equal ones the smaller id comes first, as greedy sampling has it.
        best = heapq.nsmallest(count, range(len(values)), key=lambda token: (-values[token], token))
        return [(token, values[token]) for token in best]

    # ---- tokens and drafts --------------------------------------------------------------------

    def _drafted(self, left: int) -> int:
        """Draft tokens of the step that has just been verified, `left` tokens before the end."""
        if self._draft is None or self._draft_tokens is None:
            return 0
        drafted, self._draft.passes = self._draft.passes, 0
        expected = min(left, self._draft_tokens)
        if drafted != expected:
            self._disagreement = (
                f"the draft model was asked for {drafted} tokens in one step, "
                f"but by mlx-lm's rule it is asked for {expected}"
            )
        return drafted

    def _prompt(self, messages: Messages) -> list[int]:
        told = [{"role": role, "content": content} for role, content in messages]
        try:
            tokens = tokens_of(self._tokenizer, told)
        except Exception as error:
            raise RefusedError(f"the chat template refuses the messages: {error}") from None
        if not tokens:
            raise RefusedError("the prompt is empty")
        return tokens


def _loaded(folder: str) -> tuple[Any, Any]:
    try:
        found = load(folder)
    except Exception as error:
        kind = type(error).__name__
        raise RuntimeError(f"mlx-lm cannot load {folder}: {kind}: {error}") from error
    return found[0], found[1]


def _rows(model: Any) -> int | None:
    """Tokens that a model has embeddings of; None: it does not say."""
    rows = getattr(getattr(model, "args", None), "vocab_size", None)
    return rows if isinstance(rows, int) else None
