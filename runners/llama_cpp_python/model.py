"""One model in llama-cpp-python: what the child process serves. Imports the package."""

from __future__ import annotations

import codecs
import ctypes
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import llama_cpp
import numpy as np
from llama_cpp.llama_chat_format import CHATML_CHAT_TEMPLATE, Jinja2ChatFormatter
from llama_cpp.llama_speculative import LlamaDraftModel, LlamaPromptLookupDecoding
from numpy.typing import NDArray

from runners.base.generator_server import Asked, End, RefusedError, Step
from runners.llama_cpp_python.steps import ComparedSteps

LONGEST_PIECE = 1024
"""Bytes of one token's text; the package's own buffer has 32, and loses what is longer."""

NONE = -1
"""llama.cpp's token where a model has no such one."""

Messages = Sequence[tuple[str, str]]


class CountedLookup(LlamaDraftModel):  # type: ignore[misc]
    """The package's prompt lookup, with its proposals passed on to whoever counts them."""

    def __init__(self, lookup: LlamaPromptLookupDecoding) -> None:
        self._lookup = lookup
        self.context = 0
        """Tokens of context; the package cuts a draft where they end."""
        self.steps = ComparedSteps()
        self.asked = 0
        self.found = 0

    def __call__(self, input_ids: NDArray[np.intc], /, **kwargs: Any) -> NDArray[np.intc]:
        draft: NDArray[np.intc] = self._lookup(input_ids, **kwargs)
        draft = draft[: max(0, self.context - len(input_ids))]
        self.steps.draft(draft.tolist())
        self.asked += 1
        self.found += len(draft) > 0
        return draft

    @property
    def longest_draft(self) -> int:
        return int(self._lookup.num_pred_tokens)

    @property
    def longest_ngram(self) -> int:
        return int(self._lookup.max_ngram_size)


