from __future__ import annotations

import pytest

from runners.base.contract import Message, Request, RequestError
from runners.endpoint.form import CONTINUOUS, Form

ASK = Request((Message("user", "Hi"),), max_tokens=5, temperature=0.0, seed=3)


def refusal(message: str, status: int = 400) -> RequestError:
    return RequestError(f"HTTP {status}: {message}", status=status)


def test_a_request_begins_with_all_that_would_help() -> None:
    body = Form("m", extras={"timings_per_token": True}, options=(("top_k", 1),)).body(ASK)
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "max_tokens": 5,
        "temperature": 0.0,
        "seed": 3,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "timings_per_token": True,
        "top_k": 1,
    }


@pytest.mark.parametrize(
    ("message", "gone"),
    [
        ("Unrecognized request argument supplied: return_token_ids", "return_token_ids"),
        ("Unknown parameter: 'stream_options.continuous_usage_stats'.", CONTINUOUS),
        ("Unsupported value: 'temperature' does not support 0.0", "temperature"),
        ("'seed' is not supported", "seed"),
    ],
)
def test_what_a_refusal_names_is_left_away_first(message: str, gone: str) -> None:
    form = Form("m", extras={"cache_salt": "x", "return_token_ids": True})
    poorer = form.without_refused(refusal(message))
    assert poorer is not None
    before, after = str(form.body(ASK)), str(poorer.body(ASK))
    assert gone in before
    assert gone not in after
    assert len(before) - len(after) < 60


def test_newer_models_of_openai_want_the_limit_by_another_name() -> None:
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    poorer = Form("m").without_refused(refusal(message))
    assert poorer is not None
    body = poorer.body(ASK)
    assert "max_tokens" not in body
    assert body["max_completion_tokens"] == 5


def test_a_refusal_that_names_nothing_leaves_away_what_is_least_needed_until_nothing_is_left() -> (
    None
):
    form: Form | None = Form("m", extras={"a": 1, "b": 2}, options=(("top_k", 1),))
    bodies = []
    while form is not None:
        bodies.append(form.body(ASK))
        form = form.without_refused(refusal("Bad Request", 422))
    assert [len(str(body)) for body in bodies] == sorted(
        (len(str(body)) for body in bodies), reverse=True
    ) or len(bodies) > 5
    assert set(bodies[-1]) == {"model", "messages", "stream", "max_completion_tokens", "top_k"}


@pytest.mark.parametrize("status", [401, 429, 500])
def test_other_failures_are_not_about_the_form(status: int) -> None:
    assert Form("m").without_refused(refusal("seed", status)) is None
    assert Form("m").without_refused(RequestError("no connection")) is None
