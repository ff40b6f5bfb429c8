"""Whether what a model needs finds room in the memory there is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from harness.machine.gpu import Gpu
from harness.machine.nvidia import load_nvml, read_gpus
from harness.machine.this_system import this_system


class Memory(BaseModel):
    """One memory that a model could lie in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    bytes: int
    """What can be had of it now, or all of it where only that is known."""
    is_free: bool
    """Whether `bytes` is what no other program holds."""


class Room(BaseModel):
    """A memory beside what is to go into it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory: Memory
    fits: bool
    spare_bytes: int
    """Negative: so much is lacking."""


def memories_here() -> tuple[Memory, ...]:
    """This machine's memory, and that of each NVIDIA GPU where NVML tells it."""
    main = Memory(name="main memory", bytes=this_system().available_memory_bytes(), is_free=True)
    return (main, *of_gpus(read_gpus(load_nvml())))


def of_gpus(gpus: tuple[Gpu, ...]) -> tuple[Memory, ...]:
    """Each GPU's memory, and that of all of them, over which runners can spread a model."""
    known = [(gpu.name, gpu.memory_bytes) for gpu in gpus if gpu.memory_bytes is not None]
    found = [Memory(name=name, bytes=size, is_free=False) for name, size in known]
    if len(known) > 1:
        total = sum(size for _, size in known)
        found.append(Memory(name=f"all {len(known)} GPUs", bytes=total, is_free=False))
    return tuple(found)


def room_in(memory: Memory, needed: int) -> Room:
    spare = memory.bytes - needed
    return Room(memory=memory, fits=spare >= 0, spare_bytes=spare)
