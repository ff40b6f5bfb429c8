"""Users' question files: what is understood, and how what is wrong is said."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workloads.prompts import Message, Workload, WorkloadError, load, names

HUMAN_EVAL = {
    "task_id": "HumanEval/7",
    "prompt": 'def double(number: int) -> int:\n    """Return twice the number."""\n',
    "entry_point": "double",
    "canonical_solution": "    return 2 * number\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
}
MT_BENCH = {
    "question_id": 81,
    "category": "writing",
    "turns": ["Describe a harbour at dawn.", "Now as a list of sounds."],
    "reference": ["", ""],
}
SPEC_BENCH = {"question_id": 201, "category": "summarization", "turns": ["Summarise: it rained."]}

texts = st.text(min_size=1, max_size=40).filter(lambda text: text.strip() != "")


def write(folder: Path, *lines: object, name: str = "mine.jsonl") -> str:
    path = folder / name
    raw = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(raw) + "\n", encoding="utf-8")
    return str(path)


def error_of(path: str) -> str:
    with pytest.raises(WorkloadError) as caught:
        load(path)
    message = str(caught.value)
    assert message.count("\n") <= 1
    return message


def test_the_shortest_own_form(tmp_path: Path) -> None:
    workload = load(
        write(tmp_path, {"prompt": "Tell me a story."}, "", {"prompt": "And one more."})
    )
    assert workload.name == "mine.jsonl"
    first, second = workload.prompts
    assert (first.id, first.kind, first.length) == ("1", "prompt", None)
    assert first.messages == (Message("user", "Tell me a story."),)
    assert second.id == "3"  # the line's number, blank lines counted
    assert {prompt.workload for prompt in workload.prompts} == {"mine.jsonl"}


def test_the_full_own_form_mixes_with_the_short_one(tmp_path: Path) -> None:
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Sing."},
    ]
    full = {"id": "song", "kind": "story", "length": 12, "messages": chat, "note": "ignored"}
    short, long = load(write(tmp_path, {"prompt": "Go.", "id": 5, "kind": "essay"}, full)).prompts
    assert (short.id, short.kind) == ("5", "essay")
    assert (long.id, long.kind, long.length) == ("song", "story", 12)
    assert long.messages == tuple(Message(entry["role"], entry["content"]) for entry in chat)


def test_the_digest_depends_on_the_messages_alone(tmp_path: Path) -> None:
    prompts = load(
        write(
            tmp_path,
            {"prompt": "Go.", "id": "a", "kind": "x"},
            {"messages": [{"role": "user", "content": "Go."}], "id": "b"},
            {"prompt": "Go!", "id": "c"},
        )
    ).prompts
    assert prompts[0].sha256 == prompts[1].sha256 != prompts[2].sha256
    # Fixed, since records of old runs are joined to prompts by it.
    assert prompts[0].sha256.startswith("6ffcd8f65fbcd3ae")


def test_order_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path, *({"prompt": "Go.", "id": id_} for id_ in "zaqm"))
    assert [prompt.id for prompt in load(path).prompts] == list("zaqm")


@pytest.mark.parametrize("zipped", [False, True])
def test_human_eval(tmp_path: Path, zipped: bool) -> None:
    text = json.dumps(HUMAN_EVAL) + "\n"
    # The name says nothing: the content decides.
    path = tmp_path / "questions"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    workload = load(str(path))
    (prompt,) = workload.prompts
    assert "HumanEval" in workload.description
    assert (prompt.id, prompt.kind) == ("HumanEval/7", "completion")
    (message,) = prompt.messages
    assert message.role == "user"
    assert "`double`" in message.content
    assert HUMAN_EVAL["prompt"].rstrip() in message.content
    # Neither the solution nor the tests may leak into the question.
    assert "2 * number" not in message.content
    assert "candidate" not in message.content


def test_mt_bench_and_spec_bench_ask_the_first_turn_only(tmp_path: Path) -> None:
    first, second = load(write(tmp_path, MT_BENCH, SPEC_BENCH)).prompts
    assert (first.id, first.kind) == ("81", "writing")
    assert first.messages == (Message("user", "Describe a harbour at dawn."),)
    assert (second.id, second.kind) == ("201", "summarization")
    assert second.messages == (Message("user", "Summarise: it rained."),)


def test_windows_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "One."}\r\n\r\n{"prompt": "Two."}\r\n')
    assert [prompt.id for prompt in load(str(path)).prompts] == ["1", "3"]


def test_an_unescaped_line_separator_does_not_split_a_line(tmp_path: Path) -> None:
    assert len(load(write(tmp_path, '{"prompt": "One.\u2028Two."}')).prompts) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Tell me a story.", "is not JSON"),
        ('{"prompt": "cut', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"prompt": ' + "9" * 5000 + "}", "is not JSON"),
        (["Tell me a story."], "is a list"),
        ("7", "is a number"),
        ({"text": "Tell me."}, "no known prompt"),
        ({"prompt": 7}, '"prompt" must be a text, not a number'),
        ({"prompt": None}, '"prompt" must be a text, not null'),
        ({"prompt": " \n"}, '"prompt" is empty'),
        ('{"prompt": "\\ud800"}', "half a character"),
        ({"prompt": "Go.", "id": True}, '"id" must be a text'),
        ({"prompt": "Go.", "id": ""}, '"id" is empty'),
        ({"prompt": "Go.", "kind": 3}, '"kind" must be a text'),
        ({"prompt": "Go.", "length": "long"}, '"length" must be a count'),
        ({"prompt": "Go.", "length": True}, '"length" must be a count'),
        ({"prompt": "Go.", "messages": []}, "expected either"),
        ({"messages": []}, "list of one message or more"),
        ({"messages": "Go."}, "list of one message or more"),
        ({"messages": ["Go."]}, "a message must be"),
        ({"messages": [{"role": "robot", "content": "Go."}]}, "system, user, assistant"),
        ({"messages": [{"role": ["user"], "content": "Go."}]}, "not a list"),
        ({"messages": [{"role": "user", "content": ["Go."]}]}, '"content" must be a text'),
        ({"messages": [{"role": "user", "content": ""}]}, '"content" is empty'),
        ({"messages": [{"role": "system", "content": "Go."}]}, "last message"),
        ({**HUMAN_EVAL, "entry_point": 1}, '"entry_point" must be a text'),
        ({**MT_BENCH, "turns": []}, '"turns" must be a list'),
        ({**MT_BENCH, "turns": ["", "x"]}, '"turns" is empty'),
        ({**MT_BENCH, "turns": "Go."}, '"turns" must be a list'),
    ],
)
def test_a_bad_line_is_named_with_its_number(tmp_path: Path, line: object, said: str) -> None:
    message = error_of(write(tmp_path, "", line))
    assert "mine.jsonl, line 2" in message
    assert said in message
    assert len(message) < 400 + len(str(tmp_path))


def test_a_later_line_must_be_of_the_first_lines_format(tmp_path: Path) -> None:
    message = error_of(write(tmp_path, MT_BENCH, {"prompt": "Go."}))
    assert "line 2" in message
    assert "MT-Bench" in message
    assert '"question_id", "turns" is missing' in message
    assert "line 2: expected either" in error_of(write(tmp_path, {"prompt": "Go."}, MT_BENCH))


def test_a_repeated_id_names_both_lines(tmp_path: Path) -> None:
    message = error_of(write(tmp_path, {"prompt": "a", "id": 2}, {"prompt": "b"}))
    assert "line 2: the id '2' is used on line 1 already" in message


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
def test_an_empty_file(tmp_path: Path, content: str) -> None:
    assert "holds no prompts" in error_of(write(tmp_path, content))


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes(b'{"prompt": "One."}\n{"prompt": "caf\xe9"}\n')
    assert "latin.jsonl, line 2 is not UTF-8" in error_of(str(path))


def test_damaged_gzip(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    whole = gzip.compress(json.dumps(HUMAN_EVAL).encode())
    path.write_bytes(whole[:-12])
    assert "damaged gzip" in error_of(str(path))
    path.write_bytes(whole[:10] + b"\xff" * 40)
    assert "damaged gzip" in error_of(str(path))


def test_a_file_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workloads.prompts._MOST_BYTES", 100)
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(b" " * 5000))
    assert bomb.stat().st_size <= 100
    assert "larger than" in error_of(str(bomb))
    assert "larger than" in error_of(write(tmp_path, {"prompt": "x" * 200}))


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    assert "There is no file" in error_of(str(tmp_path / "none.jsonl"))
    assert "is a folder" in error_of(str(tmp_path))
    assert "Cannot read" in error_of("a\0b")
    assert "Cannot read" in error_of("~nobody-of-this-name/mine.jsonl")
    assert "There is no workload ''" in error_of("")


def test_a_hostile_path_reaches_no_terminal(tmp_path: Path) -> None:
    message = error_of(str(tmp_path / "\x1b[2Jmine.jsonl"))
    assert "\x1b" not in message
    assert "\\x1b[2J" in message


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.one_of(
        st.binary(max_size=80),
        st.binary(max_size=80).map(lambda data: b"\x1f\x8b" + data),
        st.lists(
            st.dictionaries(
                st.sampled_from(
                    [
                        *("id", "kind", "length", "prompt", "messages", "role", "content"),
                        *("task_id", "entry_point", "question_id", "category", "turns"),
                    ]
                ),
                st.recursive(
                    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda inner: (
                        st.lists(inner, max_size=2)
                        | st.dictionaries(st.sampled_from(["role", "content"]), inner)
                    ),
                    max_leaves=4,
                ),
            ),
            max_size=3,
        ).map(lambda lines: "\n".join(map(json.dumps, lines)).encode()),
    )
)
def test_any_bytes_are_a_workload_or_a_workload_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any"
    path.write_bytes(content)
    try:
        workload = load(str(path))
    except WorkloadError:
        return
    assert isinstance(workload, Workload)
    assert workload.prompts
    for prompt in workload.prompts:
        assert prompt.messages[-1].role == "user"
        assert all(message.content.strip() for message in prompt.messages)
        assert len(prompt.sha256) == 64


@settings(max_examples=50, deadline=None)
@given(name=st.text(max_size=20).filter(lambda name: name not in names()))
def test_any_text_as_a_name_is_a_workload_error(name: str) -> None:
    # The leading part keeps a lucky draw from naming a real file of this folder.
    with pytest.raises(WorkloadError):
        load(f"no-such-workload{name}")


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lines=st.lists(
        st.fixed_dictionaries(
            {
                "id": texts,
                "kind": texts,
                "length": st.integers(min_value=1, max_value=10**6),
                "messages": st.tuples(
                    st.lists(
                        st.fixed_dictionaries(
                            {
                                "role": st.sampled_from(["system", "user", "assistant"]),
                                "content": texts,
                            }
                        ),
                        max_size=2,
                    ),
                    texts,
                ).map(lambda pair: [*pair[0], {"role": "user", "content": pair[1]}]),
            }
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda line: line["id"],
    ),
    escaped=st.booleans(),
)
def test_own_lines_come_back_as_they_were_written(
    tmp_path: Path, lines: list[dict[str, object]], escaped: bool
) -> None:
    path = tmp_path / "round.jsonl"
    text = "\n".join(json.dumps(line, ensure_ascii=escaped) for line in lines)
    path.write_text(text, encoding="utf-8")
    read = [
        {
            "id": prompt.id,
            "kind": prompt.kind,
            "length": prompt.length,
            "messages": [
                {"role": message.role, "content": message.content} for message in prompt.messages
            ],
        }
        for prompt in load(str(path)).prompts
    ]
    assert read == lines
