"""Settings of one method and models that differ in options and draft length: which of them tell of
the others.

With two options or more, families are too many to measure each of them. A *star* is measured: the
first values of all options, its centre, and each other value alone, with the others at the centre.
Two combinations far from it are measured too, at two lengths: they show whether values change what
others do, and what they do at long drafts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.tune.space import Candidate, Space
from runners.base.contract import OptionValue

Options = tuple[OptionValue | None, ...]
"""A family's value on each axis of its group; None: it has not got that option."""

MOST_TO_LAUNCH = 14
"""Of one group in one round that is there to find out what values do; what is beyond waits for the
next. A round of more could use up a budget of ten minutes before anything can be chosen by it."""
MANY = 4
"""Values of an axis of numbers beyond which its ends and its middle are measured first."""


@dataclass(frozen=True)
class Axis:
    """An option with several values."""

    name: str
    values: tuple[OptionValue | None, ...]
    """The first of the plan first; None: not given."""

    @cached_property
    def ranks(self) -> dict[OptionValue | None, int] | None:
        """Of numbers their places, the smallest 0; None: they have no order."""
        numbers = [v for v in self.values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < len(self.values):
            return None
        return {value: place for place, value in enumerate(sorted(numbers))}

    @property
    def tellers(self) -> tuple[OptionValue | None, ...]:
        """Values that are measured before any of them is promising; the others lie between two of
        them."""
        if self.ranks is None or len(self.values) <= MANY:
            return self.values
        places = {0, len(self.values) // 2, len(self.values) - 1, self.ranks[self.values[0]]}
        return tuple(value for value in self.values if self.ranks[value] in places)


@dataclass(frozen=True)
class Group:
    """Families that differ in nothing but options."""

    families: dict[str, Sequence[Candidate]]
    """Each with its candidates, the shortest draft first."""

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """Options that have several values."""
        each = [dict(family[0].options) for family in self.families.values()]
        names = dict.fromkeys(name for options in each for name in options)
        axes = (Axis(n, tuple(dict.fromkeys(one.get(n) for one in each))) for n in names)
        return tuple(axis for axis in axes if len(axis.values) > 1)

    @cached_property
    def options(self) -> dict[str, Options]:
        """Family -> its value on each axis."""
        found = {}
        for name, family in self.families.items():
            options = dict(family[0].options)
            found[name] = tuple(options.get(axis.name) for axis in self.axes)
        return found

    @property
    def members(self) -> Iterator[tuple[Candidate, str]]:
        """Each candidate, and its family."""
        for name, family in self.families.items():
            for one in family:
                yield one, name

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """All draft lengths, the shortest first."""
        return tuple(sorted({one.draft_tokens for one, _ in self.members}))

    @cached_property
    def by_nearness(self) -> tuple[str, ...]:
        """Families by on how many axes they leave the first values; the centre first."""
        first = [axis.values[0] for axis in self.axes]
        away = {
            name: sum(own != other for own, other in zip(values, first, strict=True))
            for name, values in self.options.items()
        }
        return tuple(sorted(away, key=away.__getitem__))

    @cached_property
    def is_modelled(self) -> bool:
        """Whether some of its families tell of the others."""
        return len(self.axes) > 1 and 1 + len(self._missing({self.by_nearness[0]})) < len(
            self.families
        )

    def first(self) -> list[str]:
        """Arms that the first round measures: two lengths of the centre and of the checks, a short
        one of the others."""
        centre = self.by_nearness[0]
        found = dict.fromkeys((*anchors(self.families[centre]), *self._arms({centre})))
        return list(found)[:MOST_TO_LAUNCH]

    def untold(self, arms: Collection[str]) -> list[str]:
        """Arms without which some value's effect, or the longest draft, is not known.

        Where these arms are told.
        """
        told = {name for name, f in self.families.items() if any(one.arm in arms for one in f)}
        if not told:
            return self.first()
        found = self._arms(told)
        families = [self.families[name] for name in self.by_nearness]
        longest = [f[-1].arm for f in families if f[-1].draft_tokens == self.lengths[-1]]
        if not any(arm in arms or arm in found for arm in longest):
            found.insert(0, longest[0])
        return list(dict.fromkeys(found))[:MOST_TO_LAUNCH]

    def _arms(self, told: Collection[str]) -> list[str]:
        """A short length of each family that is missing, and the longest of the checks."""
        missing = [(name, anchors(self.families[name])) for name in self._missing(told)]
        found = [lengths[0] for _, lengths in missing]
        return found + [lengths[-1] for name, lengths in missing if name in self.checks]

    def _missing(self, told: Collection[str]) -> list[str]:
        """Families to measure so that each value is told, and whether values change each other."""
        found: list[str] = []
        for at, axis in enumerate(self.axes):
            known = {self.options[name][at] for name in (*told, *found)}
            for value in axis.tellers:
                if value not in known:
                    found.append(next(n for n in self.by_nearness if self.options[n][at] == value))
                    known.add(value)
        found += [name for name in self.checks if name not in told]
        return list(dict.fromkeys(found))

    @cached_property
    def checks(self) -> tuple[str, ...]:
        """Combinations that tell whether values change each other's effect, as far as there are
        any: all of the last values, and all of those in the middle."""
        last = tuple(axis.values[-1] for axis in self.axes)
        middle = tuple(axis.values[len(axis.values) // 2] for axis in self.axes)
        return tuple(name for name, own in self.options.items() if own in (last, middle))


def anchors(family: Sequence[Candidate]) -> tuple[str, ...]:
    """The lengths that tell most of a family: its longest, and one of its shorter ones."""
    return tuple(dict.fromkeys((family[len(family) // 3].arm, family[-1].arm)))


def groups_of(space: Space) -> tuple[Group, ...]:
    """All settings by group; a family that is in none is one by itself."""
    found: dict[str, dict[str, Sequence[Candidate]]] = {}
    for name, family in space.families.items():
        found.setdefault(family[0].group or name, {})[name] = family
    return tuple(Group(families) for families in found.values())


def hopeless(
    groups: Iterable[Group], left: Collection[str], works: Collection[str]
) -> dict[str, str]:
    """Arms that were not tried, each with a tried one for whose reason it would leave as well.

    `left` and `works` are those that were tried. Where two of a family were and both have left, the
    others would; in a group with several axes also where two that share a value, or the draft
    length, were and both have left.
    """
    found = {}
    for group in groups:
        traits = {one.arm: _traits(one, name, group) for one, name in group.members}
        good = {trait for arm in works for trait in traits.get(arm, ())}
        bad: dict[Trait, list[str]] = {}
        for arm, own in traits.items():
            for trait in own if arm in left else ():
                bad.setdefault(trait, []).append(arm)
        lost = {trait: arms[-1] for trait, arms in bad.items() if len(arms) > 1}
        for arm, own in traits.items():
            why = next((trait for trait in own if trait in lost and trait not in good), None)
            if why is not None and arm not in left and arm not in works:
                found[arm] = lost[why]
    return found


Trait = tuple[str, OptionValue | None]


def _traits(one: Candidate, family: str, group: Group) -> list[Trait]:
    found: list[Trait] = [("its family", family)]
    if len(group.axes) > 1:
        names = [f"option {axis.name}" for axis in group.axes]
        found += zip(names, group.options[family], strict=True)
        found.append(("its draft length", one.draft_tokens))
    return found
