"""Makes a share of a run's folder."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.analysis.doubt.judge import judge
from harness.analysis.lossless import Held, held
from harness.analysis.settings import setting_names
from harness.analysis.summary import probes_of
from harness.pairing import pairs
from harness.records import Arm, Manifest, ModelInfo, PromptInfo, RunnerInfo, Sample
from harness.run_folder import PROBES, SAMPLES, RunData, RunFolderError, read_run
from harness.share.footnote import footnote_of
from harness.share.private import Private, here
from harness.share.row import header_of, row_of
from harness.share.share import AgainstPlain, Share, SharedSample, ShareError, seal_of
from harness.share.shared_run import figures_of
from harness.suite import Suite
from runners.base.spelling import known_names

CANNOT_WORK = "it cannot work here"
TEXTS_KEPT = frozenset(
    {"arm", "workload", "prompt", "launch", "started_at", "status", "finish_reason"}
)
"""Of a sample; all others are left out, whatever they hold."""
ANSWERS = frozenset({"text", "text_sha256", "tokens", "bursts"})
FINISHED = frozenset({"stop", "length"})


def make_share(folder: Path, plain: str | None = None) -> Share:
    """The share of one plain arm of the run and of all that is held against it.

    `plain` is that arm's id or its setting; it may be left out where the run has one alone.

    Raises:
        RunFolderError: no run, or a damaged one.
        ShareError: nothing was measured, or it is not clear which plain arm is meant.
    """
    run = read_run(folder)
    reference = _reference(run.manifest, plain)
    arms = [arm for arm in run.arms if arm.baseline == reference.id and arm.synthetic is None]
    if not any(s.status == "ok" and s.arm in {arm.id for arm in arms} for s in run.samples):
        raise ShareError(f"{folder} has nothing to share: no request has been answered")
    private = Private(here(), _naming(run))
    names = _Names(run.manifest, arms, private)
    shared = Share(
        header=header_of(),
        row="",
        footnote="",
        interrupted=len(run.samples) < run.planned,
        manifest=_manifest(run.manifest, arms, names, private),
        samples_sha256=_hash(folder / SAMPLES) or hashlib.sha256(b"").hexdigest(),
        probes_sha256=_hash(folder / PROBES),
        samples=_samples(run, arms, names, private, lines_of(folder)),
        seal="",
    )
    return sealed(shared)


def sealed(share: Share) -> Share:
    """With the row and the footnote that its samples give, and the seal of it all."""
    figures = figures_of(share)
    told = share.model_copy(update={"row": row_of(figures), "footnote": footnote_of(figures)})
    return told.model_copy(update={"seal": seal_of(told)})


def _reference(manifest: Manifest, wanted: str | None) -> Arm:
    names = setting_names(manifest.arms)
    plain = [arm for arm in manifest.arms if arm.is_baseline]
    if wanted is None and len(plain) == 1:
        return plain[0]
    known = [arm.id for arm in plain]
    if wanted is None:
        raise ShareError(
            f"a row is of one plain setting, and the run has {len(plain)}: choose one with "
            f"--plain, of {', '.join(known)}"
        )
    for arm in plain:
        if wanted in (arm.id, names[arm.id]):
            return arm
    raise ShareError(
        f"--plain: the run has no plain setting {wanted!r}; {known_names(wanted, known)}"
    )


def _naming(run: RunData) -> list[str]:
    """Texts of a run whose paths and addresses may name its owner and its machine."""
    manifest = run.manifest
    return [manifest.model_dump_json(), *(launch.command for launch in run.launches)]


class _Names:
    """Names in the share of what the run calls otherwise: each thing has one of its own."""

    def __init__(self, manifest: Manifest, arms: Sequence[Arm], private: Private) -> None:
        paths = [path for arm in arms for path in (arm.model, arm.draft_model) if path is not None]
        self.models = _distinct({path: private.file(path) for path in paths})
        self.arms = _distinct(
            {
                arm.id: arm.method
                if arm.draft_tokens is None
                else f"{arm.method}-k{arm.draft_tokens}"
                for arm in arms
            }
        )
        self.workloads = _distinct({p.workload: private.text(p.workload) for p in manifest.prompts})
        self.runner = private.text(arms[0].runner)
        self.prompts: dict[tuple[str, str], str] = {}
        counts: Counter[str] = Counter()
        for prompt in manifest.prompts:
            counts[prompt.workload] += 1
            self.prompts[prompt.workload, prompt.id] = str(counts[prompt.workload])


def _distinct(names: Mapping[str, str]) -> dict[str, str]:
    """The same, with a number behind each name that another thing has already."""
    found: dict[str, str] = {}
    for key, name in names.items():
        number, own = 1, name
        while own in found.values():
            number += 1
            own = f"{name} ({number})"
        found[key] = own
    return found


def _manifest(manifest: Manifest, arms: Sequence[Arm], names: _Names, private: Private) -> Manifest:
    suite = manifest.suite
    return Manifest(
        decodebench=private.text(manifest.decodebench),
        created_at=private.text(manifest.created_at),
        command=(),
        suite=Suite(
            name="share",
            runner=(names.runner,),
            max_tokens=suite.max_tokens,
            repeats=suite.repeats,
            temperature=suite.temperature,
            seed=suite.seed,
            bandwidth=suite.bandwidth,
            keep_text=False,
        ),
        context=manifest.context,
        arms=tuple(_arm(arm, names, private) for arm in arms),
        prompts=tuple(
            PromptInfo(
                workload=names.workloads[prompt.workload],
                id=names.prompts[prompt.workload, prompt.id],
                kind="",
                sha256=private.text(prompt.sha256),
            )
            for prompt in manifest.prompts
        ),
        runners=tuple(
            RunnerInfo(
                name=names.runner,
                version=private.text(info.version),
                where="",
                acceptance_source=private.text(info.acceptance_source),
                devices=tuple(map(private.text, info.devices)),
                kind=None if info.kind is None else private.text(info.kind),
            )
            for info in manifest.runners
            if info.name == arms[0].runner
        ),
        models=tuple(
            ModelInfo(
                path=names.models[model.path],
                sha256=private.text(model.sha256),
                size=model.size,
                facts=None if model.facts is None else private.model(model.facts),
            )
            for model in manifest.models
            if model.path in names.models
        ),
        machine=private.model(manifest.machine),
        fingerprint="",
    )


def _arm(arm: Arm, names: _Names, private: Private) -> Arm:
    return arm.model_copy(
        update={
            "id": names.arms[arm.id],
            "runner": names.runner,
            "model": None if arm.model is None else names.models[arm.model],
            "draft_model": None if arm.draft_model is None else names.models[arm.draft_model],
            "limit": None if arm.limit is None else private.text(arm.limit),
            "impossible": None if arm.impossible is None else CANNOT_WORK,
            "options": tuple(
                (private.text(name), private.value(value) if isinstance(value, str) else value)
                for name, value in arm.options
            ),
            "varied": None if arm.varied is None else tuple(map(private.text, arm.varied)),
            "baseline": names.arms[arm.baseline],
            "counterpart": None,
        }
    )


def _samples(
    run: RunData, arms: Sequence[Arm], names: _Names, private: Private, lines: Sequence[str]
) -> tuple[SharedSample, ...]:
    doubts = judge(run)
    against = _against_plain(run, arms)
    ids = {arm.id for arm in arms}
    return tuple(
        SharedSample(
            line_sha256=line,
            bursts=len(sample.bursts),
            doubts=tuple(mark.name for mark in doubts.of(sample)),
            against_plain=against.get(sample.key),
            figures=_figures(sample, names, private),
        )
        for sample, line in zip(run.samples, lines, strict=True)
        if sample.arm in ids
    )


def _figures(sample: Sample, names: _Names, private: Private) -> Sample:
    """The sample's numbers, and which request it was."""
    told = {
        key: value
        for key, value in sample.model_dump(exclude=set(ANSWERS)).items()
        if key in TEXTS_KEPT or _is_numeric(value)
    }
    return Sample.model_validate(
        {
            **told,
            "arm": names.arms[sample.arm],
            "workload": names.workloads[sample.workload],
            "prompt": names.prompts[sample.workload, sample.prompt],
            "launch": "",
            "started_at": private.text(sample.started_at),
            "finish_reason": sample.finish_reason if sample.finish_reason in FINISHED else None,
        }
    )


