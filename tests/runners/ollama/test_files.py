"""Model files: their hashes, their links, and the kind of a draft."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runners.base.contract import StartError
from runners.ollama.files import architecture_of, digest_of, files_of
from runners.ollama.store import Store
from tests.models.export import Family
from tests.runners.ollama.conftest import gguf


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_hash_is_kept_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"one")
    assert digest_of(path) == f"sha256:{hashlib.sha256(b'one').hexdigest()}"
    state = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert digest_of(path) == f"sha256:{hashlib.sha256(b'one').hexdigest()}"
    path.write_bytes(b"three")
    assert digest_of(path) == f"sha256:{hashlib.sha256(b'three').hexdigest()}"
    with pytest.raises(StartError, match="cannot be read"):
        digest_of(tmp_path / "none")


def test_a_store_holds_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"model")
    store = Store(tmp_path / "logs" / "1.log")
    store.place(path, "sha256:00ff")
    store.place(path, "sha256:00ff")
    blob = store.folder / "blobs" / "sha256-00ff"
    assert blob.samefile(path)
    store.clear()
    store.clear()
    assert (store.folder.exists(), path.read_bytes()) == (False, b"model")

    def another_disk(*_: object) -> None:
        raise OSError("cross-device link")

    monkeypatch.setattr(os, "link", another_disk)
    store.place(path, "sha256:00ff")
    assert blob.is_symlink()
    assert blob.samefile(path)
    store.clear()
    assert path.is_file()


def test_split_models(tmp_path: Path) -> None:
    names = [f"m-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    assert [path.name for path in files_of(tmp_path / names[1])] == names
    assert files_of(tmp_path / "m.gguf") == (tmp_path / "m.gguf",)


def test_architectures(tmp_path: Path, family: Family) -> None:
    assert architecture_of(gguf(tmp_path / "d.gguf", "dflash")) == "dflash"
    assert architecture_of(family.qwen35_mtp) == "qwen35"
    assert architecture_of(tmp_path / "none") is None


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_anything_can_be_asked_for_its_architecture(data: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(b"GGUF\x03\0\0\0" + data)
        file.flush()
        assert architecture_of(Path(file.name)) is None or b"general.architecture" in data
