"""Which combinations of options are measured to know of the others, and which are given up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from harness.tune.evidence import Evidence, Reading
from harness.tune.group import MOST_TO_LAUNCH, Axis, Group, groups_of, hopeless
from harness.tune.search import Done, Measure, Outcome, next_step
from harness.tune.space import Candidate, Space
from runners.base.contract import OptionValue
from tests.harness.tune.landscapes import plain, readings

LENGTHS = (1, 2, 4, 8)


def space(**axes: Sequence[OptionValue]) -> Space:
    candidates = []
    for values in itertools.product(*axes.values()):
        options = tuple(zip(axes, values, strict=True))
        name = "-".join(map(str, values))
        candidates += [Candidate(f"{name}-k{k}", name, k, "mtp", options) for k in LENGTHS]
    return Space(tuple(candidates), ("coding",))


def group(**axes: Sequence[OptionValue]) -> Group:
    (found,) = groups_of(space(**axes))
    return found


def test_the_first_round_has_each_value_and_two_far_combinations() -> None:
    step = next_step(space(p=(0, 1, 2), n=("a", "b", "c")), Evidence(()))
    assert isinstance(step, Measure)
    centre, star = ["0-a-k2", "0-a-k8"], ["1-a-k2", "2-a-k2", "0-b-k2", "0-c-k2"]
    checks = ["1-b-k2", "2-c-k2", "1-b-k8", "2-c-k8"]
    assert list(step.arms) == [*centre, *star, *checks]


def test_one_option_is_measured_as_families_are() -> None:
    step = next_step(space(p=(0, 1, 2, 3)), Evidence(()))
    assert isinstance(step, Measure)
    assert len(step.arms) == 2 * 4
    assert not group(p=(0, 1, 2, 3)).is_modelled
    # Of two options with two values each the star is everything.
    assert not group(p=(0, 1), n=(0, 1)).is_modelled


def test_many_numbers_are_measured_at_their_ends_and_in_the_middle() -> None:
    assert Axis("p", tuple(range(9))).tellers == (0, 4, 8)
    assert Axis("p", (5, 0, 1, 2, 3, 4)).tellers == (5, 0, 3)
    assert Axis("type", tuple("abcdefgh")).tellers == tuple("abcdefgh")
    assert Axis("on", (True, False)).ranks is None


def test_what_is_too_much_for_one_round_waits_for_the_next() -> None:
    many = group(type=tuple(f"t{i}" for i in range(30)), n=(1, 2))
    first = many.first()
    assert len(first) == MOST_TO_LAUNCH
    assert first[0] == "t0-1-k2"
    later = many.untold(first)
    assert len(later) == MOST_TO_LAUNCH
    assert not set(later) & set(first)


def test_the_rest_of_the_star_is_asked_for_until_it_is_told() -> None:
    own = group(p=(0, 1, 2), n=("a", "b", "c"))
    assert own.untold([]) == own.first()
    told = [arm for arm in own.first() if not arm.startswith("0-c")]
    # (2, c) tells of c too.
    assert own.untold(told) == []
    assert own.untold([arm for arm in told if "c" not in arm]) == ["0-c-k2", "2-c-k2", "2-c-k8"]


def test_without_the_centre_the_next_family_takes_its_place() -> None:
    within = space(p=(0, 1, 2), n=("a", "b", "c"))
    (own,) = groups_of(within.without([f"0-a-k{k}" for k in LENGTHS]))
    assert own.by_nearness[0] in ("0-b", "1-a", "0-c", "2-a")
    assert {arm[0] for arm in own.first()} == {"0", "1", "2"}
    assert {arm[2] for arm in own.first()} == {"a", "b", "c"}


def test_a_value_that_left_twice_takes_all_of_its_combinations_with_it() -> None:
    within = groups_of(space(p=(0, 1, 2), n=("a", "b", "c")))
    found = hopeless(within, left={"0-c-k2", "2-c-k8"}, works={"0-a-k2", "2-a-k2", "0-b-k8"})
    assert set(found) == {f"{p}-c-k{k}" for p in range(3) for k in LENGTHS} - {"0-c-k2", "2-c-k8"}
    assert set(found.values()) <= {"0-c-k2", "2-c-k8"}
    assert not hopeless(within, left={"0-c-k2"}, works=())
    # Of one option, only families: as if the others were not there.
    one = groups_of(space(p=(0, 1)))
    assert set(hopeless(one, left={"1-k2", "1-k8"}, works=())) == {"1-k1", "1-k4"}


def test_plain_is_not_called_best_while_a_combination_may_win() -> None:
    """Each value alone is as fast as plain or slower; nobody knows what two of them do."""
    within = space(p=(0, 1, 2), n=("a", "b", "c"))
    (own,) = groups_of(within)
    found: list[Reading] = list(plain(1))
    for arm in own.first():
        k = int(arm.rpartition("k")[2])
        found += readings(arm, 1, 0.98 if k == 2 else 0.9, k=k, alpha=0.5)
    assert isinstance(next_step(within, Evidence(found)), Measure)
    done = next_step(within, Evidence(found), out_of_time=True)
    assert isinstance(done, Done)
    assert done.picks[0].outcome is Outcome.UNPROVEN
    slow: list[Reading] = list(plain(1))
    for arm in own.first():
        k = int(arm.rpartition("k")[2])
        slow += readings(arm, 1, 1.11 / (1.05 + 0.3 * k), k=k, alpha=0.1)
    done = next_step(within, Evidence(slow), out_of_time=True)
    assert isinstance(done, Done)
    assert done.picks[0].outcome is Outcome.PLAIN


def test_what_is_silent_on_a_workload_gives_up_its_value_there() -> None:
    within = space(p=(0, 1, 2), n=("a", "b", "c"))
    (own,) = groups_of(within)
    silent = frozenset((arm, "coding") for arm in own.first() if "-c-" in arm)
    within = Space(within.candidates, within.workloads, silent)
    found: list[Reading] = list(plain(1))
    for arm in own.first():
        if "-c-" not in arm:
            k = int(arm.rpartition("k")[2])
            found += readings(arm, 1, 1.9 / (1.05 + 0.1 * k), k=k, alpha=0.5)
    step = next_step(within, Evidence(found))
    assert isinstance(step, Measure)
    assert not any("-c-" in arm for arm in step.arms)
