from __future__ import annotations

import pytest

from harness.analysis.ceilings import (
    Measured,
    UsedBandwidth,
    fits_cache,
    trial_ceiling,
    used_bandwidth,
)
from harness.machine.fingerprint import Gpu
from harness.models.facts import DrafterFacts
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


def test_a_drafter_without_an_output_matrix_reads_its_targets():
    arm = make_arm("eagle", 4, draft_model=DRAFT)
    models = [
        m.model_copy(
            update={
                "facts": m.facts.model_copy(
                    update={"output_bytes": 30_000_000}
                    if m.path == MODEL
                    else {"drafter": DrafterFacts(shares_output=True)}
                )
            }
        )
        for m in make_manifest([], []).models
    ]
    assert ceiling(arm, models=models).rate == pytest.approx(
        2.5 * 100e9 / (1e9 + 1e6 + 3 * (0.1e9 + 0.03e9))
    )
    assert ceiling(arm).rate == pytest.approx(2.5 * 100e9 / (1e9 + 1e6 + 3 * 0.1e9))


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


def test_a_bandwidth_that_is_given_goes_before_all_others():
    manifest = make_manifest([PLAIN], [], bandwidth=50e9)
    assert used_bandwidth(manifest, PLAIN) == UsedBandwidth(50e9, "as it was given")
    assert ceiling(PLAIN, bandwidth=50e9).rate == pytest.approx(50e9 / (1e9 + 1e6))
    measured = make_manifest([PLAIN], [])
    assert used_bandwidth(measured, PLAIN) == UsedBandwidth(100e9, "as it was measured")


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


# ---- the types that other runners hold -----------------------------------------------------------

GPU_MACHINE = MACHINE.model_copy(update={"gpus": (GPU,)})


def held(arm, *, kind="vllm", machine=MACHINE, devices=(), file="F32", **facts):
    """The ceiling under a runner that the suite calls 'mine', of models of the type `file`."""
    arm = arm.model_copy(update={"runner": "mine"})
    (runner,) = make_manifest([], []).runners
    runner = runner.model_copy(update={"name": "mine", "kind": kind, "devices": devices})
    models = [
        m.model_copy(update={"facts": m.facts.model_copy(update={"quantization": file, **facts})})
        for m in make_manifest([], []).models
    ]
    run = make_run([arm], [], machine=machine, runners=(runner,), models=models)
    return trial_ceiling(run, arm, MEASURED)


def with_options(*options, method="none", k=None):
    return make_arm(method, k, options=options)


@pytest.mark.parametrize(
    ("file", "options", "weights", "cache"),
    [
        ("F32", [("dtype", "bfloat16")], 0.5, 1.0),
        ("F32", [("dtype", "half")], 0.5, 1.0),
        ("F32", [("--dtype", "float")], 1.0, 2.0),
        ("BF16", [("dtype", "float32")], 2.0, 2.0),
        ("BF16", [("dtype", "float16")], 1.0, 1.0),
        ("BF16", [("dtype", "auto")], 1.0, 1.0),
        ("F16", [], 1.0, 1.0),
        ("F32", [("dtype", "float32"), ("kv_cache_dtype", "auto")], 1.0, 2.0),
        ("F32", [("dtype", "float32"), ("kv-cache-dtype", "fp8_e5m2")], 1.0, 0.5),
        ("F32", [("dtype", "float32"), ("kv-cache-dtype", "bfloat16")], 1.0, 1.0),
        # Quantized weights stay what they are.
        ("awq", [("dtype", "float32")], 1.0, 2.0),
        ("awq", [], 1.0, 1.0),
    ],
)
def test_vllm_holds_weights_and_cache_in_its_dtype(file, options, weights, cache):
    found = held(with_options(*options), file=file)
    assert found.rate == pytest.approx(100e9 / (weights * 1e9 + cache * 1e6))


def test_vllm_holds_the_draft_model_as_the_target():
    arm = make_arm("draft-model", 4, options=(("dtype", "bfloat16"),))
    assert held(arm).rate == pytest.approx(2.5 * 100e9 / (0.5e9 + 1e6 + 3 * 0.05e9))
    # And the output matrix that a drafter shares.
    arm = make_arm("eagle", 4, draft_model=DRAFT, options=(("dtype", "bfloat16"),))
    shared = {"output_bytes": 30_000_000, "drafter": DrafterFacts(shares_output=True)}
    assert held(arm, **shared).rate == pytest.approx(
        2.5 * 100e9 / (0.5e9 + 1e6 + 3 * (0.05e9 + 0.015e9))
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "the type that vLLM holds F32 weights in is not known: set dtype"),
        ([("dtype", "auto")], "set dtype"),
        ([("dtype", "int3")], "int3"),
        ([("dtype", "half"), ("kv-cache-dtype", "nvfp4")], "nvfp4"),
        ([("dtype", "half"), ("quantization", "fp8")], "quantization is set"),
    ],
)
def test_a_type_that_is_not_known_is_said(options, reason):
    assert reason in held(with_options(*options)).reason


def test_other_runners_keep_the_files_type():
    cache = {"llama.cpp": 1.0, "mlx": 2.0}
    for kind, times in cache.items():
        assert held(PLAIN, kind=kind).rate == pytest.approx(100e9 / (1e9 + times * 1e6))
    for file in ("BF16", "4-bit"):
        assert held(PLAIN, kind="mlx", file=file).rate == pytest.approx(100e9 / (1e9 + 1e6))
    # A run of before builds had names: the runner's name is its kind.
    assert held(PLAIN, kind=None).rate == pytest.approx(100e9 / (1e9 + 1e6))


@pytest.mark.parametrize("method", ["medusa", "dflash", "dspark"])
def test_a_drafter_of_blocks_is_read_once_a_step(method):
    arm = make_arm(method, 4, draft_model=DRAFT)
    assert held(arm, file="F16").rate == pytest.approx(2.5 * 100e9 / (1e9 + 1e6 + 0.1e9))


def test_vllm_puts_all_weights_on_the_gpu_that_it_sees():
    whole = held(PLAIN, machine=GPU_MACHINE, devices=("cuda:0",), file="F16")
    assert whole.rate == pytest.approx(1e12 / (1e9 + 1e6))
    # A build for processors sees none.
    for devices in ((), ("cpu",)):
        found = held(PLAIN, machine=GPU_MACHINE, devices=devices, file="F16")
        assert found.rate == pytest.approx(100e9 / (1e9 + 1e6))
    for size, placed in ((0, True), ("0", True), (4, False), (0.5, False)):
        arm = with_options(("cpu-offload-gb", size))
        found = held(arm, machine=GPU_MACHINE, devices=("cuda:0",), file="F16")
        assert (found.rate == whole.rate) is placed
        assert placed or "cpu-offload-gb" in found.reason


def test_weights_of_an_unknown_type_are_not_said_to_fit():
    (runner,) = make_manifest([], []).runners
    models = of_facts(quantization="F32")
    machine = MACHINE.model_copy(update={"last_level_cache_bytes": 10**9})
    for kind, dtype, fits in (
        ("llama.cpp", "auto", True),
        ("vllm", "auto", False),
        ("vllm", "half", True),
    ):
        manifest = make_manifest(
            [PLAIN],
            [],
            machine=machine,
            runners=(runner.model_copy(update={"kind": kind}),),
            models=models,
        )
        arm = with_options(("dtype", dtype))
        assert fits_cache(manifest, arm) is fits
