from __future__ import annotations

from harness.inspection.room import memories_here, of_gpus, room_in
from harness.machine.gpu import Gpu


def gpu(name: str, size: int | None) -> Gpu:
    return Gpu(name=name, memory_bytes=size, bandwidth_bytes_per_s=None)


def test_the_main_memory_is_the_first() -> None:
    main = memories_here()[0]
    assert (main.name, main.is_free) == ("main memory", True)
    assert main.bytes > 0


def test_gpus_by_themselves_and_together() -> None:
    found = of_gpus((gpu("A", 24), gpu("B", 16), gpu("silent", None)))
    assert [(memory.name, memory.bytes) for memory in found] == [
        ("A", 24),
        ("B", 16),
        ("all 2 GPUs", 40),
    ]
    assert not any(memory.is_free for memory in found)
    assert [memory.name for memory in of_gpus((gpu("A", 24),))] == ["A"]
    assert of_gpus(()) == ()


def test_what_needs_all_of_it_fits() -> None:
    (memory,) = of_gpus((gpu("A", 24),))
    assert [room_in(memory, needed).fits for needed in (23, 24, 25)] == [True, True, False]
    assert room_in(memory, 30).spare_bytes == -6
