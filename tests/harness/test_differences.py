from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.differences import MOST_PROBES, first_difference, forks_to_probe, parting
from harness.records import Arm, Sample
from runners.base.speculation import SyntheticAcceptance
from tests.harness.builders import PLAIN_TOKENS, make_arm, make_sample

PLAIN, FAST = make_arm(), make_arm("ngram-mod", 4)
DRAWN = make_arm("ngram-mod", 4, id="drawn", synthetic=SyntheticAcceptance(length=2))


def parted(at: int) -> tuple[int, ...]:
    return (*PLAIN_TOKENS[:at], -1, *PLAIN_TOKENS[at + 1 :])


def places(arms: list[Arm], *samples: Sample, temperature: float = 0.0) -> list[int]:
    found = forks_to_probe(arms, samples, temperature=temperature)
    assert {place.arm for place in found} <= {PLAIN.id}
    return [len(place.written) for place in found]


@given(st.lists(st.integers(0, 2), max_size=6), st.lists(st.integers(0, 2), max_size=6))
def test_two_answers_are_the_same_up_to_where_they_part(left: list[int], right: list[int]) -> None:
    found = first_difference(left, right)
    if left == right:
        assert found is None
        return
    assert found is not None
    at = len(found.written)
    assert list(found.written) == left[:at] == right[:at]
    assert left[at : at + 1] == ([] if found.token is None else [found.token])
    assert right[at : at + 1] == ([] if found.plain_token is None else [found.plain_token])
    assert found.token != found.plain_token


def test_a_limit_that_cuts_an_answer_is_no_difference() -> None:
    cut, plain = PLAIN_TOKENS[:-2], make_sample(PLAIN, finish_reason="length")
    assert parting(make_sample(FAST, tokens=cut, finish_reason="length"), plain) is None
    ended = parting(make_sample(FAST, tokens=cut, finish_reason="stop"), plain)
    assert ended is not None
    assert (ended.written, ended.token) == (cut, None)
    other = parting(make_sample(FAST, tokens=(*cut[:-1], -1), finish_reason="length"), plain)
    assert other is not None
    assert other.token == -1


def test_each_place_is_probed_once() -> None:
    samples = [
        *(make_sample(PLAIN, round=n) for n in (1, 2)),
        *(make_sample(FAST, round=n, tokens=parted(9)) for n in (1, 2)),
        *(make_sample(PLAIN, round=n, prompt="p2") for n in (1, 2)),
        make_sample(FAST, round=1, prompt="p2", tokens=parted(9)),
        make_sample(FAST, round=2, prompt="p2", tokens=parted(4)),
    ]
    assert places([PLAIN, FAST], *samples) == [9, 9, 4]


def test_two_arms_share_a_place() -> None:
    other = make_arm("ngram-mod", 8)
    samples = [make_sample(arm, tokens=parted(9)) for arm in (FAST, other)]
    assert places([PLAIN, FAST, other], make_sample(PLAIN), *samples) == [9]


def test_an_arm_has_so_many_probes_on_a_workload_and_always_the_same() -> None:
    samples = [
        make_sample(arm, round=n, tokens=PLAIN_TOKENS if arm is PLAIN else parted(n))
        for n in range(1, MOST_PROBES + 4)
        for arm in (PLAIN, FAST)
    ]
    expected = list(range(1, MOST_PROBES + 1))
    assert places([PLAIN, FAST], *samples) == expected
    assert places([PLAIN, FAST], *reversed(samples)) == expected
    elsewhere = [s.model_copy(update={"workload": "prose"}) for s in samples]
    assert places([PLAIN, FAST], *samples, *elsewhere) == expected * 2


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": PLAIN_TOKENS},
        {"tokens": None, "text_sha256": "00"},
        {"status": "failed"},
        {"round": 2},
    ],
)
def test_no_place_without_a_difference_of_tokens(change: dict[str, object]) -> None:
    changed = make_sample(FAST, **{"tokens": parted(9), **change})
    assert places([PLAIN, FAST], make_sample(PLAIN), changed) == []


def test_sampled_and_void_texts_are_not_probed() -> None:
    plain = make_sample(PLAIN)
    assert places([PLAIN, FAST], plain, make_sample(FAST, tokens=parted(9)), temperature=0.5) == []
    assert places([PLAIN, DRAWN], plain, make_sample(DRAWN, tokens=parted(9))) == []


