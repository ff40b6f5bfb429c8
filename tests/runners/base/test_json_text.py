from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.base.contract import RequestError
from runners.base.json_text import count, count_or_none, positive, read_object, readable


def test_an_object() -> None:
    assert read_object('{"a": [1]}') == {"a": [1]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"cannot be read \(JSONDecodeError"),
        ("[1]", "no JSON object.*: '\\[1\\]'"),
        ("null", "no JSON object"),
        ("[" * 100_000, r"RecursionError"),
        ('{"error": {"message": "no room"}}', "answered with an error: no room$"),
        ('{"error": "no"}', "answered with an error: no$"),
        ('{"error": {"code": 5}}', "cannot be read .KeyError"),
    ],
)
def test_what_is_none(text: str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        read_object(text)
    assert len(str(caught.value)) < 600


@given(st.text(max_size=200))
def test_any_text_is_an_object_or_a_request_error(text: str) -> None:
    with contextlib.suppress(RequestError):
        assert read_object(text) == json.loads(text)


@pytest.mark.parametrize("wrong", ["7", '["x"]', '{"n": null}', '{"n": "x"}', '{"n": Infinity}'])
def test_what_does_not_hold_a_number(wrong: str) -> None:
    body = json.loads(wrong)
    with pytest.raises(RequestError, match="cannot be read"), readable(body):
        int(body["n"])


@pytest.mark.parametrize("value", [0, 7, 7.0, 100_000_000])
def test_numbers_of_tokens(value: float) -> None:
    assert count(value) == count_or_none(value) == int(value)
    assert count_or_none(None) is None


@pytest.mark.parametrize("value", [-1, 1.5, "7", True, None, [], 1e9, math.nan, math.inf])
def test_what_is_no_number_of_tokens(value: object) -> None:
    with pytest.raises(RequestError, match="cannot be read"), readable(value):
        count(value)


@pytest.mark.parametrize("value", [0, -3.0, math.nan, math.inf, None, "5", True])
def test_durations_that_are_none(value: object) -> None:
    assert positive(value) is None


def test_durations() -> None:
    assert positive(2) == 2.0


@pytest.mark.parametrize("text", ['{"error": null, "a": 1}', '{"error": "", "a": 1}'])
def test_an_error_that_is_none(text: str) -> None:
    assert read_object(text)["a"] == 1
