"""One row of a table in Markdown: what people write by hand when they share a measurement."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from harness.analysis.held_types import held_words
from harness.analysis.lossless import Lossless, Verdict
from harness.analysis.trial import TrialSummary
from harness.analysis.winner import Contest, Outcome
from harness.records import Arm
from harness.report import escape, numbers
from harness.report.tables import difference_words, known, of_drafts
from harness.share.hardware import memory_words, processor_words
from harness.share.shared_run import Figures, Measured, shown

NOT_KNOWN = "not known"
UNPROVEN = "not proven faster than plain"

Cell = Callable[[Figures], list[str]]
"""One column: a line for each workload, or one alone."""


def header_of() -> str:
    """The two lines above the rows."""
    rules = ["---:" if name in RIGHT else "---" for name in COLUMNS]
    return f"| {' | '.join(map(escape.markdown, COLUMNS))} |\n| {' | '.join(rules)} |"


def row_of(figures: Figures) -> str:
    """The row, on one line; its first cell refers to the footnote."""
    return f"| {' | '.join(cells_of(figures).values())} |"


def cells_of(figures: Figures) -> dict[str, str]:
    """Column -> what stands in it, as Markdown."""
    cells = {
        name: "<br>".join(map(escape.markdown, cell(figures))) for name, cell in COLUMNS.items()
    }
    first = next(iter(cells))
    return {**cells, first: f"{cells[first]} [^{mark_of(figures)}]"}


def mark_of(figures: Figures) -> str:
    """What the footnote is called: another one for each row, also of one run."""
    lines = "".join(one.line_sha256 for one in figures.share.samples)
    return f"bench-{hashlib.sha256(lines.encode()).hexdigest()[:8]}"


def _machine(figures: Figures) -> list[str]:
    return [processor_words(figures)]


def _memory(figures: Figures) -> list[str]:
    return [memory_words(figures)]


def _model(figures: Figures) -> list[str]:
    return [figures.plain.model or NOT_KNOWN]


def _quantisation(figures: Figures) -> list[str]:
    model, runner = figures.model, figures.runner
    if model is None or model.facts is None:
        return [NOT_KNOWN]
    kind = figures.plain.runner if runner is None else runner.kind or runner.name
    return [held_words(kind, model.facts, figures.plain.options) or NOT_KNOWN]


def _runner(figures: Figures) -> list[str]:
    runner = figures.runner
    if runner is None:
        return [figures.plain.runner]
    # A build's own name says nothing to others; what it is a build of does.
    return [f"{runner.kind or runner.name} {runner.version}"]


def _workload(figures: Figures) -> list[str]:
    return [one.contest.workload for one in figures.measured]


def _max_tokens(figures: Figures) -> list[str]:
    return [str(one.contest.max_tokens) for one in figures.measured]


def setting_of(arm: Arm) -> str:
    """'draft-model k=4, draft small.gguf'."""
    return arm.label if arm.draft_model is None else f"{arm.label}, draft {arm.draft_model}"


def _setting(figures: Figures) -> list[str]:
    return [_setting_of(one.contest) for one in figures.measured]


def _setting_of(contest: Contest) -> str:
    row = best_of(contest)
    unproven = contest.outcome is Outcome.UNPROVEN and not row.arm.is_baseline
    name = setting_of(row.arm)
    return f"{name} ({UNPROVEN})" if unproven else name


def best_of(contest: Contest) -> TrialSummary:
    """What to use: plain decoding where it is proven the fastest, else the best of the others."""
    return contest.plain if contest.outcome is Outcome.PLAIN else shown(contest)


def _rate(row: TrialSummary) -> str:
    if row.failure is not None:
        return "failed"
    return known(row.decode_rate, lambda estimate: numbers.rate(estimate.value))


def _plain_rate(figures: Figures) -> list[str]:
    as_served = figures.plain.as_served
    return [numbers.UNKNOWN if as_served else _rate(m.contest.plain) for m in figures.measured]


def _best_rate(figures: Figures) -> list[str]:
    return [_rate(best_of(one.contest)) for one in figures.measured]


def _speedup(figures: Figures) -> list[str]:
    return [known(best_of(one.contest).speedup, numbers.speedup) for one in figures.measured]


def _acceptance(figures: Figures) -> list[str]:
    rows = [best_of(one.contest) for one in figures.measured]
    return [of_drafts(row, row.speculating.acceptance_rate, numbers.percent) for row in rows]


def _length(figures: Figures) -> list[str]:
    rows = [best_of(one.contest) for one in figures.measured]
    return [of_drafts(row, row.speculating.acceptance_length, numbers.length) for row in rows]


def _lossless(figures: Figures) -> list[str]:
    return [_lossless_of(one) for one in figures.measured]


def _lossless_of(one: Measured) -> str:
    row = best_of(one.contest)
    if row.arm.is_baseline:
        return numbers.UNKNOWN
    return lossless_words(one.lossless)


def lossless_words(found: Lossless) -> str:
    """'identical', 'near-ties in 2 of 9', 'differs in 2 of 9 answers, at token 37 …'."""
    if found.verdict is Verdict.NEAR_TIE:
        return f"near-ties in {found.differing} of {found.compared}"
    if found.verdict is Verdict.DIFFERENT:
        return difference_words(found)
    return found.verdict.value


def _counts(figures: Figures) -> list[str]:
    return [f"{one.rounds} × {one.prompts}" for one in figures.measured]


COLUMNS: dict[str, Cell] = {
    "machine": _machine,
    "memory": _memory,
    "model": _model,
    "quantisation": _quantisation,
    "runner": _runner,
    "workload": _workload,
    "max tokens": _max_tokens,
    "setting": _setting,
    "plain tok/s": _plain_rate,
    "tok/s": _best_rate,
    "speed-up [95%]": _speedup,
    "acceptance": _acceptance,
    "τ": _length,
    "lossless": _lossless,
    "rounds × prompts": _counts,
}

RIGHT = frozenset(
    {"memory", "max tokens", "plain tok/s", "tok/s", "speed-up [95%]", "acceptance", "τ"}
)
