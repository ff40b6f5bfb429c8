"""Kinds of hardware, as far as published figures tell them apart."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from harness.analysis.ceilings import on_processor
from harness.records import Arm, Manifest

APPLE_NAMES = ("Apple ",)
MEMORY_NAMES = ("DDR", "LPDDR")
OTHER_NAMES = ("Radeon", "Instinct", "Ryzen", "Arc", "AMD", "Intel")


class Kind(Enum):
    """The value is what a sentence calls it."""

    NVIDIA = "GPUs of NVIDIA"
    APPLE = "Apple chips"
    PROCESSOR = "processors"
    OTHER = "hardware of another kind"


def kind_of_card(name: str) -> Kind:
    """Of a name of the table of hardware; what is none of the others there is NVIDIA's."""
    if name.startswith(APPLE_NAMES):
        return Kind.APPLE
    if name.startswith(MEMORY_NAMES):
        return Kind.PROCESSOR
    return Kind.OTHER if name.startswith(OTHER_NAMES) else Kind.NVIDIA


def kind_of_run(manifest: Manifest, arm: Arm) -> Kind:
    """Of what the arm ran on."""
    if on_processor(manifest, arm):
        return Kind.PROCESSOR
    return _of_gpus(gpu.name for gpu in manifest.machine.gpus)


def _of_gpus(names: Iterable[str]) -> Kind:
    kinds = {
        Kind.APPLE
        if name.startswith(APPLE_NAMES)
        else Kind.NVIDIA
        if "nvidia" in name.lower()
        else Kind.OTHER
        for name in names
    }
    return kinds.pop() if len(kinds) == 1 else Kind.OTHER
