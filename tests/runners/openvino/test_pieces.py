from __future__ import annotations

from runners.openvino.pieces import pieces_of

VOCABULARY = {b"a": 0, b" b": 1, b"<|end|>": 2, b"\xe6\x97": 3, b" ": 4}


def decode(texts: list[list[int]]) -> list[str]:
    """As OpenVINO's: neither control tokens nor halves of characters, no blank at the beginning."""
    shown = {0: "a", 1: "b"}
    return [shown.get(token, "") for (token,) in texts]


def test_tokens_that_are_left_out_have_no_bytes() -> None:
    pieces = pieces_of(VOCABULARY, decode)
    assert pieces == {0: b"a", 1: b" b", 2: b"", 3: b"\xe6\x97", 4: b" "}
