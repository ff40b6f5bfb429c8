"""Tunings over draft lengths and several options at once: what `bench tune` does with them, against
what else could be done.

`python -m benchmarks.free_options` writes the table in docs/tune.md, in some ten minutes. It needs
optuna, which is no dependency of anything else (`pip install optuna torch`; torch is what its
Gaussian process needs). Nothing is launched: worlds, noise and texts are those of
benchmarks/tuning.py, with one workload, so that everything has one aim.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
import random
import statistics
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.tuning import AS_GOOD, PAGE, Family, Landscape, World, with_table
from harness.tune.evidence import PLAIN, Evidence
from harness.tune.recommend import recommended
from harness.tune.search import Done, next_step
from runners.base.contract import OptionValue

BEGIN, END = "<!-- make free-options: begin -->", "<!-- make free-options: end -->"
SEEDS = 10
WORKLOAD = "coding"
LENGTHS = (*range(1, 9), 12, 16)
KEPT = 3
"""Of so many settings successive halving keeps one after each round: Hyperband's rate."""

Values = Mapping[str, float]
"""Option -> its value's place on its axis, from 0 (the first) to 1 (the last)."""


Axes = Mapping[str, Sequence[OptionValue]]
"""Option -> its values."""


@dataclass(frozen=True)
class Drafter:
    """What some options make of it."""

    alpha: float
    row: float
    """Plain steps a drafted token …"""
    kept: float = 1.0
    """… of which this share goes on to the next one: a p-min ends drafts."""
    cliff: int = 1000
    """Draft length from which a step costs four times as much."""
    is_dead: bool = False

    def cost(self, k: int) -> float:
        drafted = sum(self.kept**i for i in range(k))
        return (1.05 + self.row * drafted) * (4 if k >= self.cliff else 1)


def landscape(
    name: str,
    axes: Axes,
    drafter: Callable[[Values], Drafter],
    noise: float = 0.02,
    luck: float = 0.01,
) -> Landscape:
    """All combinations of the values of some options."""
    families = []
    for values in itertools.product(*axes.values()):
        options = tuple(zip(axes, values, strict=True))
        places = {
            axis: of.index(v) / (len(of) - 1)
            for (axis, v), of in zip(options, axes.values(), strict=True)
        }
        made = drafter(places)
        families.append(
            Family(
                name=" ".join(f"{axis}={value}" for axis, value in options),
                alphas={WORKLOAD: min(made.alpha, 0.97)},
                cost=made.cost,
                lengths=LENGTHS,
                group=name,
                options=options,
                is_dead=made.is_dead,
            )
        )
    return Landscape(name, tuple(families), noise, luck)


P_MIN: Axes = {"p-min": (0.0, 0.25, 0.5, 0.75)}
EIGHT: Axes = {"p-min": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)}
SIZE_N: Axes = {"size-n": (4, 8, 16)}
SIZE_M: Axes = {"size-m": (16, 32, 64)}
TYPES: Axes = {"draft-type": ("f16", "q8_0", "q4_0")}


def _p_min(place: float, alpha: float = 0.7, row: float = 0.2) -> Drafter:
    """The higher, the sooner drafts end: most of them where they would have been wrong."""
    return Drafter(alpha * (1 - 0.12 * place**2), row, 1 - (1 - alpha) * 0.9 * place)


def _smooth(v: Values) -> Drafter:
    made = _p_min(v["p-min"])
    return replace(
        made, alpha=made.alpha - 0.08 * (v["size-n"] - 0.5) ** 2 + 0.04 * v.get("size-m", 0)
    )


def _types(v: Values) -> Drafter:
    made = _p_min(v["p-min"])
    return replace(
        made,
        row=made.row * (1 - 0.4 * v["draft-type"]),
        alpha=made.alpha - 0.08 * v["draft-type"] ** 2,
    )


def _ridge(v: Values) -> Drafter:
    """What is best of one option hangs on the other."""
    return Drafter(0.85 - 0.25 * abs(v["p-min"] - v["size-n"]) + 0.05 * v["p-min"], 0.2)


def _only_together(v: Values) -> Drafter:
    """One combination makes it faster, of values that alone make it slower."""
    both = v["size-n"] == 0.5 and v["draft-type"] == 1
    return Drafter(0.78 if both else 0.65 - 0.03 * v["size-n"] - 0.03 * v["draft-type"], 0.15)


def _dead(v: Values) -> Drafter:
    return replace(_smooth(v), is_dead=v["size-n"] == 1)


