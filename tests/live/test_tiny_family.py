"""Every way of speculating on the tiny trained models, through the wheel and a real llama-server.

The models are small enough to sweep every method over k = 1..6, and trained, so that acceptance
means something: it falls from position to position, and the text stays that of plain decoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from runners.base.contract import (
    Burst,
    Completion,
    Counters,
    LaunchSpec,
    Message,
    Request,
)
from runners.base.speculation import PLAIN_DECODING, Speculation, SyntheticAcceptance
from runners.registry import make_runner
from tests.live.builds import BUILDS, program_of, why_absent
from tests.models.export import Family

pytestmark = [pytest.mark.live, pytest.mark.slow]

LENGTHS = (1, 2, 3, 4, 5, 6)
METHODS = (
    "mtp",
    "draft-model",
    "ngram-simple",
    "ngram-map-k",
    "ngram-map-k4v",
    "ngram-mod",
    "ngram-cache",
    "ngram-mod+mtp",
    "ngram-simple+draft-model",
)
SHORT_LOOKUP = {
    "ngram-simple": ("spec-ngram-simple-size-n", 1),
    "ngram-map-k": ("spec-ngram-map-k-size-n", 2),
    "ngram-map-k4v": ("spec-ngram-map-k4v-size-n", 2),
    "ngram-mod": ("spec-ngram-mod-n-match", 3),
}
"""N-grams short enough to be found again in a few hundred tokens."""

PROMPTS = (
    "def read_lines(path):\n    with open(path) as file:\n        return [line for line in",
    "The first thing that a reader of this chapter should know is that the",
)

REPETITIVE = "\n".join(
    f"    def get_{name}(self):\n        return self.{name}\n"
    for name in ("name", "path", "size", "mode")
)
"""For ngram-cache, which learns from prompts alone: nothing of what the model writes."""


@dataclass(frozen=True)
class Answered:
    """What one launch made of all prompts."""

    tokens: tuple[tuple[int, ...], ...]
    drafted: int
    accepted: int
    steps: int
    counters: Counters
    draft_limit: int | None


async def answers(
    build: str,
    model: Path,
    log: Path,
    speculation: Speculation = PLAIN_DECODING,
    prompts: tuple[str, ...] = PROMPTS,
) -> Answered:
    if (reason := why_absent(build)) is not None:
        pytest.skip(reason)
    runner = make_runner("llama.cpp", program_of(build))
    options = dict(
        [
            *runner.needed_options(speculation.method, LENGTHS),
            *(SHORT_LOOKUP[part] for part in speculation.parts if part in SHORT_LOOKUP),
            # One thread has nobody to wait for, which on a busy machine decides.
            ("threads", 1),
        ]
    )
    spec = LaunchSpec(model, speculation, tuple(options.items()), context=1024)
    server = await runner.start(spec, log, 60)
    tokens = []
    drafted = accepted = steps = 0
    try:
        before = await server.counters()
        for prompt in prompts:
            request = Request((Message("user", prompt),), max_tokens=96, timeout_s=60)
            parts = [part async for part in server.stream(request)]
            (completion,) = (part for part in parts if isinstance(part, Completion))
            tokens.append(
                tuple(t for b in parts if isinstance(b, Burst) for t in b.token_ids or ())
            )
            assert completion.drafted is not None
            assert completion.accepted is not None
            assert completion.steps is not None
            drafted += completion.drafted
            accepted += completion.accepted
            steps += completion.steps
        after = await server.counters()
        review = await server.review()
    finally:
        await server.stop()
    assert before is not None
    assert after is not None
    assert review.disagreement is None
    return Answered(
        tuple(tokens), drafted, accepted, steps, after.since(before), review.draft_limit
    )


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("method", METHODS)
async def test_every_method_at_every_length(
    build: str, method: str, family: Family, tmp_path: Path
) -> None:
    model = family.qwen35_mtp if "mtp" in method else family.qwen3
    draft = family.draft if "draft-model" in method else None
    prompts = (REPETITIVE,) if method == "ngram-cache" else PROMPTS
    plain = await answers(build, model, tmp_path / "plain.log", prompts=prompts)
    assert (plain.drafted, plain.accepted) == (0, 0)
    assert all(len(tokens) > 40 for tokens in plain.tokens)
    rates = {}
    for k in (8,) if method == "ngram-cache" else LENGTHS:
        speculation = Speculation(method, k, draft)
        found = await answers(build, model, tmp_path / f"k{k}.log", speculation, prompts)
        where = f"{method} k={k}"
        assert found.tokens == plain.tokens, where
        assert found.drafted > 0, where
        assert found.accepted == found.counters.accepted, where
        assert found.drafted == found.counters.drafted, where
        positions = found.counters.accepted_per_position
        assert sum(positions) == found.accepted, where
        assert len(positions) <= k, where
        assert list(positions) == sorted(positions, reverse=True), where
        # Each step yields what it accepted and one token; the last one may be cut at the limit.
        surplus = found.steps + found.accepted - sum(map(len, found.tokens))
        assert 0 <= surplus <= k * len(found.tokens), where
        rates[k] = found.accepted / found.drafted
    if method in ("mtp", "draft-model"):
        # What trained drafters do: right about half of the time, and less sure the further ahead.
        assert 0.4 < rates[1] < 0.95, rates
        assert rates[6] < rates[3] < rates[1], rates


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(
    ("synthetic", "length"),
    [
        (SyntheticAcceptance(length=1.0), 1.0),
        (SyntheticAcceptance(length=2.5), 2.5),
        (SyntheticAcceptance(length=5.0), 5.0),
        (SyntheticAcceptance(rates=(1.0, 0.5, 0.0, 0.0, 0.0)), 2.5),
    ],
)
async def test_drafts_are_accepted_as_drawn(
    build: str, synthetic: SyntheticAcceptance, length: float, family: Family, tmp_path: Path
) -> None:
    """Whatever the heads say: that is how the machine is measured apart from the drafter."""
    speculation = Speculation("mtp", 4, synthetic=synthetic)
    found = await answers(build, family.qwen35_mtp, tmp_path / "log", speculation)
    steps = found.counters.accepted_per_position
    drafting = found.drafted / 4
    assert found.accepted == found.counters.accepted
    assert 1 + found.accepted / drafting == pytest.approx(length, abs=0.35)
    if synthetic.rates:
        first, second, *rest = (count / drafting for count in (*steps, 0, 0)[:4])
        assert first > 0.95
        assert second == pytest.approx(0.5, abs=0.2)
        assert sum(rest) == 0


@pytest.mark.parametrize("build", BUILDS)
async def test_the_likeliest_tokens_are_those_that_greedy_decoding_writes(
    build: str, family: Family, tmp_path: Path
) -> None:
    plain = await answers(build, family.qwen3, tmp_path / "plain.log")
    server = await make_runner("llama.cpp", program_of(build)).start(
        LaunchSpec(family.qwen3, options=(("threads", 1),), context=1024), tmp_path / "log", 60
    )
    try:
        for prompt, tokens in zip(PROMPTS, plain.tokens, strict=True):
            request = Request((Message("user", prompt),), max_tokens=1, timeout_s=60)
            for at in (0, 1, 17, 40):
                told = await server.next_tokens(request, tokens[:at], 5)
                assert told is not None
                assert len(told) == 5
                assert told[0].token == tokens[at]
    finally:
        await server.stop()
