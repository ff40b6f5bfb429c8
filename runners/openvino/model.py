"""One model in OpenVINO GenAI: what the child process serves. Imports the package."""

from __future__ import annotations

import codecs
from collections.abc import Generator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import openvino_genai as genai

from runners.base.generator_server import Asked, End, RefusedError, Step
from runners.base.speculation import PLAIN
from runners.base.vocabulary import difference
from runners.openvino.answer import Answer
from runners.openvino.counts import AnswerCounts, Told
from runners.openvino.exported import exported
from runners.openvino.likeliest import Likeliest
from runners.openvino.options import DRAFT_MODEL, LOOKUP, Launch
from runners.openvino.package import DISTRIBUTION
from runners.openvino.pieces import pieces_of
from runners.openvino.words import in_words

Messages = Sequence[tuple[str, str]]


class Model:
    """A `generator_server.TokenGenerator`."""

    def __init__(self, launch: Launch) -> None:
        """Load the model, and the draft model.

        Raises:
            RuntimeError: a model cannot be loaded, or the draft's vocabulary is another one.
        """
        # Prefix caching is on in GenAI unless a scheduler is given, whose default is off.
        settings: dict[str, Any] = {"scheduler_config": genai.SchedulerConfig()}
        self._method = PLAIN
        self._drafting: dict[str, int] = {}
        if launch.draft_tokens is not None:
            self._drafting["num_assistant_tokens"] = launch.draft_tokens
        if launch.ngram_size is not None:
            self._method = LOOKUP
            self._drafting["max_ngram_size"] = launch.ngram_size
            settings["prompt_lookup"] = True
        draft = None
        if launch.draft is not None:
            self._method = DRAFT_MODEL
            draft = str(exported(Path(launch.draft), version(DISTRIBUTION)))
            settings["draft_model"] = genai.draft_model(draft, launch.device, **launch.properties)
        with in_words(launch.model):
            self._pipeline = genai.LLMPipeline(
                launch.model, launch.device, **settings, **launch.properties
            )
        self._tokenizer = self._pipeline.get_tokenizer()
        # The pipeline's own settings lack them where there is a draft model.
        ends = {
            self._tokenizer.get_eos_token_id(),
            *self._pipeline.get_generation_config().stop_token_ids,
        }
        self._stops = {token for token in ends if token >= 0}
        vocabulary = self._tokenizer.get_vocab()
        self._pieces = pieces_of(vocabulary, self._tokenizer.decode)
        if draft is not None:
            # GenAI itself compares how one sentence is tokenized, and goes on.
            reason = difference(vocabulary, genai.Tokenizer(draft).get_vocab())
            if reason is not None:
                raise RuntimeError(f"the draft model has another vocabulary: {reason}")
        self._disagreement: str | None = None
        self._launch = launch
        self._likeliest: Likeliest | None = None

    # ---- what the server asks for -------------------------------------------------------------

    def about(self) -> dict[str, object]:
        return {
            "method": self._method,
            "draft_limit": self._drafting.get("num_assistant_tokens"),
            "disagreement": self._disagreement,
        }

    def generate(self, asked: Asked) -> Generator[Step | End, None, None]:
        if self._method == DRAFT_MODEL and asked.temperature > 0:
            # It breaks off with an internal error, and drafts nothing from then on.
            raise RefusedError(
                f"{DISTRIBUTION} cannot sample with a draft model: temperature 0 only"
            )
        prompt = self._prompt(asked.messages)
        text = codecs.getincrementaldecoder("utf-8")("replace")
        counts = AnswerCounts(self._method)
        config = self._config(asked)
        answer = Answer(lambda streamer: self._pipeline.generate(prompt, config, streamer))
        stopped = False
        try:
            for tokens in answer.steps():
                stopped = tokens[-1] in self._stops
                said = text.decode(b"".join(self._pieces.get(token, b"") for token in tokens))
                drafted, accepted = counts.add(len(tokens), stops=stopped)
                yield Step(tokens, said, drafted, accepted)
        finally:
            answer.close()
        told = _told(answer.result)
        self._disagreement = self._disagreement or counts.disagreement(told)
        yield End(
            "stop" if stopped else "length",
            int(prompt.shape[1]),
            cached_tokens=0,
            text=text.decode(b"", final=True),
            drafted=counts.drafted(told, stops=stopped),
        )

    def next_tokens(
        self, messages: Messages, written: Sequence[int], count: int
    ) -> list[tuple[int, float]]:
        prompt = [int(token) for token in self._prompt(messages).data[0]]
        if self._likeliest is None:
            launch = self._launch
            self._likeliest = Likeliest(Path(launch.model), launch.device, launch.properties)
        return self._likeliest.after([*prompt, *written], count)

    # ---- a generation -------------------------------------------------------------------------

    def _config(self, asked: Asked) -> Any:
        config = genai.GenerationConfig()
        config.max_new_tokens = asked.max_tokens
        config.stop_token_ids = self._stops
        # By temperature alone, so that runners with other defaults can be compared; 0 is greedy.
        config.do_sample = asked.temperature > 0
        if config.do_sample:
            config.temperature = asked.temperature
            config.rng_seed = asked.seed
        for name, value in self._drafting.items():
            setattr(config, name, value)
        return config

    def _prompt(self, messages: Messages) -> Any:
        """The chat template's text as a tensor of tokens (1, n); as GenAI itself, without the
        tokens that a tokenizer would put around a text. Without a template: the messages' texts.
        """
        template = self._tokenizer.chat_template
        try:
            if template:
                told = [{"role": role, "content": content} for role, content in messages]
                text = self._tokenizer.apply_chat_template(told, add_generation_prompt=True)
            else:
                text = "\n".join(content for _, content in messages)
            tokens = self._tokenizer.encode(text, add_special_tokens=not template).input_ids
        except Exception as error:
            raise RefusedError(f"the chat template refuses the messages: {error}") from None
        if not tokens.shape[1]:
            raise RefusedError("the prompt is empty")
        return tokens


def _told(result: Any) -> Told:
    sizes = tuple(result.perf_metrics.raw_metrics.m_batch_sizes)
    drafts = result.extended_perf_metrics
    if drafts is None:
        return Told(sizes)
    return Told(sizes, drafts.get_num_draft_tokens(), drafts.get_num_accepted_tokens())
