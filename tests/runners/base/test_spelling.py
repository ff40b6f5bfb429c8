from __future__ import annotations

from runners.base.spelling import nearest


def test_the_names_that_may_have_been_meant() -> None:
    known = ["threads", "threads-batch", "ctx-size"]
    assert nearest("thread", known) == "did you mean threads or threads-batch?"
    assert nearest("frobnicate", known) == ""
    assert nearest("x", []) == ""
