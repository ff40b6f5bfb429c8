"""Folders that only draft are known by what published ones say of themselves."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import tempfile
import zipfile
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.models.errors import ModelFileError
from harness.models.facts import DrafterFacts, ModelFacts
from harness.models.pytorch import pytorch_tensors
from harness.models.read import read_model_file
from tests.harness.models.folders import Tensors, write
from tests.models.export import Family
from tests.models.shape import EAGLE3_LAYERS, MEDUSA_HEADS, TARGET, VOCABULARY

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "hidden_size": 32,
    "vocab_size": 100,
}
EAGLE: Tensors = {
    "embed_tokens.weight": ("F16", (100, 32)),
    "fc.weight": ("F16", (32, 64)),
    "layers.0.self_attn.k_proj.weight": ("F16", (32, 32)),
}
EAGLE3: Tensors = {
    "d2t": ("F16", (40,)),
    "fc.weight": ("F16", (32, 96)),
    "lm_head.weight": ("F16", (40, 32)),
    "midlayer.self_attn.k_proj.weight": ("F16", (32, 64)),
}
MEDUSA: Tensors = {
    name: ("F16", (32, 32))
    for head in range(3)
    for name in (f"{head}.0.linear.weight", f"{head}.1.weight")
}


def facts(folder: Path, tensors: Tensors, **config: Any) -> ModelFacts:
    folder.mkdir(exist_ok=True)
    return read_model_file(write(folder / "m", LLAMA | config, tensors)).facts


def test_the_tiny_family(family: Family) -> None:
    found = {
        name: read_model_file(getattr(family, name)).facts
        for name in ("eagle_hf", "eagle3_hf", "eagle3_shallow", "medusa_hf")
    }
    assert [f.architecture for f in found.values()] == ["eagle", "eagle3", "eagle3", "medusa"]
    drafters = [f.drafter for f in found.values() if f.drafter is not None]
    assert [drafter.target_width for drafter in drafters] == [TARGET.hidden] * 4
    layers = [drafter.target_layers for drafter in drafters]
    assert layers == [(), EAGLE3_LAYERS, (2, 16, 29), ()]
    assert drafters[1].target_states == len(EAGLE3_LAYERS)
    assert drafters[3].heads == MEDUSA_HEADS
    assert [drafter.shares_output for drafter in drafters] == [True, True, True, False]
    output = VOCABULARY * TARGET.hidden * 4
    assert [f.output_bytes for f in found.values()] == [0, 0, 0, output]
    assert {f.mtp_layers for f in found.values()} == {0}
    for path in (family.qwen3_hf, family.qwen35_mtp_hf, family.draft_hf):
        assert read_model_file(path).facts.drafter is None


@pytest.mark.parametrize(
    ("tensors", "config", "architecture"),
    [
        (EAGLE, {}, "eagle"),
        ({}, {"model_type": "eagle", "architectures": ["EAGLEModel"]}, "eagle"),
        ({}, {"architectures": ["EagleLlamaForCausalLM"]}, "eagle"),
        (EAGLE3, {}, "eagle3"),
        ({}, {"architectures": ["LlamaForCausalLMEagle3"]}, "eagle3"),
        ({}, {"architectures": ["Eagle3Qwen3ForCausalLM"]}, "eagle3"),
        ({}, {"architectures": [], "speculators_model_type": "eagle3"}, "eagle3"),
        (MEDUSA, {"model_type": "medusa", "architectures": ["MedusaModel"]}, "medusa"),
        (MEDUSA, {"model_type": None, "medusa_num_heads": 3}, "medusa"),
        ({}, {"architectures": ["DFlashDraftModel"], "model_type": "qwen3"}, "dflash"),
        ({}, {"architectures": ["Qwen3DSparkModel"]}, "dflash"),
        # Models of their own.
        ({}, {}, None),
        ({}, {"architectures": ["Eagle2_5_VLForConditionalGeneration"]}, None),
        ({"model.fc.weight": ("F16", (32, 64)), **EAGLE}, {}, None),
    ],
)
def test_what_a_folder_drafts_by(
    tmp_path: Path, tensors: Tensors, config: dict[str, Any], architecture: str | None
) -> None:
    norm: Tensors = {"norm.weight": ("F16", (32,))}
    found = facts(tmp_path, tensors or norm, **config)
    assert (found.drafter is None) == (architecture is None)
    assert found.architecture == (architecture or "llama")


def test_sizes_in_a_nested_configuration(tmp_path: Path) -> None:
    config = {"model_type": "eagle", "model": LLAMA}
    folder = write(tmp_path / "m", config, {"norm.weight": ("F16", (32,))})
    assert read_model_file(folder).facts.drafter == DrafterFacts(
        target_width=32, target_layers=(), shares_output=True
    )


@pytest.mark.parametrize(
    ("config", "drafter"),
    [
        ({}, {"target_states": 3}),
        (
            {"eagle_config": {"eagle_aux_hidden_state_layer_ids": [1, 9, 17, 25]}},
            {"target_layers": (1, 9, 17, 25), "target_states": 4},
        ),
        (
            {"eagle_aux_hidden_state_layer_ids": [2, 16, 29], "target_hidden_size": 64},
            {"target_layers": (2, 16, 29), "target_states": 3, "target_width": 64},
        ),
        ({"num_aux_hidden_states": 5}, {"target_states": 5}),
        # gpt-oss-120b-Eagle3-v2 reads the last state alone.
        ({"eagle_config": {"use_aux_hidden_state": False}}, {"target_layers": ()}),
        ({"eagle_aux_hidden_state_layer_ids": ["2", None]}, {"target_states": 3}),
    ],
)
def test_what_an_eagle3_head_reads(
    tmp_path: Path, config: dict[str, Any], drafter: dict[str, Any]
) -> None:
    found = facts(tmp_path, EAGLE3, architectures=["LlamaForCausalLMEagle3"], **config).drafter
    # Of its own tokens, fewer than the target's, it has an output matrix.
    assert found == DrafterFacts(**{"target_width": 32, **drafter})


@pytest.mark.parametrize(
    ("config", "drafter"),
    [
        # Layers are counted from 0 there, so the state behind layer 1 is that of two layers.
        (
            {"block_size": 16, "dflash_config": {"target_layer_ids": [1, 9]}},
            {"target_layers": (2, 10), "block_size": 16},
        ),
        (
            {"speculators_model_type": "dflash", "aux_hidden_state_layer_ids": [2, 10]},
            {"target_layers": (2, 10), "anchor_first": False},
        ),
        (
            {"architectures": ["Qwen3DSparkModel"], "block_size": 7, "markov_rank": 256},
            {"block_size": 7, "markov_head": True},
        ),
    ],
)
def test_blocks(tmp_path: Path, config: dict[str, Any], drafter: dict[str, Any]) -> None:
    tensors: Tensors = {"layers.0.self_attn.k_proj.weight": ("F16", (32, 32))}
    found = facts(tmp_path, tensors, **{"architectures": ["DFlashDraftModel"], **config}).drafter
    assert found == DrafterFacts(**{"target_width": 32, "shares_output": True, **drafter})


def test_a_drafter_reads_no_embedding_for_a_token(tmp_path: Path) -> None:
    found = facts(tmp_path, EAGLE)
    assert found.active_bytes == found.tensor_bytes - 100 * 32 * 2


# ---- heads in PyTorch files ----------------------------------------------------------------------


class Named:
    """Pickled as the object of that name in a module."""

    def __init__(self, name: str) -> None:
        self.name = name


class Tensor:
    """Pickled as PyTorch pickles a tensor."""

    def __init__(self, storage: str, shape: tuple[int, ...]) -> None:
        self.storage, self.shape = storage, shape


class TorchPickler(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Writes the list of tensors of a PyTorch file."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Named):
            module, _, name = obj.name.rpartition(".")
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        elif isinstance(obj, Tensor):
            self.save(Named("torch._utils._rebuild_tensor_v2"))
            self.write(pickle.MARK)
            self.save(("storage", Named(f"torch.{obj.storage}"), "0", "cpu", math.prod(obj.shape)))
            self.write(pickle.BINPERSID)
            for part in (0, obj.shape, (1,), False):
                self.save(part)
            self.save(OrderedDict())
            self.write(pickle.TUPLE + pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


def torch_file(path: Path, content: object) -> Path:
    listed = BytesIO()
    TorchPickler(listed, protocol=2).dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", listed.getvalue())
    return path


def torch_folder(folder: Path, name: str, content: object, **config: Any) -> Path:
    write(folder, LLAMA | config)
    torch_file(folder / name, content)
    return folder


def test_an_eagle_head_in_a_pytorch_file(tmp_path: Path) -> None:
    tensors = OrderedDict(
        {name: Tensor("HalfStorage", shape) for name, (_, shape) in EAGLE.items()}
    )
    folder = torch_folder(tmp_path / "m", "pytorch_model.bin", tensors)
    (folder / "training_args.bin").write_bytes(b"whatever")
    found = read_model_file(folder).facts
    assert (found.format, found.architecture) == ("PyTorch", "eagle")
    same = facts(tmp_path / "other", EAGLE)
    assert found.model_copy(update={"format": "safetensors"}) == same


def test_medusa_heads_in_a_pytorch_file(tmp_path: Path) -> None:
    tensors = {name: Tensor("BFloat16Storage", shape) for name, (_, shape) in MEDUSA.items()}
    folder = torch_folder(tmp_path / "m", "medusa_lm_head.pt", tensors, medusa_num_heads=3)
    found = read_model_file(folder).facts
    assert (found.architecture, found.quantization) == ("medusa", "BF16")
    assert found.drafter is not None
    assert found.drafter.heads == 3


def test_a_pytorch_file_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {mark}",)

    folder = torch_folder(tmp_path / "m", "pytorch_model.bin", {"a": Harm()})
    with pytest.raises(ModelFileError, match="without running it"):
        read_model_file(folder)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q\x00."])
def test_what_is_no_pytorch_file(tmp_path: Path, content: bytes) -> None:
    folder = write(tmp_path / "m", LLAMA)
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelFileError, match="is no PyTorch file"):
        read_model_file(folder)


@given(st.binary(max_size=60))
def test_a_damaged_list_is_said_to_be_one(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.bin"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", content)
        with contextlib.suppress(ModelFileError):
            assert pytorch_tensors(path) == []
