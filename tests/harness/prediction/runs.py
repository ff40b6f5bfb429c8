"""Runs with known acceptance, for tests of what is predicted from them."""

from __future__ import annotations

from collections.abc import Sequence

from harness.records import Arm, Sample
from harness.run_folder import RunData
from tests.harness.builders import make_arm, make_run, make_sample

PROMPTS = ("p1", "p2", "p3", "p4")


def drafting_sample(arm: Arm, accepted: Sequence[int], steps: int, **changes: object) -> Sample:
    """A sample of `steps` decode steps; each of them drafts as many as the arm may."""
    tokens = steps + sum(accepted)
    rate = 50.0 * tokens / steps
    values = {
        "output_tokens": tokens + 1,
        "steps": steps + 1,
        "decode_s": tokens / rate,
        "decode_rate": rate,
        "tpot_s": 1 / rate,
        "drafted": steps * (arm.draft_tokens or 0),
        "accepted": sum(accepted),
        "accepted_per_position": tuple(accepted),
        "max_tokens": 512,
        "tokens": None,
    }
    return make_sample(arm, **{**values, **changes})


def drafting_run(draft_tokens: Sequence[int] = (1, 2, 4), method: str = "draft-model") -> RunData:
    """Plain at 50 tok/s and drafts of 100 MB a token; two rounds of four prompts.

    Rates by position are 0.8, 0.6, 0.3, 0.2.
    """
    shares = (0.8, 0.6, 0.3, 0.2)
    arms = [make_arm(), *(make_arm(method, k) for k in draft_tokens)]
    samples = []
    for number in (1, 2):
        for index, prompt in enumerate(PROMPTS):
            of_sample = {"round": number, "prompt": prompt}
            for arm in arms:
                launch = f"r{number}-{arm.id}"
                if arm.draft_tokens is None:
                    sample = make_sample(arm, **of_sample, max_tokens=512, launch=launch)
                else:
                    # Prompts differ; their mean does not.
                    off = 10 * (index - 1.5) / 1.5
                    accepted = [round(100 * share + off) for share in shares[: arm.draft_tokens]]
                    sample = drafting_sample(arm, accepted, 100, **of_sample, launch=launch)
                samples.append(sample)
    return make_run(arms, samples)
