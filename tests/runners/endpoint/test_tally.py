"""Counters of servers that others may use, restart, or leave in the middle of an answer."""

from __future__ import annotations

from runners.base.contract import Counters
from runners.endpoint.tally import RESTARTED, Page, Tally


def page(drafted: int, accepted: int, tokens: int | None, *, steps: int | None = None) -> Page:
    counters = Counters(drafted, accepted, steps or 0, None)
    return Page(counters, steps is not None, tokens)


def test_steps_are_the_tokens_that_were_not_accepted() -> None:
    tally = Tally()
    assert tally.read(page(100, 50, 900), late=False) == Counters(0, 0, 0, None)
    tally.add(24, 0)
    assert tally.read(page(133, 62, 924), late=False) == Counters(33, 12, 12, None)
    assert tally.read(page(133, 62, 924), late=False) == Counters(33, 12, 12, None)


def test_chunks_hold_a_step_at_least() -> None:
    """More was accepted in the last step than the limit let through."""
    tally = Tally()
    tally.read(page(0, 0, 0), late=False)
    tally.add(24, 12)
    assert tally.read(page(36, 14, 24), late=False) == Counters(36, 14, 12, None)


def test_what_is_not_counted_yet_is_waited_for() -> None:
    tally = Tally()
    tally.read(page(0, 0, 0), late=False)
    tally.add(10, 0)
    assert tally.read(page(6, 2, 7), late=False) is None
    assert tally.reason is None
    assert tally.read(page(9, 3, 10), late=False) == Counters(9, 3, 7, None)


def test_other_users() -> None:
    tally = Tally()
    tally.read(page(0, 0, 0), late=False)
    tally.add(10, 0)
    assert tally.read(page(90, 30, 100), late=False) is None
    assert tally.reason is not None
    assert "other users" in tally.reason


def test_counters_that_stay_behind() -> None:
    tally = Tally()
    tally.read(page(0, 0, 0), late=False)
    tally.add(10, 0)
    assert tally.read(page(6, 2, 7), late=True) is None
    assert tally.reason is not None
    assert "lag behind" in tally.reason


def test_a_server_that_was_started_anew() -> None:
    for now in (page(3, 2, 10), page(3, 2, None)):
        tally = Tally()
        tally.read(page(100, 50, now.tokens and 900), late=False)
        tally.add(10, 0)
        assert tally.read(now, late=False) is None
        assert tally.reason == RESTARTED


def test_an_answer_that_broke_off_is_counted_before_the_next_one() -> None:
    tally = Tally()
    tally.read(page(0, 0, 0), late=False)
    tally.break_off()
    assert tally.read(page(6, 2, 7), late=False) is None
    assert tally.read(page(12, 4, 14), late=True) == Counters(12, 4, 10, None)
    tally.add(10, 0)
    assert tally.read(page(21, 7, 24), late=False) == Counters(21, 7, 17, None)
    # Nobody else's tokens pass for it.
    tally.add(10, 0)
    assert tally.read(page(99, 40, 99), late=False) is None
    assert tally.reason is not None


def test_a_counter_that_never_counts_is_nothing_to_hold_against() -> None:
    tally = Tally()
    tally.read(page(0, 0, 0), late=False)
    tally.add(10, 0)
    assert tally.read(page(6, 2, 0), late=False) is None
    assert tally.read(page(6, 2, 0), late=True) == Counters(6, 2, 8, None)
    tally.add(10, 0)
    assert tally.read(page(12, 5, 0), late=False) == Counters(12, 5, 15, None)


def test_steps_that_are_counted() -> None:
    tally = Tally()
    tally.read(page(0, 0, 0, steps=4), late=False)
    tally.add(10, 0)
    assert tally.read(page(0, 3, 10, steps=11), late=False) == Counters(0, 3, 7, None)
