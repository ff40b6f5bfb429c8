from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.lossless import NEAR_TIE, Margin, Probes, Verdict, compare
from tests.harness.builders import PLAIN_TOKENS, make_arm, make_probe, make_sample, make_samples

PLAIN = make_arm()
SPECULATIVE = make_arm("ngram-mod", 4)


def of(tokens, plain_tokens=PLAIN_TOKENS, temperature=0.0):
    return compare(
        [make_sample(SPECULATIVE, tokens=tuple(tokens))],
        [make_sample(PLAIN, tokens=tuple(plain_tokens))],
        temperature=temperature,
    )


def test_the_same_tokens_are_identical():
    found = of(PLAIN_TOKENS)
    assert (found.verdict, found.compared, found.differing) == (Verdict.IDENTICAL, 1, 0)


def test_the_smallest_difference_of_all_pairs_is_told():
    plain = make_samples(PLAIN, [50.0] * 3)
    late, early, same = make_samples(SPECULATIVE, [60.0] * 3)
    late = late.model_copy(update={"tokens": (*PLAIN_TOKENS[:60], -1, *PLAIN_TOKENS[61:])})
    early = early.model_copy(update={"tokens": (*PLAIN_TOKENS[:9], -1, *PLAIN_TOKENS[10:])})
    found = compare([late, early, same], plain, temperature=0)
    assert found.verdict is Verdict.DIFFERENT
    assert (found.compared, found.differing, found.first_difference) == (3, 2, 9)


def test_an_answer_that_ends_earlier_differs_at_its_end():
    assert of(PLAIN_TOKENS[:40]).first_difference == 40
    assert of(PLAIN_TOKENS, PLAIN_TOKENS[:40]).first_difference == 40


def test_hashes_are_compared_where_tokens_are_not_exposed():
    same = make_sample(SPECULATIVE, tokens=None)
    other = make_sample(SPECULATIVE, tokens=None, text_sha256="00")
    plain = [make_sample(PLAIN)]
    assert compare([same], plain, temperature=0).verdict is Verdict.IDENTICAL
    found = compare([other], plain, temperature=0)
    assert (found.verdict, found.first_difference) == (Verdict.DIFFERENT, None)


def test_sampling_is_not_comparable():
    found = of(PLAIN_TOKENS, temperature=0.7)
    assert found.verdict is Verdict.NOT_COMPARABLE
    assert "0.7" in found.reason


def test_without_a_plain_answer_nothing_is_comparable():
    sample = make_sample(SPECULATIVE)
    for plain in (
        [],
        [make_sample(PLAIN, round=2)],
        [make_sample(PLAIN, max_tokens=64)],
        [make_sample(PLAIN, status="failed")],
        [make_sample(PLAIN, tokens=None, text_sha256=None)],
    ):
        assert compare([sample], plain, temperature=0).verdict is Verdict.NOT_COMPARABLE


@given(st.lists(st.integers(0, 2), max_size=6), st.lists(st.integers(0, 2), max_size=6))
def test_the_position_is_where_the_texts_part(left, right):
    found = of(left, right)
    if left == right:
        assert found.verdict is Verdict.IDENTICAL
    else:
        position = found.first_difference
        assert left[:position] == right[:position]
        assert left[position : position + 1] != right[position : position + 1]


# ---- near-ties -------------------------------------------------------------------------------

AT = 9
NEARLY, CLEARLY = -NEAR_TIE + 0.01, -NEAR_TIE


def parted(at, token=-1):
    return (*PLAIN_TOKENS[:at], token, *PLAIN_TOKENS[at + 1 :])


def probed(samples, *probes, plain=None, chosen=()):
    plain = plain or make_samples(PLAIN, [50.0] * len(samples))
    found = Probes({probe.key: probe for probe in probes}, chosen)
    return compare(samples, plain, temperature=0, probes=found)


def one(*logprobs, token=-1, **changes):
    sample = make_sample(SPECULATIVE, tokens=parted(AT, token))
    return probed([sample], make_probe(make_sample(PLAIN), AT, *logprobs, **changes))


def test_two_tokens_that_nearly_tie():
    found = one(-0.8, -0.83, -4.0)
    assert found.verdict is Verdict.NEAR_TIE
    assert (found.differing, found.near_ties, found.clear, found.unprobed) == (1, 1, 0, 0)
    assert found.decisive == found.first_difference == AT
    assert found.margin.value == pytest.approx(0.03)


@pytest.mark.parametrize(("second", "verdict"), [(NEARLY, "near-tie"), (CLEARLY, "different")])
def test_the_threshold(second, verdict):
    assert one(0.0, second).verdict == verdict


