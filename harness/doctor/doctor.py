"""What this machine offers: its hardware, its memory bandwidth, and the runners found on it."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from harness.machine.bandwidth import BandwidthError, measure_read_bandwidth
from harness.machine.fingerprint import Machine, read_machine
from runners.base.contract import Found, Missing, Runner
from runners.base.packaging import Packaging
from runners.base.support import MethodSupport
from runners.llama_cpp.choose import PROGRAM as LLAMA_SERVER
from runners.registry import RUNNERS, make_runner


class RunnerState(BaseModel):
    """One runner as it was found here, or why it was not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    found: bool
    attached: bool = False
    """It talks to a server that already runs, and is not found before one is named."""
    packagings: tuple[Packaging, ...] = ()
    """What it reads of a model, best first."""
    version: str | None = None
    where: str | None = None
    methods: tuple[MethodSupport, ...] = ()
    acceptance_source: str | None = None
    devices: tuple[str, ...] = ()
    reason: str | None = None
    """Why it is missing."""
    advice: str | None = None
    """What to do about that."""


class Diagnosis(BaseModel):
    """All that `bench doctor` tells."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: Machine
    runners: tuple[RunnerState, ...]
    notes: tuple[str, ...] = ()
    """What could not be examined, and why."""


def runners_here() -> dict[str, Runner]:
    """Every kind of runner, and beside the embedded llama.cpp the llama-server found on PATH."""
    here = dict(RUNNERS)
    embedded = importlib.util.find_spec("xllamacpp") is not None
    if embedded and shutil.which(LLAMA_SERVER) is not None:
        here[f"llama.cpp ({LLAMA_SERVER})"] = make_runner("llama.cpp", LLAMA_SERVER)
    return here


def examine(runners: Mapping[str, Runner], *, measure: bool = True) -> Diagnosis:
    """Look at the machine and ask each runner whether it is installed.

    Never fails because of a runner: one whose search goes wrong is missing, for that reason.
    `measure` False leaves out the memory bandwidth, which takes about a second.
    """
    machine = read_machine()
    notes: tuple[str, ...] = ()
    if measure:
        try:
            machine = machine.model_copy(update={"bandwidth": measure_read_bandwidth()})
        except BandwidthError as error:
            notes = (str(error),)
    states = tuple(_state(name, runner) for name, runner in runners.items())
    return Diagnosis(machine=machine, runners=states, notes=notes)


def _find(runner: Runner) -> Found | Missing:
    try:
        return runner.find()
    except Exception as error:
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Missing(
            reason=f"looking for it failed: {what}", advice="check its installation by hand"
        )


def _state(name: str, runner: Runner) -> RunnerState:
    match result := _find(runner):
        case Found():
            return RunnerState(
                name=name,
                found=True,
                attached=runner.attached,
                packagings=runner.packagings,
                version=result.version,
                where=result.where,
                methods=result.methods,
                acceptance_source=result.acceptance_source,
                devices=result.devices,
            )
        case Missing():
            return RunnerState(
                name=name,
                found=False,
                attached=runner.attached,
                packagings=runner.packagings,
                reason=result.reason,
                advice=result.advice,
            )