# ---- several runners -----------------------------------------------------------------------------

OTHER = make_arm(id="mlx-none", runner="mlx", baseline="mlx-none", counterpart=PLAIN.id)


def test_a_plain_arm_is_held_against_its_counterparts() -> None:
    samples = [
        make_sample(arm, prompt=prompt, tokens=PLAIN_TOKENS if arm is PLAIN else parted(at))
        for prompt, at in (("p1", 5), ("p2", 9))
        for arm in (PLAIN, OTHER)
    ]
    assert places([PLAIN, OTHER], *samples) == [5, 9]
    alone = OTHER.model_copy(update={"counterpart": None})
    assert places([PLAIN, alone], *samples) == []


def test_a_counterpart_has_its_own_probes_on_each_workload() -> None:
    def answers(arm: Arm, first: int) -> list[Sample]:
        return [
            make_sample(arm, round=n, tokens=PLAIN_TOKENS if arm is PLAIN else parted(first + n))
            for n in range(1, MOST_PROBES + 4)
        ]

    samples = [*answers(PLAIN, 0), *answers(FAST, 0), *answers(OTHER, 20)]
    samples += [s.model_copy(update={"workload": "prose"}) for s in samples]
    own, others = list(range(1, MOST_PROBES + 1)), list(range(21, 21 + MOST_PROBES))
    assert places([PLAIN, FAST, OTHER], *samples) == own * 2 + others * 2


@pytest.mark.parametrize("length", [41, None])
def test_other_prompts_make_other_answers(length: int | None) -> None:
    """One prompt of another length is enough: then it is another template or tokenizer."""
    samples = [
        *(make_sample(PLAIN, prompt=p) for p in ("p1", "p2")),
        make_sample(OTHER, prompt="p1", tokens=parted(9)),
        make_sample(OTHER, prompt="p2", tokens=parted(4), prompt_tokens=length),
    ]
    assert places([PLAIN, OTHER], *samples) == ([] if length else [9])
    elsewhere = [s.model_copy(update={"workload": "prose", "prompt_tokens": 40}) for s in samples]
    assert places([PLAIN, OTHER], *samples, *elsewhere)[-2:] == [9, 4]


def test_a_speculating_arm_is_held_against_its_own_plain_arm_alone() -> None:
    fast = make_arm("ngram-mod", 4, id="o", runner="mlx", baseline=OTHER.id, counterpart=FAST.id)
    samples = [make_sample(PLAIN), make_sample(FAST), make_sample(OTHER)]
    found = forks_to_probe(
        [PLAIN, FAST, OTHER, fast], [*samples, make_sample(fast, tokens=parted(9))], temperature=0
    )
    assert [(place.arm, len(place.written)) for place in found] == [(OTHER.id, 9)]


def test_of_a_tuning_every_arm_is_held_against_one_plain_arm_too() -> None:
    large = make_arm(id="large", baseline="large", options=(("ubatch-size", 1024),))
    fast = make_arm("mtp", 4, id="fast", baseline="large", options=(("ubatch-size", 1024),))
    samples = [
        make_sample(PLAIN),
        make_sample(large, tokens=parted(9)),
        make_sample(fast, tokens=parted(4), prompt_tokens=7),
    ]

    def found(of_all: str | None) -> list[tuple[str, int]]:
        arms = [PLAIN, large, fast]
        forks = forks_to_probe(arms, samples, temperature=0, of_all=of_all)
        return [(place.arm, len(place.written)) for place in forks]

    assert found(None) == [("large", 4)]
    assert found(PLAIN.id) == [(PLAIN.id, 9), ("large", 4), (PLAIN.id, 4)]


def test_the_token_that_ends_a_text_is_no_difference() -> None:
    plain = make_sample(PLAIN)
    more = make_sample(OTHER, tokens=(*PLAIN_TOKENS, 7))
    for one, other in ((more, plain), (plain, more)):
        assert parting(one, other, of_runners=True) is None
        assert parting(one, other) is not None
    for changes in (
        {"text_sha256": "00"},
        {"text_sha256": None},
        {"finish_reason": "length"},
        {"tokens": (*PLAIN_TOKENS, 7, 8)},
    ):
        changed = more.model_copy(update=changes)
        assert parting(changed, plain, of_runners=True) is not None
