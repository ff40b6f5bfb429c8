"""What the user page promises of the packaged workloads, checked on the data itself."""

from __future__ import annotations

import ast
import json
import re
from importlib import resources
from pathlib import Path

import pytest

from workloads.prompts import Prompt, WorkloadError, load, names

KINDS = {
    "coding": {"completion", "function", "edit", "tests"},
    "structured": {"json", "table", "repetitive"},
    "prose": {"story", "essay", "dialogue"},
    "summary": {"summary", "quote", "explain"},
}


def characters(prompt: Prompt) -> int:
    return sum(len(message.content) for message in prompt.messages)


def tokens(prompt: Prompt) -> int:
    assert prompt.length is not None
    return prompt.length


def test_the_workloads_that_the_page_names() -> None:
    assert names() == ("coding", "structured", "prose", "summary")


@pytest.mark.parametrize("name", names())
class TestPackaged:
    def test_has_a_name_a_description_and_enough_prompts(self, name: str) -> None:
        workload = load(name)
        assert workload.name == name
        assert workload.description
        assert "\n" not in workload.description
        assert 13 <= len(workload.prompts) <= 16
        assert {prompt.workload for prompt in workload.prompts} == {name}

    def test_has_exactly_its_kinds(self, name: str) -> None:
        assert {prompt.kind for prompt in load(name).prompts} == KINDS[name]

    def test_every_line_gives_every_key_of_the_schema(self, name: str) -> None:
        text = (resources.files("workloads") / f"{name}.jsonl").read_text("utf-8")
        for line in text.splitlines():
            assert list(json.loads(line)) == ["id", "kind", "length", "messages"]

    def test_lengths_are_plausible(self, name: str) -> None:
        for prompt in load(name).prompts:
            count = characters(prompt)
            assert count / 8 <= tokens(prompt) <= count / 2, prompt.id

    def test_lengths_range_from_short_to_long(self, name: str) -> None:
        lengths = sorted(tokens(prompt) for prompt in load(name).prompts)
        assert 50 <= lengths[0] <= 100
        assert lengths[-1] <= 1500
        assert sum(length >= 850 for length in lengths) >= 2
        assert sum(150 <= length <= 850 for length in lengths) >= 3

    def test_begins_with_short_prompts_of_different_kinds(self, name: str) -> None:
        prompts = load(name).prompts
        assert all(tokens(prompt) < 350 for prompt in prompts[:3])
        assert len({prompt.kind for prompt in prompts[:2]}) == 2
        assert {prompt.kind for prompt in prompts[:4]} == KINDS[name]

    def test_prompts_differ(self, name: str) -> None:
        prompts = load(name).prompts
        assert len({prompt.sha256 for prompt in prompts}) == len(prompts)


def test_python_given_in_a_prompt_parses() -> None:
    blocks = [
        block
        for prompt in load("coding").prompts
        for block in re.findall(r"```python\n(.*?)```", prompt.messages[0].content, re.DOTALL)
    ]
    assert len(blocks) >= 5
    for block in blocks:
        ast.parse(block)


def test_a_packaged_name_wins_over_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coding").write_text('{"prompt": "mine"}', encoding="utf-8")
    assert len(load("coding").prompts) > 1
    assert load("./coding").name == "./coding"
    assert load("./coding").prompts[0].messages[0].content == "mine"


@pytest.mark.parametrize(("wrong", "near"), [("codign", "coding"), ("Prose", "prose")])
def test_an_unknown_name_lists_the_names_and_suggests_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        load(wrong)
    message = str(caught.value)
    assert all(name in message for name in names())
    assert f"Did you mean {near}?" in message


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(WorkloadError) as caught:
        load("zzz")
    assert "Did you mean" not in str(caught.value)
