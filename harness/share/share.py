"""What is shared of a run: one JSON file that holds its row, its footnote and what they come from.

It is a run without answers, logs, commands and places: whoever has the file can compute the row
and the footnote anew, and whoever has the run too can check that it is this run's.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import model_validator

from harness.records import Manifest, Record, Sample

KIND: Literal["decodebench share"] = "decodebench share"
SHARE_VERSION: Literal[1] = 1


class ShareError(Exception):
    """A run cannot be shared, or a file is no share; the text says why and what to do."""


class AgainstPlain(Record):
    """What came of holding an answer against plain's of the same prompt and round."""

    same: bool
    at: int | None = None
    """Index from 0 of the first token that differs; None where only hashes are known."""
    margin: float | None = None
    """By which plain decoding prefers its own token there, in natural logarithms; None: not
    probed."""
    at_least: bool = False
    """The margin is larger still."""


class SharedSample(Record):
    """One request: its figures, and of its answer no more than what came of looking at it."""

    line_sha256: str
    """Of its line in samples.jsonl, without the line end."""
    bursts: int
    """In which the answer arrived."""
    doubts: tuple[str, ...] = ()
    """Names of the rules that it breaks."""
    against_plain: AgainstPlain | None = None
    """None for plain decoding, for requests that failed, and where nothing could be compared."""
    figures: Sample
    """Without text, tokens, bursts, launch and reason."""


class Share(Record):
    """The file. Paths are file names, and names of persons, machines and places are left out."""

    kind: Literal["decodebench share"] = KIND
    share_version: Literal[1] = SHARE_VERSION
    header: str
    """The first two lines of a table in Markdown."""
    row: str
    footnote: str
    interrupted: bool
    """The run was not measured to its end."""
    manifest: Manifest
    """One plain arm and those that are held against it."""
    samples_sha256: str
    """Of the whole lines of the run's samples.jsonl."""
    probes_sha256: str | None
    """Of its probes.jsonl, which the margins come from; None: there is none."""
    samples: tuple[SharedSample, ...]
    seal: str
    """SHA-256 of everything above: `seal_of`."""

    @model_validator(mode="after")
    def _hangs_together(self) -> Share:
        arms = {arm.id for arm in self.manifest.arms}
        plain = {arm.baseline for arm in self.manifest.arms}
        if len(arms) != len(self.manifest.arms) or len(plain) != 1 or not plain <= arms:
            raise ValueError("a share has one plain arm, and arms with names of their own")
        if not {sample.figures.arm for sample in self.samples} <= arms:
            raise ValueError("a sample is of no arm of the share")
        keys = {sample.figures.key for sample in self.samples}
        if len(keys) != len(self.samples):
            raise ValueError("a request is in it twice")
        return self


def seal_of(share: Share) -> str:
    """The hash of all but the seal: of its JSON with sorted keys and no spaces."""
    content = share.model_dump(mode="json", exclude={"seal"})
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def to_json(share: Share) -> str:
    """The file's text: a line for each sample, fields that are not known left out of it."""
    head = share.model_dump(mode="json", exclude={"samples"})
    lines = [
        json.dumps(
            sample.model_dump(mode="json", exclude_none=True, exclude={"figures": {"bursts"}}),
            ensure_ascii=False,
        )
        for sample in share.samples
    ]
    samples = ",\n".join(f"    {line}" for line in lines)
    top = json.dumps(head, indent=2, ensure_ascii=False)
    return f'{top[:-2]},\n  "samples": [\n{samples}\n  ]\n}}\n'
