from __future__ import annotations

from harness.analysis.settings import series_name, setting_names
from tests.harness.builders import make_arm


def test_one_runner_and_model_need_no_naming():
    arms = [make_arm(), make_arm("ngram-mod", 4)]
    assert setting_names(arms) == {"none": "plain", "ngram-mod-k4": "ngram-mod k=4"}


def test_what_differs_between_arms_is_named():
    arms = [
        make_arm(),
        make_arm(id="v", runner="vllm", model="other/model.gguf", baseline="v"),
        make_arm("draft-model", 2, id="a", draft_model="x/a.gguf"),
        make_arm("draft-model", 2, id="b", draft_model="x/b.gguf"),
    ]
    assert setting_names(arms) == {
        "none": "llama.cpp · target.gguf · plain",
        "v": "vllm · model.gguf · plain",
        "a": "llama.cpp · target.gguf · draft-model k=2 · draft a.gguf",
        "b": "llama.cpp · target.gguf · draft-model k=2 · draft b.gguf",
    }


def test_a_model_in_several_packagings_is_one():
    mlx = {"runner": "mlx", "model": "target-hf", "baseline": "m"}
    arms = [
        make_arm(),
        make_arm("draft-model", 2),
        make_arm(id="m", counterpart="none", **mlx),
        make_arm("draft-model", 2, id="d", counterpart="draft-model-k2", **mlx).model_copy(
            update={"draft_model": "draft-hf"}
        ),
        # Without a counterpart of its own, and of the same model.
        make_arm("ngram", 3, id="n", **mlx),
    ]
    assert list(setting_names(arms).values()) == [
        "llama.cpp · plain",
        "llama.cpp · draft-model k=2",
        "mlx · plain",
        "mlx · draft-model k=2",
        "mlx · ngram k=3",
    ]
    other = make_arm("ngram", 3, id="o", **{**mlx, "model": "other-hf"})
    assert setting_names([*arms, other])["m"] == "mlx · target-hf · plain"


def test_names_are_unique_even_for_arms_that_look_alike():
    arms = [make_arm(), make_arm(id="again")]
    assert setting_names(arms) == {"none": "plain (none)", "again": "plain (again)"}


def test_a_series_is_a_setting_without_its_draft_tokens():
    arms = [make_arm("ngram-mod", 4, options=(("p-min", 0.5),))]
    assert series_name(arms[0], arms) == "ngram-mod, p-min=0.5"