def test_a_real_difference_has_its_margin():
    found = one(-0.1, -2.0)
    assert found.verdict is Verdict.DIFFERENT
    assert (found.near_ties, found.clear, found.unprobed) == (0, 1, 0)
    assert found.margin == Margin(pytest.approx(1.9))


def test_a_token_that_was_not_told_stands_lower_than_all_that_were():
    found = one(-0.1, -0.2, -0.3, token=77_777)
    assert found.verdict is Verdict.DIFFERENT
    assert found.margin == Margin(pytest.approx(0.2), at_least=True)


def test_two_tokens_that_tie_far_below_the_likeliest_are_no_near_tie():
    plain = make_sample(PLAIN)
    top = ((4242, -0.1), (PLAIN_TOKENS[AT], -5.0), (-1, -5.01))
    sample = make_sample(SPECULATIVE, tokens=parted(AT))
    found = probed([sample], make_probe(plain, AT, top=top))
    assert found.verdict is Verdict.DIFFERENT
    assert found.margin.value == pytest.approx(4.91)


@pytest.mark.parametrize("longer", ["plain", "arm"])
@pytest.mark.parametrize(("second", "verdict"), [(-0.75, "near-tie"), (-3.0, "different")])
def test_an_answer_that_ends_earlier(longer, second, verdict):
    short = PLAIN_TOKENS[:AT]
    tokens, plain_tokens = (short, PLAIN_TOKENS) if longer == "plain" else (PLAIN_TOKENS, short)
    plain = make_sample(PLAIN, tokens=plain_tokens)
    # The end of the text is the likeliest token but the one that the longer answer wrote.
    top = ((PLAIN_TOKENS[AT], -0.7), (2, second), (3, -6.0))
    found = probed(
        [make_sample(SPECULATIVE, tokens=tokens)], make_probe(plain, AT, top=top), plain=[plain]
    )
    assert found.verdict == verdict
    assert found.margin == Margin(pytest.approx(-0.7 - second))


def test_the_worst_kind_of_difference_decides():
    plain = make_samples(PLAIN, [50.0] * 4)
    near, clear, unknown, same = make_samples(SPECULATIVE, [60.0] * 4)
    near = near.model_copy(update={"tokens": parted(3)})
    clear = clear.model_copy(update={"tokens": parted(30)})
    unknown = unknown.model_copy(update={"tokens": parted(20)})
    probes = make_probe(plain[0], 3, -0.7, -0.71), make_probe(plain[1], 30, -0.1, -2.0)
    found = probed([near, clear, unknown, same], *probes, plain=plain)
    assert (found.verdict, found.decisive) == (Verdict.DIFFERENT, 30)
    assert (found.compared, found.differing, found.first_difference) == (4, 3, 3)
    assert (found.near_ties, found.clear, found.unprobed) == (1, 1, 1)
    found = probed([near, unknown, same], *probes, plain=plain)
    assert (found.verdict, found.decisive, found.margin) == (Verdict.DIFFERENT, 20, None)
    found = probed([near, same], *probes, plain=plain)
    assert (found.verdict, found.decisive) == (Verdict.NEAR_TIE, 3)


def test_why_a_difference_was_not_probed():
    plain = make_sample(PLAIN)
    probe = make_probe(plain, AT, reason="the runner does not tell")
    sample = make_sample(SPECULATIVE, tokens=parted(AT))
    assert probed([sample], probe).unprobed_reason == "the runner does not tell"
    assert probed([sample], chosen={probe.key}).unprobed_reason == "the run did not come to it"
    assert probed([sample]).unprobed_reason == "a setting has at most 8 probes on a workload"
    hashed = make_sample(SPECULATIVE, tokens=None, text_sha256="00")
    assert "hashes" in probed([hashed]).unprobed_reason
    assert probed([sample]).verdict is Verdict.DIFFERENT


def test_a_probe_of_another_place_tells_nothing():
    sample = make_sample(SPECULATIVE, tokens=parted(AT))
    assert probed([sample], make_probe(make_sample(PLAIN), AT + 1, -0.7, -0.7)).unprobed == 1
    other = make_sample(PLAIN, prompt="p2")
    assert probed([sample], make_probe(other, AT, -0.7, -0.7)).unprobed == 1


@given(
    logprobs=st.lists(st.floats(-30, 0), min_size=1, max_size=10).map(
        lambda found: sorted(found, reverse=True)
    ),
    token=st.integers(-12, -1),
)
def test_a_margin_is_never_negative_and_a_near_tie_is_among_the_top(logprobs, token):
    found = one(*logprobs, token=token)
    assert found.margin.value >= 0
    if found.verdict is Verdict.NEAR_TIE:
        assert -token < len(logprobs)
        assert found.margin.value < NEAR_TIE