def _is_numeric(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_numeric, value))
    return isinstance(value, int | float)


def _against_plain(
    run: RunData, arms: Sequence[Arm]
) -> dict[tuple[int, str, str, str, int], AgainstPlain]:
    if run.manifest.suite.temperature > 0:
        return {}
    probes = probes_of(run)
    plain = [sample for sample in run.samples if sample.arm == arms[0].baseline]
    others = {arm.id for arm in arms if not arm.is_baseline}
    found = {}
    for sample, other in pairs((s for s in run.samples if s.arm in others), plain):
        one = None if other is None else held(sample, other, probes)
        if one is not None:
            found[sample.key] = _told(one)
    return found


def _told(one: Held) -> AgainstPlain:
    margin = one.margin
    return AgainstPlain(
        same=one.same,
        at=one.at,
        margin=None if margin is None else margin.value,
        at_least=margin is not None and margin.at_least,
    )


def lines_of(folder: Path) -> list[str]:
    """The hash of each whole line of a run's samples.jsonl."""
    return [hashlib.sha256(line).hexdigest() for line in _whole(folder / SAMPLES).splitlines()]


def _hash(file: Path) -> str | None:
    """Of the whole lines of a file; None where there is no such file."""
    return hashlib.sha256(_whole(file)).hexdigest() if file.exists() else None


def _whole(file: Path) -> bytes:
    """Without a last line that a kill cut off."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise RunFolderError(f"cannot read {file}: {error.strerror}") from None
    return data[: data.rfind(b"\n") + 1]
