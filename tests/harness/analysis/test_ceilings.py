from __future__ import annotations

import pytest

from harness.analysis.ceilings import Measured, fits_cache, trial_ceiling
from harness.machine.fingerprint import Gpu
from tests.harness.builders import DRAFT, MACHINE, make_arm, make_manifest, make_run

PLAIN = make_arm()
NGRAM = make_arm("ngram-mod", 4)
DRAFTED = make_arm("draft-model", 4)
MEASURED = Measured(depth=100.0, acceptance_length=2.5, drafted_per_step=3.0)
GPU = Gpu(name="A GPU", memory_bytes=None, bandwidth_bytes_per_s=1e12)


def ceiling(arm, measured=MEASURED, *, machine=MACHINE, devices=("CPU: A Processor",), **changes):
    (runner,) = make_manifest([], []).runners
    run = make_run(
        [arm],
        [],
        machine=machine,
        runners=(runner.model_copy(update={"devices": devices}),),
        **changes,
    )
    return trial_ceiling(run, arm, measured)


def test_plain_reads_the_weights_and_the_cache_for_each_token():
    # 100 GB/s over 1 GB of weights and 100 tokens of 10 kB each.
    assert ceiling(PLAIN).rate == pytest.approx(100e9 / (1e9 + 1e6))


def test_speculation_yields_tau_tokens_for_each_reading():
    assert ceiling(NGRAM).rate == pytest.approx(2.5 * 100e9 / (1e9 + 1e6))


def test_a_draft_model_is_read_for_each_token_it_drafted():
    # 3 drafts a step of 0.1 GB each, though k is 4.
    assert ceiling(DRAFTED).rate == pytest.approx(2.5 * 100e9 / (1e9 + 1e6 + 3 * 0.1e9))


def test_a_smaller_cache_type_is_counted():
    arm = make_arm(options=(("cache-type-k", "q8_0"), ("cache-type-v", "q8_0")))
    assert ceiling(arm).rate == pytest.approx(100e9 / (1e9 + 1e6 * 34 / 64))


def test_a_gpu_brings_its_own_bandwidth():
    machine = MACHINE.model_copy(update={"gpus": (GPU,)})
    fast = ceiling(PLAIN, machine=machine, devices=("CUDA0: A GPU",))
    assert fast.rate == pytest.approx(1e12 / (1e9 + 1e6))
    # A runner that cannot use it reads the processor's memory.
    assert ceiling(PLAIN, machine=machine).rate == ceiling(PLAIN).rate
    # Metal without a GPU of its own memory shares the processor's.
    assert ceiling(PLAIN, devices=("MTL0: Apple M2",)).rate == ceiling(PLAIN).rate


@pytest.mark.parametrize(
    ("arm", "measured", "update", "devices", "reason"),
    [
        (PLAIN, MEASURED, {"bandwidth": None}, (), "not measured"),
        (PLAIN, MEASURED, {"gpus": (GPU, GPU)}, ("CUDA0",), "spread"),
        (
            PLAIN,
            MEASURED,
            {"gpus": (GPU.model_copy(update={"bandwidth_bytes_per_s": None}),)},
            ("CUDA0",),
            "GPU",
        ),
        (PLAIN, Measured(None, 2.5, 3.0), {}, (), "token counts"),
        (NGRAM, Measured(100.0, None, 3.0), {}, (), "acceptance length"),
        (NGRAM, Measured(100.0, 0.5, 3.0), {}, (), "contradict"),
        (DRAFTED, Measured(100.0, 2.5, None), {}, (), "drafted tokens"),
        (DRAFTED, Measured(100.0, 9.0, 3.0), {}, (), "contradict"),
        (make_arm(options=(("cache-type-k", "q9"),)), MEASURED, {}, (), "q9"),
        (make_arm(model=None), MEASURED, {}, (), "reads no model"),
        (make_arm(model="missing.gguf"), MEASURED, {}, (), "model's header"),
    ],
)
def test_what_is_missing_is_said(arm, measured, update, devices, reason):
    found = ceiling(arm, measured, machine=MACHINE.model_copy(update=update), devices=devices)
    assert found.rate is None
    assert reason in found.reason


def test_a_draft_model_without_a_header_is_said():
    models = [m for m in make_manifest([], []).models if m.path != DRAFT]
    assert "draft model's header" in ceiling(DRAFTED, models=models).reason


@pytest.mark.parametrize(
    ("update", "devices", "fits"),
    [
        ({"last_level_cache_bytes": 10**9}, (), True),
        ({"last_level_cache_bytes": 10**9 - 1}, (), False),
        ({"last_level_cache_bytes": None}, (), False),
        ({"last_level_cache_bytes": 10**9, "gpus": (GPU,)}, ("CUDA0",), False),
    ],
)
def test_weights_that_fit_the_cache_are_told(update, devices, fits):
    (runner,) = make_manifest([], []).runners
    manifest = make_manifest(
        [PLAIN],
        [],
        machine=MACHINE.model_copy(update=update),
        runners=(runner.model_copy(update={"devices": devices}),),
    )
    assert fits_cache(manifest, PLAIN) is fits
