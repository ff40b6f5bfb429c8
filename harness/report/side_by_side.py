"""The table of several runners beside each other, and what has to be said with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from harness.analysis.lossless import Lossless, Verdict
from harness.analysis.side_by_side import (
    OTHER_PROMPTS,
    OtherPrompts,
    SideBySide,
    SideRow,
)
from harness.pairing import PromptCounts
from harness.report import numbers
from harness.report.tables import (
    ACCEPTANCE,
    ACCEPTANCE_LENGTH,
    DECODE_RATE,
    MAX_TOKENS,
    SETTING,
    WORKLOAD,
    Column,
    Table,
    exposed,
    known,
    margin_words,
    of_drafts,
    ttft,
)
from runners.base.speculation import PLAIN

RUNNER = Column("runner", "left")
WEIGHTS = Column("weights", "left")
RATIO = Column("ratio [95%]")
TEXT = Column("same text", "left")
PROMPTS = Column("prompt tokens", "left")
TTFT = Column("TTFT")
PREFILL = Column("prefill tok/s")
MEMORY = Column("peak memory")
START_UP = Column("start-up")

HEADING = "Runners side by side"

MEANINGS = (
    "Peak memory is the largest resident size of the runner's processes, which is not what the "
    "model needs: vLLM sets memory aside for its KV cache beforehand, and memory of a GPU is not "
    "counted. Start-up is the median time from the start of the process to the first answered "
    "probe request."
)
"""What two columns mean that are easily misread."""

NO_FIGURES = "no figures"

Cell = Callable[[SideBySide, SideRow], str]
"""Prints one column of one row."""


def side_table(groups: Sequence[SideBySide]) -> Table:
    """One row for each runner, by setting, workload and `max_tokens`.

    What all rows have alike (the length, the type of the weights, no drafts) is no column, and a
    setting that no runner has figures of is no row.
    """
    groups = [group for group in groups if any(row.trial.failure is None for row in group.rows)]
    cells: dict[Column, Cell] = {
        SETTING: lambda group, _: group.setting,
        WORKLOAD: lambda group, _: group.workload,
        MAX_TOKENS: lambda group, _: str(group.max_tokens),
        RUNNER: lambda group, row: group.name(row),
        WEIGHTS: lambda _, row: known(row.weights, str),
        DECODE_RATE: lambda _, row: (
            NO_FIGURES
            if row.trial.failure is not None
            else known(row.trial.decode_rate, numbers.rate_estimate)
        ),
        RATIO: _ratio,
        TEXT: _text,
        PROMPTS: _prompts,
        ACCEPTANCE: lambda _, row: _figure(
            row, of_drafts(row.trial, row.trial.speculating.acceptance_rate, numbers.percent)
        ),
        ACCEPTANCE_LENGTH: lambda _, row: _figure(
            row, of_drafts(row.trial, row.trial.speculating.acceptance_length, numbers.length)
        ),
        TTFT: lambda _, row: _figure(row, ttft(row.trial)),
        PREFILL: lambda _, row: _figure(row, exposed(row.trial.prefill_rate, numbers.rate)),
        MEMORY: lambda _, row: _figure(row, exposed(row.trial.peak_memory, numbers.size)),
        START_UP: lambda _, row: known(row.start_s, numbers.seconds),
    }
    table = Table(
        tuple(cells),
        tuple(
            tuple(cell(group, row) for cell in cells.values())
            for group in groups
            for row in group.rows
        ),
    )
    unwanted = [] if len({group.max_tokens for group in groups}) > 1 else [MAX_TOKENS]
    if all(row.trial.arm.method == PLAIN for group in groups for row in group.rows):
        unwanted += [ACCEPTANCE, ACCEPTANCE_LENGTH]
    # Nobody knows those of a server that already ran.
    launched = [row for group in groups for row in group.rows if not row.trial.arm.as_served]
    if len({row.weights for row in launched}) < 2:
        unwanted.append(WEIGHTS)
    if not launched:
        unwanted.append(START_UP)
    return table.without(unwanted)


def explanation(groups: Sequence[SideBySide]) -> str:
    """What the table compares; '' where there is no table."""
    if not groups:
        return ""
    first = groups[0].reference.trial.arm.runner
    return (
        "The same model, prompts and setting in several runners. Ratio: tok/s divided by that of "
        f"{first}, by prompt and round."
    )


def side_remarks(groups: Sequence[SideBySide]) -> tuple[str, ...]:
    """What the table could not say, and why texts may differ that need not be compared."""
    rows = [row for group in groups for row in group.others]
    unprobed = Counter(
        row.text.unprobed_reason
        for row in rows
        if row.text is not None and row.text.unprobed_reason is not None
    )
    weights = {
        row.trial.arm.runner: row.weights
        for group in groups
        for row in group.rows
        if row.weights is not None
    }
    several = ", ".join(f"{runner} {kind}" for runner, kind in weights.items())
    return (
        *_same_model(groups),
        *(
            [f"The runners' weights are not of one type ({several}): that alone may change texts."]
            if len(set(weights.values())) > 1
            else []
        ),
        *(
            f"Differences not probed, {numbers.counted(count, 'row')}: {reason}."
            for reason, count in unprobed.items()
        ),
    )


def _same_model(groups: Sequence[SideBySide]) -> list[str]:
    """What stands for it that servers that somebody else has started have the same model."""
    answers: dict[str, list[Lossless]] = {}
    for group in groups:
        for row in group.rows:
            if row.trial.arm.as_served and row.trial.failure is None:
                # The first runner's answers are those that all others are held against.
                held = [row] if row.text else group.others
                answers.setdefault(row.trial.arm.runner, []).extend(
                    other.text for other in held if other.text is not None
                )
    runners: dict[str, list[str]] = {}
    for runner, texts in answers.items():
        compared = sum(text.compared for text in texts)
        same = compared - sum(text.differing for text in texts)
        found = f"{same} of {compared} answers are identical with those beside them"
        if not compared:
            found = "Identical answers would confirm it, and none could be compared"
        elif same == compared:
            found += ", which confirms it"
        elif not same:
            found += ", which speaks against it"
        runners.setdefault(found, []).append(runner)
    return [
        f"That {numbers.listed(names)} {'serves' if len(names) == 1 else 'serve'} the same model "
        f"is your word: a server that already runs does not show its files. {found}."
        for found, names in runners.items()
    ]


def prompt_warnings(found: Iterable[OtherPrompts]) -> tuple[str, ...]:
    """Why texts and acceptance of runners cannot be compared, for the top of the report.

    Runners that find the same are named together.
    """
    runners: dict[tuple[str, PromptCounts], list[str]] = {}
    for each in found:
        runners.setdefault((each.reference, each.counts), []).append(each.runner)
    return tuple(
        _prompt_warning(names, reference, counts) for (reference, counts), names in runners.items()
    )


def _prompt_warning(names: Sequence[str], reference: str, counts: PromptCounts) -> str:
    example = counts.example
    such = "" if example is None else f" ({_example(example.tokens, example.reference_tokens)}"
    such += "" if example is None else f" tokens in {example.workload}/{example.prompt})"
    one = len(names) == 1
    return (
        f"{numbers.listed(names)} {'reads' if one else 'read'} other prompts than {reference}: "
        f"{counts.differing} of {counts.compared} are not equally long{such}. "
        f"{'It has' if one else 'They have'} another chat template or tokenizer, so neither texts "
        f"nor acceptance can be compared with {reference}'s, and the speeds are those of different "
        "texts."
    )


def _ratio(_: SideBySide, row: SideRow) -> str:
    return "reference" if row.text is None else known(row.ratio, numbers.speedup)


def _text(group: SideBySide, row: SideRow) -> str:
    """'identical', 'near-tie at 36 (0.03)', 'differs at 36 in 2 of 8 (margin 1.9)'."""
    found = row.text
    if found is None:
        return "reference"
    if not _both_have_figures(group, row):
        return numbers.UNKNOWN
    if found.verdict is Verdict.IDENTICAL:
        return found.verdict.value
    if found.verdict is Verdict.NOT_COMPARABLE:
        reason = found.reason or ""
        return reason if reason == OTHER_PROMPTS else f"{found.verdict.value}: {reason}"
    at = "" if found.decisive is None else f" at {found.decisive}"
    of = f" in {found.differing} of {found.compared}"
    if found.verdict is Verdict.NEAR_TIE and found.margin is not None:
        return f"near-tie{at}{of} ({margin_words(found.margin)})"
    why = "not probed" if found.margin is None else f"margin {margin_words(found.margin)}"
    return f"differs{at}{of} ({why})"


def _prompts(group: SideBySide, row: SideRow) -> str:
    """'same', or '6 of 8 differ: 57 against 61'; the warning at the top says in which prompt."""
    counts = row.prompts
    if counts is None:
        return "reference"
    if not _both_have_figures(group, row):
        return numbers.UNKNOWN
    if not counts.compared:
        return numbers.NOT_EXPOSED
    if counts.example is None:
        return "same"
    found = _example(counts.example.tokens, counts.example.reference_tokens)
    return f"{counts.differing} of {counts.compared} differ: {found}"


def _both_have_figures(group: SideBySide, row: SideRow) -> bool:
    return row.trial.failure is None and group.reference.trial.failure is None


def _example(tokens: int, reference_tokens: int) -> str:
    return f"{tokens} against {reference_tokens}"


def _figure(row: SideRow, text: str) -> str:
    return numbers.UNKNOWN if row.trial.failure is not None else text
