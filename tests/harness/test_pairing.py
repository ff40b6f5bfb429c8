from __future__ import annotations

import pytest

from harness.pairing import pairs, ratios
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