class Model:
    """A `generator_server.TokenGenerator`."""

    def __init__(
        self, arguments: Mapping[str, Any], lookup_arguments: Mapping[str, int] | None
    ) -> None:
        """Load the model.

        Raises:
            RuntimeError: it cannot draft by lookup.
            Exception: whatever the package raises.
        """
        self._lookup: CountedLookup | None = None
        if lookup_arguments is not None:
            self._lookup = CountedLookup(LlamaPromptLookupDecoding(**lookup_arguments))
            # The package keeps the logits of n_batch places only, and breaks at the next one.
            arguments = {**arguments, "logits_all": True, "draft_model": self._lookup}
        self._llama = llama = llama_cpp.Llama(**arguments)
        llama.verbose = False
        # llama.cpp rounds the context up, the package's own arrays are as long as was asked.
        self._context = min(llama.n_ctx(), len(llama.input_ids))
        if self._lookup is not None:
            self._lookup.context = self._context
            recurrent = llama_cpp.llama_model_is_recurrent(llama.model)
            if recurrent or llama_cpp.llama_model_is_hybrid(llama.model):
                # The package would go on with the state as the rejected tokens left it.
                raise RuntimeError(
                    "llama-cpp-python cannot take back rejected tokens of a recurrent model"
                )
        self._vocab = llama_cpp.llama_model_get_vocab(llama.model)
        self._bos = llama.token_bos() if llama_cpp.llama_vocab_get_add_bos(self._vocab) else NONE
        self._template = Jinja2ChatFormatter(
            template=llama.metadata.get("tokenizer.chat_template", CHATML_CHAT_TEMPLATE),
            eos_token=self._text_of(llama.token_eos()),
            bos_token=self._text_of(llama.token_bos()),
        )
        self._buffer = ctypes.create_string_buffer(LONGEST_PIECE)
        self._disagreement: str | None = None

    # ---- what the server asks for -------------------------------------------------------------

    def about(self) -> dict[str, object]:
        if self._lookup is None:
            return {"method": "none", "disagreement": self._disagreement}
        remark = None
        if self._lookup.asked and not self._lookup.found:
            remark = (
                f"looked {self._lookup.asked} times for the last {self._lookup.longest_ngram} "
                "tokens or fewer in the text before, and never found them"
            )
        return {
            "method": "ngram",
            "draft_limit": self._lookup.longest_draft,
            "remark": remark,
            "disagreement": self._disagreement,
        }

    def generate(self, asked: Asked) -> Generator[Step | End, None, None]:
        llama = self._llama
        prompt = self._prompt(asked.messages)
        room = self._context - len(prompt)
        if room < 1:
            raise RefusedError(
                f"the prompt of {len(prompt)} tokens exceeds the context of {self._context}"
            )
        counter = ComparedSteps()
        if self._lookup is not None:
            self._lookup.steps = counter
        # Nothing of earlier requests is left: the package would reuse a common beginning.
        llama.reset()
        llama.set_seed(asked.seed)
        llama_cpp.llama_perf_context_reset(llama.ctx)
        text = codecs.getincrementaldecoder("utf-8")("replace")
        finish = "length"
        evaluated = len(prompt)
        steps = 0
        left = min(asked.max_tokens, room)
        # By temperature alone, so that runners with other defaults can be compared; 0 is greedy.
        tokens = llama.generate(prompt, temp=asked.temperature, top_k=0, top_p=1.0, min_p=0.0)
        try:
            for token in tokens:
                left -= 1
                if llama_cpp.llama_vocab_is_eog(self._vocab, token):
                    finish = "stop"
                over = finish == "stop" or left == 0
                step = counter.add(token, text.decode(self._piece(token)))
                if step is None and over:
                    step = counter.cut()
                if step is not None:
                    evaluated += 1 + (step.drafted or 0) if steps else 0
                    steps += 1
                    yield step
                if over:
                    break
        finally:
            tokens.close()
        self._compare(evaluated)
        yield End(finish, len(prompt), cached_tokens=0, text=text.decode(b"", final=True))

    def next_tokens(
        self, messages: Messages, written: Sequence[int], count: int
    ) -> list[tuple[int, float]]:
        llama = self._llama
        tokens = [*self._prompt(messages), *written]
        if len(tokens) > self._context:
            raise RefusedError(f"{len(tokens)} tokens exceed the context of {self._context}")
        llama.reset()
        llama.eval(tokens)
        pointer = llama_cpp.llama_get_logits_ith(llama.ctx, -1)
        logits = np.ctypeslib.as_array(pointer, shape=(llama.n_vocab(),)).astype(np.float64)
        logits -= logits.max()
        logprobs = logits - np.log(np.exp(logits).sum())
        # Stable: of equal ones the smaller id comes first, as greedy sampling has it.
        best = np.argsort(-logprobs, kind="stable")[:count]
        return [(int(token), float(logprobs[token])) for token in best]

    # ---- text and tokens ----------------------------------------------------------------------

    def _prompt(self, messages: Messages) -> list[int]:
        """The chat template's text as tokens; the template, or else the model, says whether a
        BOS token leads them."""
        try:
            text = self._template(
                messages=[{"role": role, "content": content} for role, content in messages]
            ).prompt
        except Exception as error:
            raise RefusedError(f"the chat template refuses the messages: {error}") from None
        tokens = self._llama.tokenize(text.encode(errors="replace"), add_bos=False, special=True)
        if self._bos != NONE and tokens[:1] != [self._bos]:
            tokens = [self._bos, *tokens]
        if not tokens:
            raise RefusedError("the prompt is empty")
        return list(tokens)

    def _text_of(self, token: int) -> str:
        """A special token as templates write it."""
        if token == NONE:
            return ""
        text: bytes = llama_cpp.llama_vocab_get_text(self._vocab, token)
        return text.decode(errors="replace")

    def _piece(self, token: int) -> bytes:
        """A token's bytes; none of a control token such as the end of text."""
        size = llama_cpp.llama_token_to_piece(
            self._vocab, token, self._buffer, LONGEST_PIECE, 0, False
        )
        return self._buffer.raw[: max(0, size)]

    def _compare(self, evaluated: int) -> None:
        """Hold the counted steps against llama.cpp's own count of evaluated tokens."""
        perf = llama_cpp.llama_perf_context(self._llama.ctx)
        said = perf.n_p_eval + perf.n_eval
        # It says 1 where it counted none.
        if said != evaluated and not (said == evaluated + 1 and 1 in (perf.n_p_eval, perf.n_eval)):
            self._disagreement = (
                f"llama.cpp evaluated {said} tokens for one answer, "
                f"but its prompt and counted drafts make {evaluated}"
            )
