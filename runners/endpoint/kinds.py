"""The servers that an endpoint can be: what each tells, and how it is asked to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runners.base.counters import CounterNames
from runners.base.stream import JSON

NOT_EXPOSED = "not exposed"
UNKNOWN = "unknown"
"""The version of a server that does not answer."""


@dataclass(frozen=True)
class Counting:
    """Totals of speculation on a page of counters."""

    path: str
    """On the server's root."""
    names: tuple[CounterNames, ...]
    """Versions count by several names, and may tell of names that they leave at 0: what counts is
    the one that has counted most."""
    tokens: str | None = None
    """The counter of all generated tokens, which tells whether somebody else is being served."""
    lag_s: float = 1.0
    """How long counters may lag behind an answer."""


@dataclass(frozen=True)
class Kind:
    """One server software."""

    name: str
    acceptance_source: str = NOT_EXPOSED
    fields: Mapping[str, JSON] = field(default_factory=dict)
    """What its requests carry beyond OpenAI's fields."""
    salted: bool = False
    """Whether `cache_salt` keeps a prompt from being answered out of a cache."""
    chat: str | None = None
    """Path of its chat completions on the server's root; None: OpenAI's."""
    own_model: str | None = None
    """Its name for the model that it was started with; None: it goes by its list."""
    chunk_is_step: bool = False
    """Whether a chunk never holds less than the tokens of one step. It may hold those of several:
    servers can be told to send seldom, and merge what was not fetched in time."""
    silence_is_none: bool = False
    """Whether `timings` without drafts say that nothing was drafted."""
    predictions_are_drafts: bool = False
    """Whether OpenAI's counts of predicted tokens, if it fills them, are those of its drafts."""
    counting: Counting | None = None


GENERIC = Kind("OpenAI-compatible")

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "llama-server",
            "timings of each response",
            {"timings_per_token": True, "cache_prompt": False},
            silence_is_none=True,
        ),
        Kind(
            "vllm",
            "metrics of each response where the server was told to send them, else /metrics "
            "counters",
            {"return_token_ids": True},
            salted=True,
            chunk_is_step=True,
            counting=Counting(
                "/metrics",
                (
                    CounterNames(
                        drafted="vllm:spec_decode_num_draft_tokens_total",
                        accepted="vllm:spec_decode_num_accepted_tokens_total",
                        steps=None,
                        per_position="vllm:spec_decode_num_accepted_tokens_per_pos_total",
                    ),
                ),
                tokens="vllm:generation_tokens_total",
            ),
        ),
        Kind(
            "sglang",
            "sglext.spec_tokens_details of each response",
            {"return_spec_tokens_details": True},
            salted=True,
            chunk_is_step=True,
            predictions_are_drafts=True,
        ),
        Kind(
            "tgi",
            "/metrics: tgi_request_skipped_tokens, the accepted tokens of each step; drafted "
            "tokens are not exposed",
            counting=Counting(
                "/metrics",
                (
                    CounterNames(
                        drafted=None,
                        # A histogram that is fed once a step, the prefill's last one included.
                        accepted="tgi_request_skipped_tokens_sum",
                        steps="tgi_request_skipped_tokens_count",
                    ),
                ),
                tokens="tgi_request_generated_tokens_sum",
            ),
        ),
        Kind(
            "tensorrt-llm",
            "/prometheus/metrics counters",
            counting=Counting(
                "/prometheus/metrics",
                (
                    # Of finished requests, where the server was told to keep their figures.
                    CounterNames(
                        drafted="trtllm_spec_decode_drafted_tokens_total",
                        accepted="trtllm_spec_decode_accepted_tokens_total",
                        steps=None,
                        per_position="trtllm_spec_decode_accepted_tokens_total",
                        position_label="token_position",
                    ),
                    CounterNames(
                        drafted="trtllm_spec_decode_num_draft_tokens_total",
                        accepted="trtllm_spec_decode_num_accepted_tokens_total",
                        steps=None,
                    ),
                ),
                tokens="trtllm_generation_tokens_total",
                # Its own tests wait as long.
                lag_s=10.0,
            ),
        ),
        # It lists whatever lies in a cache, and has no list without one.
        Kind("mlx-lm", own_model="default_model"),
        Kind("ollama"),
        Kind(
            "lm-studio",
            "draft tokens in stats or usage of each response",
            chat="/api/v0/chat/completions",
        ),
        GENERIC,
    )
}
"""Name -> kind."""
