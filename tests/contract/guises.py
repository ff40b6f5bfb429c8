"""The runner 'endpoint' before each server that is known by a transcript."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runners.base.contract import LaunchSpec, OptionValue
from runners.base.speculation import AS_SERVED, Speculation
from runners.registry import make_runner
from tests.contract.setting import (
    ACCEPTED,
    ASK,
    CACHED,
    COUNTERS,
    COUNTS,
    DRAFTED,
    IDS,
    POSITIONS,
    PROMPT_TOKENS,
    STEPS,
    Setting,
    Stand,
    environment,
)
from tests.models.export import Family
from tests.transcripts.server import NO_FAULTS, Faults, TranscriptServer, playing
from tests.transcripts.transcript import names

KEY, VARIABLE = "sk-not-to-be-told", "CONTRACT_TEST_KEY"


@dataclass(frozen=True)
class Guise:
    """What the endpoint can know of a server."""

    drafts: bool
    tells: frozenset[str]
    known: dict[str, int] = field(default_factory=dict)
    """Of the answer to `ASK`, as the transcript has it."""
    options: tuple[tuple[str, OptionValue], ...] = ()


NO_DRAFTS = {"output_tokens": 24, "drafted": 0, "accepted": 0}
TOTAL = frozenset({PROMPT_TOKENS})
SPEC = frozenset({DRAFTED, ACCEPTED, STEPS})
WRITTEN = {"output_tokens": 24, "prompt_tokens": 21}
"""Of those written from documents; their drafts are 3 tokens long."""
DRAFTS = {"drafted": 30, "accepted": 13, "steps": 11}
MODEL: tuple[tuple[str, OptionValue], ...] = (("model", "qwen3-hf"),)

GUISES: dict[str, Guise] = {
    "cut-characters": Guise(False, TOTAL | {COUNTS}, {"output_tokens": 24, "prompt_tokens": 21}),
    "keep-alive": Guise(False, TOTAL | {COUNTS}, WRITTEN),
    "llama-cpp-python": Guise(False, frozenset({COUNTS}), {"output_tokens": 24}),
    "llama-server": Guise(
        False, TOTAL | SPEC | {COUNTS, CACHED}, {**NO_DRAFTS, "steps": 24, "prompt_tokens": 31}
    ),
    "llama-server-mtp": Guise(
        True,
        TOTAL | SPEC | {COUNTS, CACHED},
        {"output_tokens": 24, "drafted": 30, "accepted": 12, "steps": 12, "prompt_tokens": 31},
    ),
    "lm-studio": Guise(True, TOTAL | SPEC, WRITTEN | DRAFTS),
    "many-first": Guise(False, TOTAL, WRITTEN),
    "mlx-lm": Guise(False, TOTAL | {COUNTS, CACHED}, {"output_tokens": 24}),
    "mlx-lm-draft": Guise(True, TOTAL | {COUNTS, CACHED}, {"output_tokens": 24}, MODEL),
    "no-usage": Guise(False, frozenset({COUNTS}), {"output_tokens": 24}),
    "ollama": Guise(False, TOTAL | {COUNTS}, WRITTEN),
    "openai": Guise(False, TOTAL | {COUNTS, CACHED}, {**WRITTEN, "cached_tokens": 0}),
    "reasoning": Guise(False, TOTAL | {COUNTS}, WRITTEN),
    "sglang": Guise(True, TOTAL | SPEC | {COUNTS}, WRITTEN | DRAFTS),
    "tensorrt-llm": Guise(
        True, TOTAL | {COUNTS, COUNTERS, POSITIONS, STEPS}, {**WRITTEN, "steps": 11}
    ),
    "tensorrt-llm-old": Guise(True, TOTAL | {COUNTS, COUNTERS, STEPS}, {**WRITTEN, "steps": 11}),
    "tgi": Guise(True, TOTAL | {COUNTS, COUNTERS}, WRITTEN),
    "vllm": Guise(False, TOTAL | {COUNTS, IDS, STEPS}, {"output_tokens": 24, "steps": 24}),
    "vllm-mtp": Guise(True, TOTAL | {COUNTS, IDS, COUNTERS, POSITIONS}, {"output_tokens": 24}),
    "vllm-mtp-told": Guise(
        True,
        TOTAL | SPEC | {COUNTS, IDS, COUNTERS, POSITIONS},
        {"output_tokens": 24, "drafted": 33, "accepted": 12, "steps": 12},
    ),
}
"""Transcript -> what the endpoint makes of it."""


def _stand(name: str, guise: Guise) -> Stand:
    @contextlib.contextmanager
    def make(family: Family, folder: Path) -> Iterator[Setting]:
        with (
            environment(**{VARIABLE: KEY}),
            # Faster than it was, or the tests would wait for servers that thought.
            playing(name, scale=0.1, faults=usual(name)) as played,
        ):
            key = VARIABLE if usual(name).bearer else None
            yield Setting(
                make_runner("endpoint", played.url, key),
                LaunchSpec(None, Speculation(AS_SERVED), guise.options),
                drafts=guise.drafts,
                tells=guise.tells,
                ask=ASK,
                long=ASK,
                refused=("messages", "[]"),
                secret=KEY,
                kill=lambda _: played.close(),
                slowly=lambda: _hanging(played),
                known=guise.known,
            )

    return Stand(f"endpoint-{name}", make)


def usual(name: str) -> Faults:
    """One of them wants a key."""
    return Faults(bearer=KEY) if name == "openai" else NO_FAULTS


@contextlib.contextmanager
def _hanging(played: TranscriptServer) -> Iterator[None]:
    before = played.faults
    played.faults = Faults(bearer=before.bearer, hang_after=3)
    yield
    played.faults = before


STANDS: tuple[Stand, ...] = tuple(_stand(name, GUISES[name]) for name in names() if name in GUISES)
