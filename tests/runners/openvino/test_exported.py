from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from runners.openvino import exported as exported_module
from runners.openvino.exported import MODEL, exported, exported_for_now

EXPORTS = f"""
import sys, pathlib
model = pathlib.Path(sys.argv[2])
assert sys.argv[1] == "--export"
(model.parent / "{MODEL}").write_text(model.read_text() + "!")
"""
FAILS = "import sys; sys.exit('E no such architecture')"


@pytest.fixture
def draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "draft.gguf"
    path.write_text("weights")
    return path


def child(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(exported_module, "command", lambda: [sys.executable, "-c", code])


def test_export_is_made_once_and_not_beside_the_users_file(
    draft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(monkeypatch, EXPORTS)
    folder = exported(draft, "1")
    assert (folder / MODEL).read_text() == "weights!"
    assert [path.name for path in folder.iterdir()] == [MODEL]
    assert list(draft.parent.iterdir()) == [draft]
    child(monkeypatch, FAILS)
    assert exported(draft, "1") == folder
    assert list(folder.parent.iterdir()) == [folder]


def test_export_for_now_is_gone_afterwards(draft: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, EXPORTS)
    with exported_for_now(draft) as folder:
        assert (folder / MODEL).read_text() == "weights!"
    assert not list(folder.parent.iterdir())


def test_what_a_killed_launch_has_left_goes_with_the_next_export(
    draft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(monkeypatch, EXPORTS)
    with exported_for_now(draft) as held:
        left = held.with_name("unfinished-left")
        young = held.with_name("unfinished-young")
        for folder in (left, young):
            folder.mkdir()
            (folder / MODEL).write_text("half a model")
        for folder in (left, held):
            os.utime(folder, (0, 0))
        with exported_for_now(draft):
            assert not left.exists()
            assert young.exists()
            assert (held / MODEL).exists()


def test_another_file_or_version_is_another_export(
    draft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(monkeypatch, EXPORTS)
    folders = {exported(draft, "1"), exported(draft, "2")}
    draft.write_text("other weights")
    folders.add(exported(draft, "2"))
    assert len(folders) == 3


def test_failed_export_says_why_and_leaves_nothing(
    draft: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    child(monkeypatch, FAILS)
    with pytest.raises(RuntimeError, match=r"cannot export .*: no such architecture"):
        exported(draft, "1")
    child(monkeypatch, "")
    with pytest.raises(RuntimeError, match="exit status 0"):
        exported(draft, "1")
    with pytest.raises(RuntimeError, match=r"cannot export .*none"):
        exported(tmp_path / "none.gguf", "1")
    assert not list((tmp_path / "cache").glob("*/*/*"))
