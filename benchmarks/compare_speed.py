"""How long `bench compare` and `bench gate` take over two runs of 100,000 samples each, and the
memory that they need.

The runs are made up: two arms on two workloads of 25 prompts, 1,000 rounds, answers of 64 tokens
with their text, token ids and bursts, about 2.4 kB a sample. The real command runs in a process of
its own. Run from the project's folder, on a quiet machine: `python -m benchmarks.compare_speed`.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.records import Arm, Manifest
from harness.run_folder import LAUNCHES, MANIFEST, SAMPLES, SESSIONS
from tests.harness.builders import make_arm, make_manifest, make_sample

ROUNDS = 1_000
PROMPTS = 25
WORKLOADS = ("coding", "prose")
TOKENS = 64
ARMS = (make_arm(), make_arm("ngram-mod", 4))

# The second process is a fork of the first: what both have in common is counted twice.
PEAK = """
import resource, sys
from harness.cli.__main__ import app
try:
    app()
finally:
    beside = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    sys.stderr.write(f"beside: {beside} kB\\n")
    with open("/proc/self/status") as status:
        sys.stderr.write("".join(line for line in status if line.startswith("VmHWM")))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / side for side in ("monday", "tuesday")]
        for number, folder in enumerate(folders):
            count = write_run(folder, random.Random(number))
            size = (folder / SAMPLES).stat().st_size
            print(f"{folder.name}: {count:,} samples, {size / 1e6:.0f} MB")
        before, after = map(str, folders)
        show("compare", before, after)
        show("gate", "--baseline", before, "--candidate", after)


def write_run(folder: Path, rng: random.Random) -> int:
    """Returns how many samples it has."""
    folder.mkdir()
    (folder / MANIFEST).write_text(manifest().model_dump_json(), "utf-8")
    (folder / LAUNCHES).touch()
    (folder / SESSIONS).touch()
    count = 0
    with (folder / SAMPLES).open("w", encoding="utf-8") as file:
        for number in range(1, ROUNDS + 1):
            luck = rng.gauss(0, 0.07)
            for arm in ARMS:
                for workload in WORKLOADS:
                    for prompt in range(PROMPTS):
                        rate = 50 * (1 + luck + rng.gauss(0, 0.065))
                        one = line(
                            arm, number, workload, prompt, sequence=count, rate=rate, rng=rng
                        )
                        file.write(one)
                        count += 1
    return count


def manifest() -> Manifest:
    """Of a run that is planned as long as it is."""
    samples = [
        make_sample(ARMS[0], workload=workload, prompt=f"prompt-{prompt}", round=ROUNDS)
        for workload in WORKLOADS
        for prompt in range(PROMPTS)
    ]
    return make_manifest(ARMS, samples)


def line(
    arm: Arm,
    number: int,
    workload: str,
    prompt: int,
    *,
    sequence: int,
    rate: float,
    rng: random.Random,
) -> str:
    """One sample as the sweep writes it, of an answer that does not repeat itself."""
    step = 1 / rate
    sample = {
        "arm": arm.id,
        "round": number,
        "workload": workload,
        "prompt": f"prompt-{prompt}",
        "max_tokens": 128,
        "launch": f"r{number}-{arm.id}",
        "sequence": sequence,
        "started_at": "2026-11-22T11:32:08.776+00:00",
        "status": "ok",
        "prompt_tokens": 315,
        "cached_tokens": 0,
        "output_tokens": TOKENS,
        "finish_reason": "length",
        "wall_s": 0.1 + TOKENS * step,
        "ttft_s": round(0.1 * rng.uniform(0.9, 1.1), 6),
        "decode_s": round((TOKENS - 1) * step, 6),
        "first_burst_tokens": 1,
        "decode_rate": rate,
        "tpot_s": step,
        "bursts": [[round(index * step, 6), 1] for index in range(TOKENS)],
        "runner_prefill_s": 0.09,
        "runner_decode_s": round((TOKENS - 1) * step, 6),
        "runner_decode_rate": rate,
        "drafted": 96 if arm.draft_tokens else None,
        "accepted": 48 if arm.draft_tokens else None,
        "steps": 33 if arm.draft_tokens else None,
        "text": " ".join(f"word{rng.randrange(1000)}" for _ in range(TOKENS)),
        "text_sha256": f"{prompt:064x}",
        "tokens": [rng.randrange(49_000) for _ in range(TOKENS)],
        "machine_cpu_s": 2.0,
        "runner_cpu_s": 1.98,
        "runner_peak_memory": 1_200_000_000,
    }
    told = {key: value for key, value in sample.items() if value is not None}
    return json.dumps(told, separators=(",", ":")) + "\n"


def show(*command: str) -> None:
    """Run it and print what it took."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *command], capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - begun
    peak = re.search(r"VmHWM:\s*(\d+) kB", done.stderr)
    beside = re.search(r"beside: (\d+) kB", done.stderr)
    sizes = [f"{int(found[1]) * 1024 / 1e6:.0f} MB" for found in (peak, beside) if found]
    memory = " + ".join(sizes)
    print(f"bench {command[0]}: {took:.1f} s, {memory} at most, exit status {done.returncode}")
    if done.returncode == 2 or peak is None:
        print(done.stdout, done.stderr, sep="\n")


if __name__ == "__main__":
    main()
