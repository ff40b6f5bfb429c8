from __future__ import annotations

from dataclasses import dataclass

import pytest

from harness.defaults import with_defaults
from runners.base.contract import Found, Missing
from runners.base.support import MethodSupport
from runners.mock import MockRunner


@dataclass
class Having(MockRunner):
    """A runner of these methods."""

    methods: tuple[str, ...] | None

    def find(self) -> Found | Missing:
        if self.methods is None:
            return Missing("not installed", "install it")
        supports = tuple(MethodSupport(method, supported=True) for method in self.methods)
        return Found("1", "here", supports, "nowhere")


@pytest.mark.parametrize(
    ("methods", "chosen"),
    [
        (("none", "ngram-mod", "ngram-simple", "mtp"), ("ngram-simple", "ngram-mod")),
        (("none", "ngram"), ("ngram",)),
        (None, ("ngram-simple", "ngram-mod")),
        (("none", "mtp"), ()),
    ],
)
def test_without_a_method_it_is_a_lookup_that_the_runner_has(
    methods: tuple[str, ...] | None, chosen: tuple[str, ...]
) -> None:
    assert with_defaults({}, {"a": Having(methods)})["methods"] == chosen


def test_a_draft_model_is_there_to_be_used() -> None:
    settings = {"draft_model": "small.gguf"}
    assert with_defaults(settings, {"a": Having(("none", "ngram"))})["methods"] == ("draft-model",)
