"""Holds what a share says against what its samples give, and against the run that it is of."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from pydantic import ValidationError

from harness.run_folder import PROBES, SAMPLES, read_run
from harness.share.footnote import footnote_of
from harness.share.make import lines_of, make_share
from harness.share.row import cells_of, header_of, row_of
from harness.share.share import KIND, SHARE_VERSION, Share, ShareError, seal_of
from harness.share.shared_run import Figures, figures_of


class NotAShareError(ShareError):
    """There is no such file, or it is something else."""


def is_share(path: Path) -> bool:
    """Whether a file is a share, of any version; a damaged one is one too."""
    try:
        return _read(path).get("kind") == KIND
    except ShareError:
        return False


def read_share(path: Path) -> Share:
    """Read a share.

    Raises:
        NotAShareError: there is no such file, it is no share, or one of another version.
        ShareError: a share in which something is not what it should be.
    """
    content = _read(path)
    if content.get("kind") != KIND:
        raise NotAShareError(f"{path} is no share: bench share RUN writes one")
    version = content.get("share_version")
    if version != SHARE_VERSION:
        raise NotAShareError(
            f"{path} is a share of version {version!r}, and this decodebench reads version "
            f"{SHARE_VERSION}"
        )
    try:
        # As JSON: a number where a text belongs is then no text, and the other way round.
        return Share.model_validate_json(json.dumps(content))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise ShareError(f"{place or 'the whole'}: {fault['msg']}") from None


def _read(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise NotAShareError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise NotAShareError(f"{path} is no share: it is no JSON") from None
    if not isinstance(content, dict):
        raise NotAShareError(f"{path} is no share: bench share RUN writes one")
    return content


def fault_of(share: Share, run: Path | None = None) -> str | None:
    """The first thing in which a share is not what its samples, or its run, give; None: nothing.

    Raises:
        RunFolderError: `run` is no run.
        ShareError: `run` has nothing to share.
    """
    try:
        found = _by_itself(share, figures_of(share))
    except ShareError as error:
        return str(error)
    except ArithmeticError as error:  # a size that no number holds
        return f"no figures can be printed of what it holds: {error}"
    if found is None and seal_of(share) != share.seal:
        found = (
            "something in it was changed that neither the row nor the footnote shows: its content "
            "is not what its seal was made of"
        )
    return _against(share, run) if found is None and run is not None else found


def _by_itself(share: Share, figures: Figures) -> str | None:
    if share.header != header_of():
        return "the header is not that of a share's row"
    if share.row != row_of(figures):
        return _row_fault(share.row, cells_of(figures))
    footnote = footnote_of(figures)
    if share.footnote != footnote:
        said, given = _where_they_part(share.footnote, footnote)
        return f"the footnote says {said!r}, the samples and facts give {given!r}"
    return None


def _row_fault(row: str, cells: dict[str, str]) -> str:
    said = row.removeprefix("| ").removesuffix(" |").split(" | ")
    if len(said) == len(cells):
        for told, (name, given) in zip(said, cells.items(), strict=True):
            if told != given:
                return f"{name}: the row says {told!r}, the samples and facts give {given!r}"
    return "the row has other columns than it should"


def _where_they_part(one: str, other: str) -> tuple[str, str]:
    """The first words in which two texts differ, with one before them."""
    said, given = one.split(" "), other.split(" ")
    at = sum(
        1
        for _ in itertools.takewhile(
            lambda pair: pair[0] == pair[1], zip(said, given, strict=False)
        )
    )
    start = max(0, at - 1)
    return " ".join(said[start : at + 3]), " ".join(given[start : at + 3])


def _against(share: Share, folder: Path) -> str | None:
    """The share against one that is made of the run now."""
    run = read_run(folder)
    plain = {arm.id: arm.baseline for arm in run.manifest.arms}
    found = dict(zip(lines_of(folder), (sample.arm for sample in run.samples), strict=True))
    for number, one in enumerate(share.samples, start=1):
        if one.line_sha256 not in found:
            return f"sample {number} of it is no line of {folder / SAMPLES}"
    made = make_share(folder, plain[found[share.samples[0].line_sha256]])
    if made.samples_sha256 != share.samples_sha256:
        return f"{folder / SAMPLES} is not the one that it was made of: lines were added or moved"
    if made.probes_sha256 != share.probes_sha256:
        return f"{folder / PROBES} is not the one that it was made of"
    for number, (one, other) in enumerate(zip(share.samples, made.samples, strict=False), start=1):
        if one != other:
            return f"sample {number} of it says other things than its line in {folder / SAMPLES}"
    if made != share:
        return f"what it says beside the samples is not what {folder} says"
    return None
