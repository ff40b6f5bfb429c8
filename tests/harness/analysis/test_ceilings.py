from __future__ import annotations

import pytest

from harness.analysis.ceilings import Measured, fits_cache, trial_ceiling
from harness.machine.fingerprint import Gpu
from tests.harness.builders import (
    DRAFT,
    MACHINE,
    MODEL,
    make_arm,
    make_facts,
    make_manifest,
    make_run,
)

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


def of_facts(**facts):
    """The models of a manifest, with other facts of the target."""
    return [
        m.model_copy(update={"facts": make_facts(**facts)}) if m.path == MODEL else m
        for m in make_manifest([], []).models
    ]


def test_mtp_heads_are_read_for_each_token_they_drafted():
    found = ceiling(make_arm("mtp", 4), models=of_facts(mtp_layers=1, mtp_active_bytes=50_000_000))
    assert found.rate == pytest.approx(2.5 * 100e9 / (1e9 + 1e6 + 3 * 0.05e9))


def test_mtp_heads_may_be_in_a_file_of_their_own():
    arm = make_arm("mtp", 4, draft_model=DRAFT)
    assert ceiling(arm).rate == pytest.approx(2.5 * 100e9 / (1e9 + 1e6 + 3 * 0.1e9))


def test_verifying_reads_more_experts():
    models = of_facts(experts=8, experts_used=2, expert_bytes=3_200_000_000)
    # 4 rows, of which each misses an expert with probability 3/4.
    active = 1e9 + 3.2e9 * (1 - 0.75**4) - 0.8e9
    assert ceiling(NGRAM, models=models).rate == pytest.approx(2.5 * 100e9 / (active + 1e6))
    # Plain decoding verifies nothing.
    assert ceiling(PLAIN, models=models).rate == pytest.approx(100e9 / (1e9 + 1e6))
    unknown = ceiling(NGRAM, Measured(100.0, 2.5, None), models=models)
    assert unknown.reason == "drafted tokens not exposed"


@pytest.mark.parametrize("layers", [0, "0"])
def test_no_layer_on_the_gpu_is_the_processors_memory(layers):
    machine = MACHINE.model_copy(update={"gpus": (GPU,)})
    arm = make_arm(options=(("n-gpu-layers", layers),))
    assert ceiling(arm, machine=machine, devices=("CUDA0",)).rate == ceiling(PLAIN).rate
    # Where the draft model lies is another option.
    arm = make_arm("draft-model", 4, options=(("n-gpu-layers", layers),))
    assert "placement" in ceiling(arm, machine=machine, devices=("CUDA0",)).reason
    arm = make_arm("draft-model", 4, options=(("n-gpu-layers", layers), ("spec-draft-ngl", layers)))
    assert ceiling(arm, machine=machine, devices=("CUDA0",)).rate == ceiling(DRAFTED).rate


def test_all_layers_on_the_gpu_is_the_gpus_memory():
    machine = MACHINE.model_copy(update={"gpus": (GPU,)})
    models = of_facts(layers=28, mtp_layers=1)
    whole = ceiling(PLAIN, machine=machine, devices=("CUDA0",), models=models).rate
    for layers in (30, 99, "all", "auto"):
        arm = make_arm(options=(("n-gpu-layers", layers),))
        assert ceiling(arm, machine=machine, devices=("CUDA0",), models=models).rate == whole
    for layers in (29, 1, "some"):  # 28 layers, the MTP layer, and the output matrix
        arm = make_arm(options=(("n-gpu-layers", layers),))
        found = ceiling(arm, machine=machine, devices=("CUDA0",), models=models)
        assert "placement" in found.reason


def test_the_drafts_of_a_chain_are_taken_to_be_free():
    chain = make_arm("ngram-mod+draft-model", 4, draft_model=DRAFT)
    assert ceiling(chain).rate == ceiling(NGRAM).rate


def test_layers_do_not_matter_where_there_is_one_memory():
    arm = make_arm(options=(("n-gpu-layers", 8),))
    assert ceiling(arm, devices=("MTL0: Apple M2",)).rate == ceiling(PLAIN).rate


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
        (
            make_arm(options=(("n-gpu-layers", 8),)),
            MEASURED,
            {"gpus": (GPU,)},
            ("CUDA0",),
            "placement",
        ),
        (make_arm("mtp", 4), MEASURED, {}, (), "MTP heads"),
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


def test_weights_of_unknown_placement_are_not_said_to_fit():
    (runner,) = make_manifest([], []).runners
    arm = make_arm(options=(("n-gpu-layers", 8),))
    manifest = make_manifest(
        [arm],
        [],
        machine=MACHINE.model_copy(update={"last_level_cache_bytes": 10**9, "gpus": (GPU,)}),
        runners=(runner.model_copy(update={"devices": ("CUDA0",)}),),
    )
    assert not fits_cache(manifest, arm)


def test_a_cache_of_unknown_size_leaves_the_ceiling_unknown():
    models = of_facts(kv_bytes_per_token=None)
    assert "KV cache" in ceiling(PLAIN, models=models).reason
    assert "kv_bits is set" in ceiling(make_arm(options=(("kv_bits", 4),))).reason
