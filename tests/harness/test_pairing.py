from __future__ import annotations

import pytest

from harness.pairing import PromptCounts, UnequalPrompt, pairs, prompt_counts, ratios
from tests.harness.builders import make_arm, make_sample, make_samples

PLAIN = make_arm()
SPECULATIVE = make_arm("ngram-mod", 4)


def test_ratios_are_paired_by_prompt_and_round():
    plain = make_samples(PLAIN, [10.0, 20.0, 40.0, 80.0], prompts=("a", "b"))
    fast = make_samples(SPECULATIVE, [20.0, 40.0, 80.0, 160.0], prompts=("a", "b"))
    assert ratios(reversed(fast), plain) == ((2.0, 2.0), (2.0, 2.0))


def test_ratios_are_grouped_by_round():
    plain = make_samples(PLAIN, [10.0, 10.0, 10.0, 10.0], prompts=("a", "b"))
    fast = make_samples(SPECULATIVE, [20.0, 30.0, 40.0, 50.0], prompts=("a", "b"))
    assert ratios(fast, plain) == ((2.0, 3.0), (4.0, 5.0))
    assert ratios([fast[3], fast[0]], plain) == ((2.0,), (5.0,))


@pytest.mark.parametrize(
    "change",
    [
        {"round": 2},
        {"prompt": "other"},
        {"workload": "prose"},
        {"max_tokens": 64},
        {"status": "failed"},
        {"decode_rate": None},
    ],
)
def test_what_has_no_partner_gives_no_ratio(change):
    assert ratios([make_sample(SPECULATIVE)], [make_sample(PLAIN, **change)]) == ()
    assert ratios([make_sample(SPECULATIVE, **change)], [make_sample(PLAIN)]) == ()


def test_failed_samples_are_in_no_pair():
    assert list(pairs([make_sample(PLAIN, status="failed")], [make_sample(PLAIN)])) == []
    ((sample, other),) = pairs([make_sample(PLAIN)], [make_sample(PLAIN, status="failed")])
    assert sample == make_sample(PLAIN)
    assert other is None


def test_prompts_are_counted_once_and_the_first_unequal_one_is_told():
    plain = make_samples(PLAIN, [10.0] * 6, prompts=("a", "b", "c"))
    lengths = {"a": 40, "b": 44, "c": 45}
    other = [
        s.model_copy(update={"prompt_tokens": lengths[s.prompt]})
        for s in make_samples(SPECULATIVE, [20.0] * 6, prompts=("a", "b", "c"))
    ]
    assert prompt_counts(other, plain) == PromptCounts(3, 2, UnequalPrompt("coding", "b", 44, 40))
    assert prompt_counts(plain, plain) == PromptCounts(3, 0, None)


@pytest.mark.parametrize("change", [{"prompt_tokens": None}, {"status": "failed"}])
def test_prompts_of_unknown_length_are_not_counted(change):
    one, other = make_sample(PLAIN), make_sample(SPECULATIVE, **change)
    assert prompt_counts([one], [other]) == PromptCounts()
    assert prompt_counts([other], [one]) == PromptCounts()
