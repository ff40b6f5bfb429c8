from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from gguf import GGUFEndian, GGUFReader, GGUFValueType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.models import gguf as module
from harness.models.errors import ModelFileError
from harness.models.gguf import read_header, read_model
from tests.harness.models.gguf_files import dense, write

GIB = 1 << 30


def u32(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def u64(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def start(tensors: int = 0, entries: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + u32(version) + u64(tensors, entries)


def text(value: str) -> bytes:
    return u64(len(value.encode())) + value.encode()


def complaint(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_model(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300 + len(str(path))
    return message


def check_like_the_package(path: Path) -> None:
    ours, theirs = read_header(path), GGUFReader(path)
    assert ours.data_offset == theirs.data_offset
    assert [
        (t.name, list(t.shape), t.type, ours.data_offset + t.offset, t.bytes, t.elements)
        for t in ours.tensors
    ] == [
        (t.name, t.shape.tolist(), t.tensor_type, t.data_offset, t.n_bytes, t.n_elements)
        for t in theirs.tensors
    ]
    fields = {k: f for k, f in theirs.fields.items() if not k.startswith("GGUF.")}
    assert fields.keys() == ours.values.keys() | ours.lengths.keys()
    for key, field in fields.items():
        if field.types[0] == GGUFValueType.ARRAY:
            assert ours.lengths[key] == len(field.data)
            if key in ours.values:
                assert list(ours.values[key]) == field.contents()  # type: ignore[arg-type]
        else:
            assert ours.values[key] == field.contents()


@pytest.mark.parametrize("endian", list(GGUFEndian))
def test_reads_what_the_package_reads(tmp_path: Path, endian: GGUFEndian) -> None:
    path = write(
        tmp_path / "m.gguf",
        dense(3),
        arrays={
            "tokenizer.ggml.tokens": [f"tökën {i}" for i in range(50)],
            "attention.head_count_kv": [2, 0, 2],
            "attention.recurrent_layers": [False, True, False],
            "general.none": ["x"],
        },
        texts={"general.name": "Tiny ünicode", "tokenizer.chat_template": "{{ messages }}" * 500},
        integers={"general.file_type": 7},
        endian=endian,
    )
    header = read_header(path)
    assert header.version == 3
    assert header.values["llama.attention.recurrent_layers"] == (False, True, False)
    assert header.lengths["tokenizer.ggml.tokens"] == 50
    assert "tokenizer.ggml.tokens" not in header.values
    if endian is GGUFEndian.LITTLE:
        long_text = header.values.pop("tokenizer.chat_template")
        assert long_text == ("{{ messages }}" * 500)[: module.LONGEST_TEXT]
        header.values["tokenizer.chat_template"] = "{{ messages }}" * 500
    assert len(header.tensors) == len(dense(3))
    assert header.values["general.name"] == "Tiny ünicode"


@given(
    numbers=st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.integers(0, 2**32 - 1)
    ),
    items=st.lists(st.text(max_size=20), min_size=1, max_size=20),
    texts=st.dictionaries(
        st.from_regex(r"general\.[a-z]{1,8}", fullmatch=True).filter(
            lambda key: key != "general.alignment"
        ),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    ),
    layers=st.integers(1, 3),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_header_reads_as_by_the_package(
    tmp_path: Path,
    numbers: dict[str, int],
    items: list[str],
    texts: dict[str, str],
    layers: int,
) -> None:
    texts.pop("general.architecture", None)
    path = write(
        tmp_path / "m.gguf",
        dense(layers),
        integers=numbers,
        arrays={"tokenizer.ggml.tokens": items, "lengths": [1, -2, 3]},
        texts=texts,
    )
    check_like_the_package(path)


def test_every_scalar_type_of_the_package_is_known() -> None:
    known = set(GGUFValueType) - {GGUFValueType.STRING, GGUFValueType.ARRAY}
    assert set(module._SCALARS) == known
    assert (module._STRING, module._ARRAY) == (GGUFValueType.STRING, GGUFValueType.ARRAY)
    sizes = {k: struct.calcsize(f"<{code}") for k, code in module._SCALARS.items()}
    for kind in known:
        expected = GGUFReader.gguf_scalar_to_np[kind](0).nbytes
        assert sizes[kind] == expected


def test_a_huge_sparse_file_is_read_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    entry = text("general.architecture") + u32(8) + text("llama")
    tensor = text("token_embd.weight") + u32(2) + u64(1 << 20, 1 << 12) + u32(0) + u64(0)
    path.write_bytes(start(1, 1) + entry + tensor)
    with path.open("r+b") as file:
        file.truncate(17 * GIB)
    (found,) = read_header(path).tensors
    assert found.bytes == 16 * GIB


# ---- what is not a model ---------------------------------------------------------------------


def test_missing(tmp_path: Path) -> None:
    assert complaint(tmp_path / "no.gguf").endswith("no.gguf does not exist")
    assert r"nul\x00l does not exist" in complaint(Path("nul\0l"))
    assert "cannot be read" in complaint(tmp_path / ("x" * 5000))


def test_a_folder(tmp_path: Path) -> None:
    assert "is a folder" in complaint(tmp_path)


def test_no_permission(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", dense())
    path.chmod(0)
    try:
        path.open("rb").close()
    except PermissionError:
        assert "Permission denied" in complaint(path)
    else:
        pytest.skip("this user may read everything")


@pytest.mark.parametrize(
    ("content", "shows"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>", r"it starts with b'<!DOCTYPE html><'"),
        (b"\x1b[31mred\n", r"it starts with b'\x1b[31mred\n'"),
        (b"GGU", "it starts with b'GGU'"),
        (b"ggml....", "it starts with b'ggml....'"),
    ],
)
def test_another_kind_of_file(tmp_path: Path, content: bytes, shows: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    assert f"is not a GGUF file: {shows}" in complaint(path)


def test_a_hostile_name_is_written_out(tmp_path: Path) -> None:
    message = complaint(tmp_path / "a\x1b[2J\nb.gguf")
    assert r"a\x1b[2J\nb.gguf" in message


@pytest.mark.parametrize("version", [0, 1, 4, 0x04000000])
def test_unsupported_versions(tmp_path: Path, version: int) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(start(version=version) + bytes(64))
    assert "versions 2 and 3 can be read" in complaint(path)


# ---- cut off -----------------------------------------------------------------------------------


def test_cut_anywhere_it_is_an_error(tmp_path: Path) -> None:
    whole = write(
        tmp_path / "m.gguf", dense(1), arrays={"tokenizer.ggml.tokens": ["a", "bc", "def"]}
    )
    content = whole.read_bytes()
    header = read_header(whole)
    end = max(header.data_offset + t.offset + t.bytes for t in header.tensors)
    cut = tmp_path / "cut.gguf"
    for length in [*range(5, header.data_offset, 7), header.data_offset, end - 1]:
        cut.write_bytes(content[:length])
        assert "is cut off" in complaint(cut), length
    cut.write_bytes(content[:end])
    assert read_header(cut) == header


def test_missing_weights_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", dense())
    header = read_header(path)
    end = max(header.data_offset + t.offset + t.bytes for t in header.tensors)
    with path.open("r+b") as file:
        file.truncate(end - 100)
    assert f"describes {end} bytes, the file has {end - 100}" in complaint(path)


# ---- hostile headers ---------------------------------------------------------------------------

HUGE = (1 << 64) - 1
KEY = text("k")


@pytest.mark.parametrize(
    "content",
    [
        start(tensors=HUGE),
        start(entries=HUGE),
        start(tensors=1 << 30),
        start(entries=1) + u64(HUGE),
        start(entries=1) + u64(1 << 20) + bytes(1 << 20),
        start(entries=1) + KEY + u32(8) + u64(HUGE),
        start(entries=1) + KEY + u32(9, 8) + u64(HUGE),
        start(entries=1) + KEY + u32(9, 8) + u64(2) + u64(HUGE - 8) + bytes(64),
        start(entries=1) + KEY + u32(9, 0) + u64(HUGE),
        start(entries=1) + KEY + u32(9, 9) + u64(1) + bytes(64),
        start(entries=1) + KEY + u32(77) + bytes(64),
        start(entries=2) + (KEY + u32(0) + b"\1") * 2,
        start(entries=1) + text("general.alignment") + u32(4, 0),
        start(entries=1) + text("general.alignment") + u32(4, 24),
        start(entries=1) + text("general.alignment") + u32(8) + text("32"),
        start(tensors=1) + text("t") + u32(HUGE & 0xFFFFFFFF) + bytes(64),
        start(tensors=1) + text("t") + u32(4) + u64(HUGE, HUGE, HUGE, HUGE) + u32(0) + u64(0),
        start(tensors=1) + text("t") + u32(1) + u64(1) + u32(0) + u64(HUGE),
        start(tensors=1) + text("t") + u32(1) + u64(33) + u32(8) + u64(0) + bytes(64),
        start(tensors=1) + text("t") + u32(1) + u64(32) + u32(9999) + u64(0) + bytes(64),
    ],
)
def test_absurd_headers_are_refused_at_once(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    assert str(path) in complaint(path)


def test_endless_strings_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(start(entries=1) + KEY + u32(9, 8) + u64(1 << 28))
    with path.open("r+b") as file:
        file.truncate(4 * GIB)  # room for all of them, were they empty
    assert "an array of 268435456 strings" in complaint(path)


def test_an_unknown_tensor_type_asks_for_a_newer_package(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(start(1) + text("w") + u32(1) + u64(32) + u32(9999) + u64(0) + bytes(64))
    assert "'w' has type 9999" in complaint(path)


@given(at=st.integers(4, 400), byte=st.integers(0, 255))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_byte_is_an_error_or_another_header(tmp_path: Path, at: int, byte: int) -> None:
    path = tmp_path / "m.gguf"
    if not path.exists():
        write(path, dense(1), arrays={"tokenizer.ggml.tokens": ["a", "b"]})
    content = bytearray(path.read_bytes())
    content[at] = byte
    other = tmp_path / "other.gguf"
    other.write_bytes(content)
    with contextlib.suppress(ModelFileError):  # anything else fails the test
        read_header(other)


# ---- split files -------------------------------------------------------------------------------


def split(folder: Path, tensors: list[str], name: str = "m") -> list[Path]:
    whole = dense(2)
    chosen = [{k: v for k, v in whole.items() if k.startswith(part)} for part in tensors]
    return [
        write(
            folder / f"{name}-{number:05}-of-{len(chosen):05}.gguf",
            part,
            integers={"split.count": len(chosen), "split.no": number - 1, "block_count": 2},
        )
        for number, part in enumerate(chosen, 1)
    ]


def test_all_parts_are_read_from_any_of_them(tmp_path: Path) -> None:
    parts = split(tmp_path, ["token", "blk.0", "blk.1", "output"])
    whole = read_model(write(tmp_path / "whole.gguf", dense(2)))
    for part in parts:
        model = read_model(part)
        assert [t.name for t in model.tensors] == [t.name for t in whole.tensors]
        assert sum(t.bytes for t in model.tensors) == sum(t.bytes for t in whole.tensors)
        assert model.values["split.no"] == 0


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    parts = split(tmp_path, ["token", "blk.0", "blk.1"])
    parts[1].unlink()
    message = complaint(parts[0])
    assert "m-00002-of-00003.gguf does not exist: part 2 of the 3" in message


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    parts = split(tmp_path, ["token", "blk.0"])
    parts[1].write_bytes(b"no")
    assert "m-00002-of-00002.gguf is not a GGUF file" in complaint(parts[0])


def test_a_renamed_part_is_refused(tmp_path: Path) -> None:
    parts = split(tmp_path, ["token", "blk.0"])
    renamed = parts[0].rename(tmp_path / "model.gguf")
    assert "one of 2 parts" in complaint(renamed)


def test_a_name_that_claims_endless_parts(tmp_path: Path) -> None:
    path = write(tmp_path / "m-00001-of-99999.gguf", dense())
    assert "part 2 of the 99999" in complaint(path)
    path = write(tmp_path / "m-00001-of-00000.gguf", dense())
    assert read_model(path).tensors
