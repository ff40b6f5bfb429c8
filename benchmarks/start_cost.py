"""What starting and probing one configuration costs, beyond loading the model.

Both builds of llama.cpp start the tiny trained models, which load in milliseconds: what is left is
the price of a process, of its readiness and of the probe. Run from the project's folder, on a
quiet machine: `python -m benchmarks.start_cost`.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from runners.base.contract import LaunchSpec
from runners.base.speculation import Speculation
from runners.registry import make_runner
from tests.live.builds import llama_server
from tests.models.export import export

STARTS = 9


async def seconds(program: str | None, spec: LaunchSpec, folder: Path) -> list[float]:
    """From the call to a server that has answered its probe; the first start warms the caches."""
    runner = make_runner("llama.cpp", program)
    found = []
    for number in range(STARTS + 1):
        begun = time.perf_counter()
        server = await runner.start(spec, folder / f"{number}.log", 60)
        found.append(time.perf_counter() - begun)
        await server.stop()
    return found[1:]


async def main() -> None:
    binary = llama_server()
    with tempfile.TemporaryDirectory() as name:
        family = export(Path(name) / "family")
        specs = {
            "plain": LaunchSpec(family.qwen3, context=1024),
            "draft-model k=3": LaunchSpec(
                family.qwen3, Speculation("draft-model", 3, family.draft), context=1024
            ),
            "mtp k=3": LaunchSpec(family.qwen35_mtp, Speculation("mtp", 3), context=1024),
        }
        for build, program in (("embedded", None), ("llama-server", binary and str(binary))):
            if build == "llama-server" and program is None:
                print("llama-server is not installed: make runners")
                continue
            for what, spec in specs.items():
                took = await seconds(program, spec, Path(name))
                middle = statistics.median(took)
                print(f"{build:13} {what:16} median {middle:.2f} s, longest {max(took):.2f} s")


if __name__ == "__main__":
    asyncio.run(main())
