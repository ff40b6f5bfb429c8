"""A single failed request throws no setting out; one that fails again does."""

from __future__ import annotations

import pytest

from harness.records import Arm
from harness.tune.card import make_card
from harness.tune.failures import Requests, is_broken
from harness.tune.readings import read_known
from tests.harness.builders import make_arm, make_launch, make_run, make_sample, make_samples

NONE, K4 = make_arm(), make_arm("mtp", 4)


def requests(rounds: list[str], arm: Arm = K4) -> Requests:
    """'..x.' is a round of four prompts of which the third failed; ' ' was not asked."""
    ok, failed = [], []
    for number, marks in enumerate(rounds, start=1):
        for at, mark in enumerate(marks):
            sample = make_sample(arm, round=number, prompt=f"p{at}")
            if mark == "x":
                failed.append(sample.model_copy(update={"status": "failed", "reason": "slow"}))
            elif mark == ".":
                ok.append(sample)
    return Requests(ok, failed)


@pytest.mark.parametrize(
    ("rounds", "broken"),
    [
        (["x..."], False),  # one alone, whatever its share
        (["x"], False),
        (["x", "."], False),
        (["xxx."], False),  # one round may have been a bad one
        (["xxxx"], True),  # a whole round
        (["....", "xx  "], True),  # the rest of the round was not asked any more
        (["x", "x"], True),  # never answered
        (["........", "x.......", "x......."], False),  # answered once: 2 of 24
        ([" .......", "x.......", "x......."], True),  # never answered
        (["x...", ".x..", "...."], True),  # 2 of 12, in two rounds
        (["x.......", "........", ".x......"], False),  # 2 of 24
        (["....", "...."], False),
    ],
)
def test_when_a_setting_is_broken(rounds: list[str], broken: bool) -> None:
    plain = requests(["." * len(rounds[0])] * len(rounds), NONE)
    assert is_broken(requests(rounds), plain) is broken


@pytest.mark.parametrize(
    ("rounds", "plain"),
    [
        (["xxxx"], ["xxxx"]),  # the machine was away
        (["x", "x"], ["x", "x"]),  # a prompt that nobody can answer
        (["x...", ".x..", "...."], ["....", "..x.", "...."]),  # 2 of 12, plain's 1
        ([".xxx", "...."], ["x...", "...."]),
    ],
)
def test_what_fails_in_plain_decoding_too_is_the_machines(
    rounds: list[str], plain: list[str]
) -> None:
    assert not is_broken(requests(rounds), requests(plain, NONE))


def test_it_is_told_with_its_first_reason() -> None:
    assert requests(["....", ".x.."]).told == "1 of 8 requests failed: slow"
    assert requests(["...."]).told is None


def test_one_time_out_leaves_the_best_setting_in_and_is_named() -> None:
    prompts = ("p1", "p2", "p3")
    late = {"status": "failed", "reason": "no answer in 300 s", "decode_rate": None}
    drafted = make_samples(K4, [80.0, 80.4, 80.8] * 4, prompts=prompts)
    drafted[4] = drafted[4].model_copy(update=late)
    plain = make_samples(NONE, [50.0, 50.3, 50.1] * 4, prompts=prompts)
    plain[8] = plain[8].model_copy(update=late)
    launches = [make_launch(arm, number) for arm in (NONE, K4) for number in range(1, 5)]
    run = make_run((NONE, K4), [*plain, *drafted], launches=launches, budget=60.0)
    known = read_known(run)
    assert not known.left_out
    assert {one.arm for one in known.failed} == {NONE.id, K4.id}
    card = make_card(run, ())
    assert [one.arm for one in card.workloads] == [K4.id]
    assert [(one.setting, one.reason) for one in card.failed] == [
        ("plain", "1 of 12 requests failed: no answer in 300 s"),
        ("mtp k=4", "1 of 12 requests failed: no answer in 300 s"),
    ]
