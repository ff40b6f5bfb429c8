"""What a run holds for a prediction: arms that differ in the draft length alone, by workload."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.ceilings import mean_depth
from harness.analysis.doubt.judge import Doubts, judge
from harness.analysis.doubt.mark import Figure
from harness.analysis.settings import series_name
from harness.analysis.speculating import speculating_of
from harness.analysis.summary import summarise
from harness.analysis.trial import Place, TrialSummary, by_place
from harness.prediction.lengths import Drafts, Lengths, lengths_of, steps_by_accepted
from harness.records import Arm, Sample
from harness.run_folder import RunData
from runners.base.speculation import PLAIN, parts_of

LONGEST = 256
"""Of a draft; a longer one is a typing error."""


@dataclass(frozen=True)
class Held:
    """A tau that was predicted from longer drafts and also measured."""

    draft_tokens: int
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Family:
    """Arms on one workload that differ in the draft length alone."""

    name: str
    """'mtp', as tables call it, without the length."""
    rows: tuple[TrialSummary, ...]
    """By draft length."""
    lengths: Lengths | None
    unknown: str | None = None
    """Why there are no lengths."""
    held: tuple[Held, ...] = ()
    """By draft length; not the longest, of which the others are told."""
    prompts: int = 0
    rounds: int = 0
    doubtful: bool = False
    """Most samples of the longest drafts raise a doubt about their acceptance."""

    @property
    def arm(self) -> Arm:
        """The one with the longest drafts."""
        return self.rows[-1].arm

    @property
    def disagreement(self) -> float:
        """By which factor, less one, the worst prediction of a measured length was off."""
        return (
            max(
                (max(h.predicted / h.measured, h.measured / h.predicted) for h in self.held),
                default=1.0,
            )
            - 1
        )


@dataclass(frozen=True)
class Group:
    """One plain arm on one workload, and the families that are held against it."""

    plain: TrialSummary
    depth: float | None
    """Mean tokens in plain's context while decoding: the prompt and half of the answer."""
    families: tuple[Family, ...]


@dataclass(frozen=True)
class Found:
    """All of a run."""

    groups: tuple[Group, ...]
    rows: tuple[TrialSummary, ...]
    notes: tuple[str, ...]
    """What cannot be predicted from, in sentences."""


def groups_of(run: RunData) -> Found:
    """Every workload of every plain arm, in the order of the manifest."""
    doubts = judge(run)
    rows = summarise(run, doubts)
    samples = by_place(run.samples)
    of_plain: dict[Place, list[TrialSummary]] = defaultdict(list)
    for row in rows:
        if row.arm.method != PLAIN:
            of_plain[row.arm.baseline, row.workload, row.max_tokens].append(row)
    groups = tuple(
        Group(
            plain=row,
            depth=mean_depth(samples[place]),
            families=_families(run, of_plain[place], samples, doubts),
        )
        for row in rows
        for place in [(row.arm.id, row.workload, row.max_tokens)]
        if row.arm.method == PLAIN and row.arm.is_baseline
    )
    return Found(groups, rows, tuple(dict.fromkeys(_unusable(rows))))


def _unusable(rows: Iterable[TrialSummary]) -> Iterable[str]:
    for row in rows:
        if row.arm.as_served:
            yield (
                f"{row.setting}: a server that already runs; how it drafts, and which files it has "
                "read, is not exposed"
            )
        elif row.arm.synthetic is not None:
            yield (
                f"{row.arm.method} with synthetic acceptance: drafts were accepted by draw, which "
                "says nothing of the model or the text"
            )


def _families(
    run: RunData,
    rows: Sequence[TrialSummary],
    samples: Mapping[Place, Sequence[Sample]],
    doubts: Doubts,
) -> tuple[Family, ...]:
    found: dict[Arm, list[TrialSummary]] = defaultdict(list)
    for row in rows:
        if row.arm.synthetic is None:
            found[_but_length(row.arm)].append(row)
    return tuple(
        _family(run, sorted(own, key=lambda row: row.arm.draft_tokens or 0), samples, doubts)
        for own in found.values()
    )


def _but_length(arm: Arm) -> Arm:
    changing = {"id": "", "draft_tokens": None, "asked": (), "limit": None, "counterpart": None}
    return arm.model_copy(update=changing)


def _family(
    run: RunData,
    rows: Sequence[TrialSummary],
    samples: Mapping[Place, Sequence[Sample]],
    doubts: Doubts,
) -> Family:
    name = series_name(rows[0].arm, run.manifest.arms)
    measured = tuple(row for row in rows if row.failure is None)
    if not measured:
        return Family(name, tuple(rows), None, f"it was not measured: {rows[-1].failure}")
    longest = measured[-1]
    k, unknown = longest.arm.draft_tokens, _unknown(longest.arm)
    if k is None or unknown is not None:
        return Family(name, measured, None, unknown)
    place = (longest.arm.id, longest.workload, longest.max_tokens)
    ok = [sample for sample in samples.get(place, ()) if sample.status == "ok"]
    used = doubts.sound(ok, Figure.ACCEPTANCE)
    drafts: list[Drafts] = []
    unknown = "the runner does not expose acceptance by position and its steps"
    try:
        drafts = _drafts(used.samples, k)
    except ValueError as error:
        unknown = f"the runner's counts contradict each other: {error}"
    if not drafts:
        return Family(name, measured, None, unknown)
    lengths = lengths_of(drafts)
    return Family(
        name,
        measured,
        lengths,
        held=tuple(
            Held(shorter, lengths.taus[shorter - 1], tau)
            for row in measured[:-1]
            for shorter, tau in [(row.arm.draft_tokens, row.speculating.acceptance_length)]
            if shorter and tau and shorter < k
        ),
        prompts=len({draft.prompt for draft in drafts}),
        rounds=len({sample.round for sample in used.samples}),
        doubtful=used.doubtful,
    )


def _unknown(arm: Arm) -> str | None:
    """Why an arm's drafts tell nothing of shorter ones."""
    if len(parts_of(arm.method)) > 1:
        return "of a chain, the length bounds one of two methods"
    if arm.draft_tokens is None:
        return "its drafts have no length that could be another"
    if not 1 <= arm.draft_tokens <= LONGEST:
        return f"drafts of {arm.draft_tokens} tokens are none to predict from"
    return None


def _drafts(samples: Iterable[Sample], longest: int) -> list[Drafts]:
    """The decode steps of each sample; the one that ended the prefill is left out.

    Raises:
        ValueError: counts that contradict each other.
    """
    found = []
    for sample in samples:
        own = speculating_of([sample], longest)
        if own.accepted_per_position is None or sample.steps is None or sample.steps < 2:
            continue
        steps = sample.steps - 1
        accepted = steps_by_accepted(own.accepted_per_position, steps, longest)
        # Where drafts are not counted, no more is known than that they have the length asked for.
        drafted = float(longest) if own.drafted_per_step is None else own.drafted_per_step
        found.append(Drafts(sample.prompt, accepted, min(drafted, longest) * steps))
    return found