def _plateau(v: Values) -> Drafter:
    return Drafter(0.7 if v["p-min"] < 0.5 else 0.72, 0.2)


def _plain(v: Values) -> Drafter:
    return Drafter(0.35 - 0.1 * v["size-n"] + 0.05 * v["p-min"], 0.5)


def _far(v: Values) -> Drafter:
    return Drafter(0.55 + 0.1 * v["p-min"] + 0.1 * v["size-n"] + 0.1 * v["size-m"], 0.2)


def _cliff(v: Values) -> Drafter:
    return replace(_smooth(v), cliff=6)


LANDSCAPES = (
    landscape("p-min, n-gram size", {**P_MIN, **SIZE_N}, _smooth),
    landscape("p-min, draft's type", {**P_MIN, **TYPES}, _types),
    landscape("three options", {**P_MIN, **SIZE_N, **SIZE_M}, _smooth),
    landscape("eight values of p-min, n-gram size", {**EIGHT, **SIZE_N}, _smooth),
    landscape("the best is far from the first values", {**P_MIN, **SIZE_N, **SIZE_M}, _far),
    landscape("a ridge", {**P_MIN, **SIZE_N}, _ridge),
    landscape("only together", {**SIZE_N, **TYPES}, _only_together),
    landscape("a dead value", {**P_MIN, **SIZE_N}, _dead),
    landscape("options that hardly matter", {**P_MIN, **SIZE_N, **SIZE_M}, _plateau),
    landscape("a cliff at 6", {**P_MIN, **SIZE_N}, _cliff),
    landscape("plain is best", {**P_MIN, **SIZE_N}, _plain),
    landscape("noise", {**P_MIN, **SIZE_N}, _smooth, 0.06, 0.03),
)


@dataclass(frozen=True)
class Try:
    """One way of choosing, in one world."""

    launches: int
    """Of settings; those of plain decoding beside them are not counted, for anybody."""
    share: float
    """Of the time of `GRID_ROUNDS` rounds of all settings, plain decoding counted."""
    is_good: bool
    """What it chose in the end is as good as the best."""
    rounds: int = 0


def ours(of: Landscape, seed: int) -> Try:
    """As `bench tune`."""
    world = World(of, seed)
    launches = number = 0
    while not isinstance(step := next_step(world.space, Evidence(world.readings)), Done):
        number += 1
        launches += len(step.arms)
        for arm in (PLAIN, *step.arms):
            world.measure(arm, number)
    chosen = recommended(world.space, Evidence(world.readings), step.picks[0])
    return Try(launches, world.seconds / world.grid_s(), _is_good(world, chosen), number)


def each_family(of: Landscape, seed: int) -> Try:
    """As `bench tune`, if no family told of another."""
    return ours(replace(of, families=tuple(replace(one, options=()) for one in of.families)), seed)


def halving(of: Landscape, seed: int, launches: int | None = None) -> Try:
    """Successive halving (Jamieson and Talwalkar 2016) over all settings, or over as many, drawn by
    chance, as so many launches are enough for."""
    world = World(of, seed)
    left = [one.arm for one in world.space.candidates]
    if launches is not None:
        draw = random.Random(seed)
        draw.shuffle(left)
        size = 1
        while size < len(left) and _of_halving(size + 1) <= launches:
            size += 1
        left = left[:size]
    number = spent = 0
    while True:
        number += 1
        world.measure(PLAIN, number)
        for arm in left:
            world.measure(arm, number)
        spent += len(left)
        left = [arm for arm in left if arm not in world.left]
        if len(left) <= 1:
            break
        left = _ranked(world, left)[: math.ceil(len(left) / KEPT)]
    return Try(spent, world.seconds / world.grid_s(), _is_good(world, _best(world)), number)


def _of_halving(size: int) -> int:
    found = size
    while size > 1:
        size = math.ceil(size / KEPT)
        found += size
    return found


