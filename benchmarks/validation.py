"""Holds the calculator against what others have published, and writes docs/validation.md.

    python -m benchmarks.validation

Published figures are in benchmarks/published.toml; bandwidths are those of the table that
`bench ceiling --hardware` uses; bytes are counted anew from each model's architecture.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.model_bytes import Architecture
from harness.machine.cards import Card, find_card
from harness.theory.acceptance import alpha_of_tau, expected_tau
from harness.theory.ceiling import Reads, decode_ceiling, speculative_ceiling, utilisation
from harness.theory.step_cost import (
    best_draft_tokens,
    break_even_alpha,
    cost_of_pass,
    cost_of_speedup,
    speedup,
)

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "validation.md"
GB = 1e9


@dataclass(frozen=True)
class Rate:
    """One published decode rate."""

    card: Card
    model: Architecture
    tokens_per_s: float
    published: float
    """Utilisation, by the published bytes."""
    source: str

    @property
    def ceiling(self) -> float:
        """By the published bytes."""
        return decode_ceiling(self.card.bytes_per_s, self.model.gb * GB, 0, 0)

    @property
    def utilisation(self) -> float:
        return utilisation(self.tokens_per_s, self.ceiling)

    @property
    def utilisation_of_active(self) -> float:
        """By the bytes that decoding reads, counted anew."""
        ceiling = decode_ceiling(self.card.bytes_per_s, self.model.active_bytes, 0, 0)
        return utilisation(self.tokens_per_s, ceiling)


@dataclass(frozen=True)
class Published:
    """Everything in published.toml."""

    models: dict[str, Architecture]
    rates: tuple[Rate, ...]
    values: dict[str, Any]


def published() -> Published:
    values = tomllib.loads((HERE / "published.toml").read_text(encoding="utf-8"))
    models = {key: Architecture(**fields) for key, fields in values["models"].items()}
    rates = tuple(
        Rate(
            card=find_card(row["hardware"]),
            model=models[row["model"]],
            tokens_per_s=row["tokens_per_s"],
            published=row["utilisation"] / 100,
            source=values["sources"][row["source"]],
        )
        for row in values["rates"]
    )
    return Published(models, rates, values)


@dataclass(frozen=True)
class Point:
    """One length of a sweep: what was published, and what the model says."""

    draft_tokens: int
    measured: float
    predicted: float
    fitted: bool = False
    """Its measurement has gone into the prediction."""

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1


def borrowed_lengths(data: Published) -> list[Point]:
    """The 5090's sweep, with the acceptance of another model and the cost from its best length."""
    sweep = data.values["sweeps"]["mtp-5090"]
    taus = data.values["lengths"]["taus"]
    plain, rates = sweep["rates"][0], sweep["rates"]
    best = rates.index(max(rates))
    cost = cost_of_speedup(rates[best] / plain, taus[best - 1], best)
    return [
        Point(k, rates[k], plain * speedup(taus[k - 1], k, cost), fitted=k == best)
        for k in sweep["draft_tokens"][1:]
    ]


def geometric_fit(data: Published) -> tuple[float, float, list[Point]]:
    """The 5090's sweep, with the alpha and the cost that fit it best: alpha, cost, points."""
    sweep = data.values["sweeps"]["mtp-5090"]
    plain, measured = (
        sweep["rates"][0],
        dict(zip(sweep["draft_tokens"], sweep["rates"], strict=True)),
    )
    del measured[0]

    def points(alpha: float, cost: float) -> list[Point]:
        return [
            Point(k, rate, plain * speedup(expected_tau(alpha, k), k, cost), fitted=True)
            for k, rate in measured.items()
        ]

    # A grid: coarse enough for the same page on every machine.
    grid = [(alpha / 100, cost / 200) for alpha in range(50, 100) for cost in range(101)]
    alpha, cost = min(grid, key=lambda pair: sum(p.error**2 for p in points(*pair)))
    return alpha, cost, points(alpha, cost)


