"""Sources that must agree; the server itself is driven in tests/live."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from runners.base.contract import Completion, Counters, LaunchSpec, NextToken, RunnerError
from runners.base.process import Process
from runners.llama_cpp import server as server_module
from runners.llama_cpp.server import LlamaCppServer, likeliest


class Told(LlamaCppServer):
    """A server whose counters are given."""

    def __init__(self, log: Path, counters: Counters | RunnerError | None) -> None:
        super().__init__(cast("Process", None), "", LaunchSpec(None), log)
        self._given = counters

    async def counters(self) -> Counters | None:
        if isinstance(self._given, RunnerError):
            raise self._given
        return self._given


def finished(accepted: int, drafted: int) -> Completion:
    return Completion(0.0, 9, "stop", drafted=drafted, accepted=accepted)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "LOGGED_S", 0.01)


@pytest.mark.parametrize(
    ("counted", "logged", "told", "words"),
    [
        ((3, 8), "(3 accepted / 8 generated)", (3, 8), None),
        (None, "(3 accepted / 8 generated)", (3, 8), None),
        (None, "", (3, 8), None),
        ((3, 8), "", (3, 8), None),
        ((2, 8), "", (3, 8), "the responses: 3 of 8, /metrics: 2 of 8"),
        ((3, 8), "(3 accepted / 9 generated)", (3, 8), "/metrics: 3 of 8, the log: 3 of 9"),
        ((4, 9), "(4 accepted / 9 generated)", None, None),
        ((4, 9), "(4 accepted / 8 generated)", None, None),
    ],
)
async def test_disagreement(
    tmp_path: Path,
    counted: tuple[int, int] | None,
    logged: str,
    told: tuple[int, int] | None,
    words: str | None,
) -> None:
    log = tmp_path / "log"
    log.write_text(f"0.1 I slot: draft acceptance = 0.5 {logged}\n" if logged else "nothing\n")
    counters = None
    if counted is not None:
        counters = Counters(drafted=counted[1], accepted=counted[0], steps=1)
    server = Told(log, counters)
    server._told.begin()
    if told is not None:  # Otherwise the request broke off.
        server._told.add(finished(*told))
    review = await server.review()
    assert (review.disagreement is None) == (words is None), review
    assert words is None or words in str(review.disagreement)


async def test_review_never_fails(tmp_path: Path) -> None:
    review = await Told(tmp_path / "none", RunnerError("it is gone")).review()
    assert (review.remark, review.disagreement, review.draft_limit) == (None, None, None)


async def test_draft_limit(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("nothing\n")
    counters = Counters(0, 0, 1, accepted_per_position=(0, 0, 0))
    assert (await Told(log, counters).review()).draft_limit == 3
    log.write_text("0.1 W dflash: draft too long -- clamping to 2\n")
    assert (await Told(log, counters).review()).draft_limit == 2


def testlikeliest_tokens() -> None:
    top = [{"id": 5, "logprob": -2.0}, {"id": 7, "logprob": -0.5}, {"id": 6, "logprob": -3}]
    body = json.dumps({"completion_probabilities": [{"top_logprobs": top}]}).encode()
    assert likeliest(body, 2) == (NextToken(7, -0.5), NextToken(5, -2.0))
    for other in (b"{}", b"", b"[]", b'{"completion_probabilities": []}', b"\xff"):
        assert likeliest(other, 2) is None
