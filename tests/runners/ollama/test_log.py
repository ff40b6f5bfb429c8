"""The log of `ollama serve`, by lines as its sources write them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from runners.ollama.log import answers_in, child_of, listens_on, remark_of, why

HEAD = "time=2026-11-22T10:00:00.000Z level=INFO source=llama_server.go:410"
STARTED = (
    f'{HEAD} msg="starting llama-server" cmd="/usr/lib/ollama/llama-server --model /m/blobs/x '
    "--port {port} --host 127.0.0.1 --no-webui -c 4096 -np 1 --log-verbosity 4 {more}"
    '--flash-attn auto -b 512 -ub 512"'
)


def written(tmp_path: Path, *lines: str) -> Path:
    log = tmp_path / "log"
    log.write_text("\n".join(lines))
    return log


def test_the_child_that_was_started_last(tmp_path: Path) -> None:
    log = written(
        tmp_path,
        STARTED.format(port=40001, more="--no-jinja --chat-template chatml "),
        "srv load: whatever",
        STARTED.format(port=40002, more="--spec-type draft-mtp --spec-draft-n-max 3 "),
    )
    child = child_of(log)
    assert child is not None
    assert child.address == "http://127.0.0.1:40002"
    assert (child.spec_type, child.draft_tokens, child.templates) == ("draft-mtp", 3, True)
    first = child_of(written(tmp_path, STARTED.format(port=1, more="--no-jinja ")))
    assert first is not None
    assert (first.spec_type, first.draft_tokens, first.templates) == (None, None, False)


def test_logs_without_a_child(tmp_path: Path) -> None:
    assert child_of(tmp_path / "none") is None
    assert child_of(written(tmp_path, f'{HEAD} msg="starting llama-server" cmd="x --port"')) is None
    assert child_of(written(tmp_path, f'{HEAD} msg="starting runner" cmd="y --port 3"')) is None


def test_who_listens(tmp_path: Path) -> None:
    log = written(tmp_path, f'{HEAD} msg="Listening on 127.0.0.1:40123 (version 0.33.0)"')
    assert listens_on(log, 40123)
    assert not listens_on(log, 4012)


def test_why_it_ended(tmp_path: Path) -> None:
    taken = "Error: listen tcp 127.0.0.1:11434: bind: address already in use"
    assert why(written(tmp_path, f'{HEAD} msg="fine"', taken)) == taken.removeprefix("Error: ")
    failed = f'{HEAD.replace("INFO", "ERROR")} msg="llama-server terminated" error="exit status 1"'
    assert why(written(tmp_path, failed)) == "llama-server terminated error=exit status 1"
    assert why(written(tmp_path, f'{HEAD} msg="fine"')) is None


def test_what_is_said_against_drafts(tmp_path: Path) -> None:
    said = "common_speculative_init: draft-mtp is not supported by this context"
    log = written(tmp_path, said, said, "draft acceptance = 0.5 (    1 accepted /     2 generated)")
    assert remark_of(log) == said
    assert remark_of(tmp_path / "none") is None


def test_answers_are_counted(tmp_path: Path) -> None:
    line = "prompt eval time =     123.45 ms /    17 tokens (    7.26 ms per token)"
    assert answers_in(written(tmp_path, line, "eval time = 3 ms", line)) == 2


@settings(max_examples=50)
@given(st.binary(max_size=400))
def test_any_log_can_be_read(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        log.write_bytes(b'msg="starting llama-server" cmd="' + data)
        child_of(log), listens_on(log, 1), why(log), remark_of(log), answers_in(log)
