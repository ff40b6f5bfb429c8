"""Text that tries to break out of every format, and a run that is full of it."""

from __future__ import annotations

from harness.records import Arm, ModelInfo, PromptInfo, RunnerInfo, Sample
from harness.run_folder import RunData
from tests.harness.builders import (
    make_arm,
    make_facts,
    make_launch,
    make_probe,
    make_run,
    make_samples,
)

HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> | `code` ``` [a](javascript:b) "
    "**bold** ~~gone~~ $x$ @user https://evil.example www.evil.example &lt; \\| --> ]]> "
    "{{ 7*7 }} {% raw %} \x1b[31mred\x1b[0m\x07\r\n# heading\n- item\n```\nout of the fence "
    "\u202ereversed\u2028line\ud800 [bold]markup[/bold] τ 漢字"
)


def hostile_arm(method: str = "none", draft_tokens: int | None = None) -> Arm:
    return make_arm(
        method,
        draft_tokens,
        runner=HOSTILE,
        model=f"dir/{HOSTILE}",
        options=((HOSTILE, f"={HOSTILE}"),),
    )


def hostile_run() -> RunData:
    """Every text that a runner, a file or a user could have written is hostile."""
    plain, fast, broken = hostile_arm(), hostile_arm("ngram-mod", 4), hostile_arm("mtp", 2)

    def spoil(sample: Sample) -> Sample:
        return sample.model_copy(
            update={
                "text": HOSTILE,
                # The two arms part at the first token.
                "tokens": (7, 8, 9) if sample.arm == plain.id else (6, 8, 9),
                "status": "failed" if sample.round == 4 else "ok",
                "reason": HOSTILE if sample.round == 4 else None,
            }
        )

    samples = [
        *make_samples(plain, [50.0, 49.0, 51.0, 50.0], workload=HOSTILE, change=spoil),
        *make_samples(fast, [70.0, 71.0, 72.0, 70.0], workload=HOSTILE, change=spoil),
    ]
    return make_run(
        [plain, fast, broken],
        samples,
        probes=[make_probe(samples[0], 0, workload=HOSTILE, arm=plain.id, reason=HOSTILE)],
        launches=[
            make_launch(plain, command=HOSTILE),
            make_launch(fast, command=HOSTILE, remark=HOSTILE, disagreement=HOSTILE),
            make_launch(broken, status="failed", reason=HOSTILE, command=HOSTILE),
        ],
        prompts=(PromptInfo(workload=HOSTILE, id="p1", kind=HOSTILE, sha256="00"),),
        runners=(
            RunnerInfo(
                name=HOSTILE,
                version=HOSTILE,
                where=HOSTILE,
                acceptance_source=HOSTILE,
                devices=(HOSTILE,),
            ),
        ),
        models=(
            ModelInfo(
                path=f"dir/{HOSTILE}",
                sha256="00",
                size=1,
                facts=make_facts(name=HOSTILE, quantization=HOSTILE),
            ),
        ),
    )