def one_point(data: Published, name: str) -> tuple[float, float, list[Point]]:
    """A sweep with one published acceptance: alpha and cost from there, the rest predicted."""
    sweep = data.values["sweeps"][name]
    known, rate = sweep["acceptance_rate_at"]
    measured = dict(zip(sweep["draft_tokens"], sweep["rates"], strict=True))
    plain = measured.pop(0)
    tau = 1 + known * rate
    alpha = alpha_of_tau(tau, known)
    cost = cost_of_speedup(measured[known] / plain, tau, known)
    points = [
        Point(k, found, plain * speedup(expected_tau(alpha, k), k, cost), fitted=k == known)
        for k, found in measured.items()
    ]
    return alpha, cost, points


def page() -> str:
    """The whole of docs/validation.md."""
    data = published()
    parts = [INTRODUCTION, *_rates(data), *_bytes(data), *_article(data), *_sweeps(data)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


INTRODUCTION = (
    "# Validation\n\n"
    "The calculator behind `bench ceiling` against figures that others have published. "
    "`make validation` writes this page from `benchmarks/published.toml` and the code; a test "
    "fails when it is not what the code says now. Where a figure has a page that is known to "
    "stand, it is linked; the others are quoted as they went round, and are as good as that. "
    "Where the formulas come from: [ceilings.md](ceilings.md)."
)


def _rates(data: Published) -> Iterable[str]:
    shares = [rate.utilisation for rate in data.rates]
    yield "## Published decode rates"
    yield (
        f"{len(data.rates)} rates of plain decoding. *Ceiling* and *utilisation* use the bytes "
        "that the publication gives; *of what is read* uses the bytes that decoding reads, counted "
        "from the architecture (of a whole file the embedding is left out). All stay below "
        f"100 %: {min(shares):.0%} to {max(shares):.0%}. Bandwidths are nominal."
    )
    yield _table(
        "hardware|GB/s|model|GB a token|tok/s|ceiling|utilisation|as published|of what is read",
        (
            [
                rate.card.name,
                f"{rate.card.bytes_per_s / GB:.0f}",
                rate.model.name,
                f"{rate.model.gb:.2f}",
                f"[{rate.tokens_per_s:.2f}]({rate.source})",
                f"{rate.ceiling:.1f}",
                f"{rate.utilisation:.0%}",
                f"{rate.published:.0%}",
                f"{rate.utilisation_of_active:.0%}",
            ]
            for rate in data.rates
        ),
        left=(0, 2),
    )


def _bytes(data: Published) -> Iterable[str]:
    yield "## Bytes, rebuilt from the architecture"
    yield (
        "Counted from layer shapes and the sizes of ggml's types, by a count that shares no code "
        "with the one that reads model files (`benchmarks/model_bytes.py`). A test writes headers "
        "of these architectures and finds that both counts are the same to the byte."
    )
    yield _table(
        "model|published GB|which is|rebuilt GB|error|read by a token, GB",
        (
            [
                model.name,
                f"{model.gb:.2f}",
                "the file" if model.of == "file" else "what a token reads",
                f"{model.bytes_as_published() / GB:.3f}",
                _error(model.bytes_as_published() / GB / model.gb - 1, digits=2),
                f"{model.active_bytes / GB:.3f}",
            ]
            for model in data.models.values()
        ),
        left=(0, 2),
    )


def _article(data: Published) -> Iterable[str]:
    case = data.values["article"]
    card = find_card(case["hardware"])
    ceiling = decode_ceiling(card.bytes_per_s, case["gb"] * GB, 0, 0)
    yield f"## {case['title']}"
    yield (
        f"{case['gb']:.0f} GB over {card.bytes_per_s / GB:.0f} GB/s: a ceiling of {ceiling:.0f} "
        f"tok/s. {case['plain']:.0f} tok/s were measured: "
        f"{utilisation(case['plain'], ceiling):.0%} of it. Of the speculative rates only the "
        "speed-up is known, not the acceptance, so the model can tell what they imply: with "
        "free drafts and free verification, as few tokens a step as these."
    )
    yield _table(
        "setting|tok/s|speed-up|tokens a step, at least",
        (
            [name, f"{rate:.0f}", f"{rate / case['plain']:.2f}x", f"{rate / ceiling:.2f}"]
            for name, rate in (
                ("MTP, default length", case["mtp"]),
                ("MTP, 6 draft tokens", case["mtp_6"]),
                ("EAGLE-2", case["eagle_2"]),
            )
        ),
        left=(0,),
    )


def _sweeps(data: Published) -> Iterable[str]:
    yield "## Draft lengths"
    yield (
        "The model: speed-up = τ / (1 + k × (c + d)), with τ tokens a step of k draft tokens, and "
        "c + d what verifying and drafting one token more costs, in plain steps. Figures in "
        "*italics* have gone into the fit and prove nothing."
    )
    yield from _lengths(data)
    yield from _sweep_5090(data)
    yield from _sweep_4090(data)
    yield from _sweep_gb10(data)
    yield from _passes(data)
    yield from _experts(data)


def _lengths(data: Published) -> Iterable[str]:
    lengths = data.values["lengths"]
    taus = lengths["taus"]
    first, last = alpha_of_tau(taus[0], 1), alpha_of_tau(taus[-1], len(taus))
    yield f"### {lengths['title']}"
    yield (
        "One acceptance for all positions does not describe a real drafter, which grows worse "
        f"along the draft: the α of the first token ({first:.2f}) promises far too much of long "
        f"drafts, the one of the longest draft ({last:.2f}) too little of short ones. Rates by "
        "position (the last column) describe it exactly; `--acceptance` takes either."
    )
    yield _table(
        f"k|τ published|α = {first:.2f}|error|α = {last:.2f}|error|rate of the k-th token",
        (
            [
                f"{k}",
                f"{tau:.2f}",
                *_pair(expected_tau(first, k), tau, k == 1),
                *_pair(expected_tau(last, k), tau, k == len(taus)),
                f"{tau - before:.2f}",
            ]
            for k, (tau, before) in enumerate(zip(taus, (1.0, *taus), strict=False), start=1)
        ),
    )


def _sweep_5090(data: Published) -> Iterable[str]:
    title = data.values["sweeps"]["mtp-5090"]["title"]
    borrowed = borrowed_lengths(data)
    alpha, cost, fitted = geometric_fit(data)
    anchor = next(point for point in borrowed if point.fitted)
    worst = max(abs(point.error) for point in borrowed)
    yield f"### {title}"
    yield (
        "No acceptance was published. *Borrowed*: the lengths of the table above, of another and "
        f"larger model on coding prompts, with the cost taken from k = {anchor.draft_tokens}; the "
        f"others are then off by at most {worst:.0%}. *Geometric*: the one α ({alpha:.2f}) and "
        f"cost ({cost:.3f}) that fit all points best, so that its errors show what the form "
        "cannot do."
    )
    yield _table(
        "k|tok/s published|borrowed|error|geometric|error",
        (
            [
                f"{one.draft_tokens}",
                f"{one.measured:.1f}",
                *_cells(one),
                *_cells(other),
            ]
            for one, other in zip(borrowed, fitted, strict=True)
        ),
    )


def _sweep_4090(data: Published) -> Iterable[str]:
    alpha, cost, points = one_point(data, "mtp-4090")
    sweep = data.values["sweeps"]["mtp-4090"]
    yield f"### {sweep['title']}"
    yield (
        f"The acceptance at k = 3 gives α = {alpha:.2f}, its rate a cost of {cost:.2f} "
        f"([source]({data.values['sources'][sweep['source']]})). At k = 4 the machine "
        "fell off a cliff, which the model does not predict and cannot: no cost of drafting or "
        "verifying grows like that. Memory that ran out is likely (24 GB, with a context of "
        "256K), and the model knows nothing of that. Only a measurement finds such a thing."
    )
    yield _points(points)


def _sweep_gb10(data: Published) -> Iterable[str]:
    alpha, cost, points = one_point(data, "step-gb10")
    yield f"### {data.values['sweeps']['step-gb10']['title']}"
    yield (
        f"A mixture of experts. The acceptance at k = 3 gives α = {alpha:.2f}, its rate a cost of "
        f"{cost:.2f}. That 2 tokens do better than 3 is told, that they gain is not: one α for all "
        "positions and one cost for all rows are both likely to be wrong here."
    )
    yield _points(points)


def _passes(data: Published) -> Iterable[str]:
    passes, eagle = data.values["passes"], data.values["eagle_2"]
    rows = passes["rows"]
    alphas = (0.5, 0.65, 0.8, 0.9)
    yield "### What a verification costs"
    implied = eagle["tau"] / eagle["speedup"]
    yield (
        f"One model file, {rows} rows in one pass: {passes['M4']} plain steps on an M4, "
        f"{passes['CUDA']} on an NVIDIA GPU. With these costs, free drafts and drafts of at most "
        f"{rows - 1} tokens, the model says which length is best. Where a dense "
        "model's bytes alone count, longer is never worse: the cost of a row decides. "
        f"[{eagle['title']}]({data.values['sources'][eagle['source']]}) gains "
        f"{eagle['speedup']}x of {eagle['tau']} tokens a step: one step takes "
        f"{implied:.2f} plain ones."
    )
    table = []
    for name in ("M4", "CUDA"):
        c = cost_of_pass(passes[name], rows)
        even = break_even_alpha(rows - 1, c)
        cells = [name, f"{c:.2f}", f"{even:.2f}" if even is not None else "none"]
        for alpha in alphas:
            taus = [expected_tau(alpha, k) for k in range(1, rows)]
            best = best_draft_tokens(taus, c)
            gain = speedup(taus[best - 1], best, c) if best else 1.0
            cells.append(f"k = {best}, {gain:.2f}x" if best else "plain")
        table.append(cells)
    headings = "|".join(f"best at α = {alpha}" for alpha in alphas)
    yield _table(f"hardware|c|α that breaks even at k = {rows - 1}|{headings}", table, left=(0,))


def _experts(data: Published) -> Iterable[str]:
    model = data.models["qwen3-30b-a3b-q8_0"]
    card = find_card("RTX 3090")
    reads = Reads(
        model.active_bytes,
        expert_bytes=model.expert_bytes,
        experts=model.experts,
        experts_used=model.experts_used,
    )
    yield "### A mixture of experts"
    yield (
        "On an RTX 3090 all n-gram and draft models lose 40 to 52 % with Qwen3.6-35B-A3B: "
        "the rows of a verification choose different experts. The acceptance is not known, so "
        f"there is nothing to reproduce; what the model says of {model.name} there, with free "
        "drafts and uniform routing, is how many tokens a step has to yield before it gains."
    )
    plain = speculative_ceiling(card.bytes_per_s, reads, 1, 0)
    yield _table(
        "k|GB a verification|plain passes|α that breaks even|ceiling at α = 0.65, over plain",
        (
            [
                f"{k}",
                f"{reads.of_pass(k + 1) / GB:.2f}",
                f"{reads.of_pass(k + 1) / reads.of_pass(1):.2f}",
                f"{alpha_of_tau(reads.of_pass(k + 1) / reads.of_pass(1), k):.2f}",
                f"{_over_plain(card, reads, k, plain):.2f}x",
            ]
            for k in (1, 2, 3, 4, 6, 8)
        ),
    )


def _over_plain(card: Card, reads: Reads, k: int, plain: float) -> float:
    return speculative_ceiling(card.bytes_per_s, reads, expected_tau(0.65, k), k) / plain


def _points(points: Sequence[Point]) -> str:
    return _table(
        "k|tok/s published|predicted|error",
        ([f"{p.draft_tokens}", f"{p.measured:.1f}", *_cells(p)] for p in points),
    )


def _cells(point: Point) -> tuple[str, str]:
    cells = f"{point.predicted:.1f}", _error(point.error)
    return (f"*{cells[0]}*", f"*{cells[1]}*") if point.fitted else cells


def _pair(predicted: float, measured: float, fitted: bool) -> tuple[str, str]:
    cells = f"{predicted:.2f}", _error(predicted / measured - 1)
    return (f"*{cells[0]}*", f"*{cells[1]}*") if fitted else cells


def _error(share: float, digits: int = 0) -> str:
    text = f"{abs(share):.{digits}%}"
    zero = not any(character in "123456789" for character in text)
    return text if zero else f"{'+' if share > 0 else '−'}{text}"


def _table(headings: str, rows: Iterable[Sequence[str]], left: Sequence[int] = ()) -> str:
    """A Markdown table, numbers to the right."""
    names = headings.split("|")
    rules = [":--" if index in left else "--:" for index in range(len(names))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [names, rules, *rows])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