def by_optuna(of: Landscape, seed: int, launches: int, sampler: str) -> Try:
    """Each trial is a launch of a setting beside one of plain decoding."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    world = World(of, seed)
    axes = {
        name: list(dict.fromkeys(dict(one.options)[name] for one in of.families))
        for name, _ in of.families[0].options
    }
    arms = {(one.options, k): f"{one.name}-k{k}" for one in of.families for k in one.lengths}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            direction="maximize", sampler=getattr(optuna.samplers, sampler)(seed=seed)
        )
        for number in range(1, launches + 1):
            trial = study.ask()
            options: list[tuple[str, OptionValue]] = []
            for name, values in axes.items():
                if isinstance(values[0], str):
                    value: OptionValue = str(trial.suggest_categorical(name, values))
                else:
                    value = values[trial.suggest_int(name, 0, len(values) - 1)]
                options.append((name, value))
            k = LENGTHS[trial.suggest_int("k", 0, len(LENGTHS) - 1)]
            arm = arms[tuple(options), k]
            world.measure(PLAIN, number)
            world.measure(arm, number)
            logs = Evidence(r for r in world.readings if r.round == number).logarithms(
                arm, WORKLOAD
            )
            study.tell(trial, logs[0] if logs else 0.0)
    return Try(launches, world.seconds / world.grid_s(), _is_good(world, _best(world)), launches)


def _best(world: World) -> str:
    """By its own readings."""
    ranked = _ranked(world, sorted(world.launched - {PLAIN} - world.left))
    evidence = Evidence(world.readings)
    return ranked[0] if ranked and _mean(evidence, ranked[0]) > 0 else PLAIN


def _ranked(world: World, arms: Sequence[str]) -> list[str]:
    evidence = Evidence(world.readings)
    return sorted(arms, key=lambda arm: _mean(evidence, arm), reverse=True)


def _mean(evidence: Evidence, arm: str) -> float:
    return statistics.fmean(evidence.logarithms(arm, WORKLOAD))


def _is_good(world: World, arm: str) -> bool:
    return world.speedup(arm, WORKLOAD) >= AS_GOOD * world.best(WORKLOAD)


WAYS = (
    "bench tune",
    "each family alone",
    "halving",
    "halving of as many",
    "halving of twice as many",
    "TPE, as many",
    "TPE, twice as many",
    "GP, as many",
    "GP, twice as many",
)


def tries(at: tuple[int, int]) -> dict[str, Try]:
    """All ways in one world, which is (number of the landscape, seed)."""
    number, seed = at
    of, luck = LANDSCAPES[number], 1000 * number + seed
    own = ours(of, luck)
    return dict(
        zip(
            WAYS,
            (
                own,
                each_family(of, luck),
                halving(of, luck),
                halving(of, luck, own.launches),
                halving(of, luck, 2 * own.launches),
                by_optuna(of, luck, own.launches, "TPESampler"),
                by_optuna(of, luck, 2 * own.launches, "TPESampler"),
                by_optuna(of, luck, own.launches, "GPSampler"),
                by_optuna(of, luck, 2 * own.launches, "GPSampler"),
            ),
            strict=True,
        )
    )


def table(found: Mapping[str, Sequence[Mapping[str, Try]]]) -> str:
    """As Markdown, by the landscapes' names; what all ways did on all of them first."""
    everything = [one for tried in found.values() for one in tried]
    rows: list[tuple[str, ...]] = [("way", "as good as the best", "launches", "time"), ("---",) * 4]
    for way in WAYS:
        of_way = [one[way] for one in everything]
        rows.append((way, f"{_good(of_way)} of {len(of_way)}", _launches(of_way), _time(of_way)))
    rows += [(), ("landscape", "settings", *WAYS), ("---",) * (2 + len(WAYS))]
    for of in LANDSCAPES:
        by_way = [[one[way] for one in found[of.name]] for way in WAYS]
        settings = sum(len(family.lengths) for family in of.families)
        cells = (f"{_good(tried)} ({_launches(tried)})" for tried in by_way)
        rows.append((of.name, str(settings), *cells))
    return "\n".join(f"| {' | '.join(row)} |" if row else "" for row in rows)


def _good(found: Iterable[Try]) -> int:
    return sum(one.is_good for one in found)


def _launches(found: Iterable[Try]) -> str:
    return f"{statistics.fmean(one.launches for one in found):.0f}"


def _time(found: Iterable[Try]) -> str:
    return f"{statistics.fmean(one.share for one in found):.1%}"


def main() -> None:
    worlds = list(itertools.product(range(len(LANDSCAPES)), range(SEEDS)))
    # One thread for each of them: matrices are small.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with multiprocessing.get_context("spawn").Pool() as pool:
        tried = pool.map(tries, worlds, chunksize=1)
    found: dict[str, list[dict[str, Try]]] = {}
    for (number, _), one in zip(worlds, tried, strict=True):
        found.setdefault(LANDSCAPES[number].name, []).append(one)
    text = with_table(PAGE.read_text("utf-8"), table(found), BEGIN, END)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
