"""A run over three runners of one model, for tests of whatever sets them side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.records import Arm, RunnerInfo, Sample
from harness.run_folder import RunData
from tests.harness.builders import (
    DRAFT,
    MODEL,
    PLAIN_TOKENS,
    make_arm,
    make_facts,
    make_launch,
    make_manifest,
    make_probe,
    make_run,
    make_samples,
)

PROMPTS = ("p1", "p2")
NOISE = (0.98, 1.0, 1.02)

PLAIN, DRAFTED = make_arm(), make_arm("draft-model", 2)
"""The first runner's."""


def beside(arm: Arm, runner: str) -> Arm:
    """The same setting of another runner, with its own packaging of the models."""
    return arm.model_copy(
        update={
            "id": f"{runner}-{arm.id}",
            "runner": runner,
            "baseline": f"{runner}-{PLAIN.id}",
            "counterpart": arm.id,
            "model": f"models/target-{runner}",
            "draft_model": f"models/draft-{runner}" if arm.draft_model else None,
        }
    )


MLX, MLX_DRAFTED = beside(PLAIN, "mlx"), beside(DRAFTED, "mlx")
VLLM, VLLM_DRAFTED = beside(PLAIN, "vllm"), beside(DRAFTED, "vllm")
ARMS = (PLAIN, DRAFTED, MLX, MLX_DRAFTED, VLLM, VLLM_DRAFTED)
RATES = {
    PLAIN.id: 100.0,
    DRAFTED.id: 140.0,
    MLX.id: 50.0,
    MLX_DRAFTED.id: 60.0,
    VLLM.id: 100.0,
    VLLM_DRAFTED.id: 98.0,
}


def parted(at: int) -> tuple[int, ...]:
    """Plain's tokens with another one at `at`."""
    return (*PLAIN_TOKENS[:at], -1, *PLAIN_TOKENS[at + 1 :])


def answers(
    arm: Arm,
    *,
    rounds: int = 3,
    change: Callable[[Sample], dict[str, object]] = lambda _: {},
    **of_all: object,
) -> list[Sample]:
    """An answer to each prompt in each round, at about the arm's rate."""
    count = rounds * len(PROMPTS)
    # The luck of a sample is its own, so that ratios have an interval.
    shift = ARMS.index(arm)
    rates = [RATES[arm.id] * NOISE[(index * (1 + shift % 2) + shift) % 3] for index in range(count)]
    return [
        sample.model_copy(update={**of_all, **change(sample)})
        for sample in make_samples(arm, rates, prompts=PROMPTS)
    ]


def runner_info(name: str, **changes: object) -> RunnerInfo:
    (info,) = make_manifest([], []).runners
    return info.model_copy(update={"name": name, "kind": name, **changes})


def runners_run(
    arms: Sequence[Arm] = ARMS, samples: Sequence[Sample] | None = None, **changes: object
) -> RunData:
    """Three runners; `changes` as those of `make_run`."""
    target, draft = make_manifest([], []).models
    facts = {"llama.cpp": "Q8_0", "mlx": "BF16", "vllm": "BF16"}
    models = [
        model.model_copy(update={"path": path, "facts": make_facts(quantization=facts[runner])})
        for runner in facts
        for model, path in (
            (target, MODEL if runner == "llama.cpp" else f"models/target-{runner}"),
            (draft, DRAFT if runner == "llama.cpp" else f"models/draft-{runner}"),
        )
    ]
    starts = {"llama.cpp": 0.5, "mlx": 2.0, "vllm": 40.0}
    values: dict[str, object] = {
        "runners": tuple(map(runner_info, facts)),
        "models": tuple(models),
        "launches": [
            make_launch(arm, n, start_s=starts[arm.runner] * n) for arm in arms for n in (1, 2, 3)
        ],
    }
    if samples is None:
        samples = [sample for arm in arms for sample in answers(arm)]
    return make_run(arms, samples, **{**values, **changes})  # type: ignore[arg-type]


def near_tie_run() -> RunData:
    """mlx parts from llama.cpp's text on p2, at token 36, where two tokens are nearly tied."""
    plain = answers(PLAIN)
    other = answers(MLX, change=lambda s: {"tokens": parted(36)} if s.prompt == "p2" else {})
    return runners_run(
        (PLAIN, MLX), [*plain, *other], probes=[make_probe(plain[1], 36, -0.70, -0.73)]
    )


def other_prompts_run() -> RunData:
    """To vllm p2 is longer, and its answer is another one."""
    other = answers(
        VLLM,
        change=lambda s: {"tokens": parted(3), "prompt_tokens": 44} if s.prompt == "p2" else {},
    )
    return runners_run((PLAIN, MLX, VLLM), [*answers(PLAIN), *answers(MLX), *other])
