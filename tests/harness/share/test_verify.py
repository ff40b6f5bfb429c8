"""A share proves itself: any figure that is changed is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.run_folder import SAMPLES
from harness.share.make import make_share
from harness.share.share import Share, ShareError, seal_of, to_json
from harness.share.verify import NotAShareError, fault_of, read_share
from tests.harness.builders import make_arm, make_run, make_samples
from tests.harness.share.runs import faster_run, write_run

Place = tuple[str | int, ...]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("shared") / "run", faster_run())


@pytest.fixture(scope="module")
def share(run: Path) -> Share:
    return make_share(run)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Share:
    """Too few samples for an interval, so that it is quick."""
    plain, fast = make_arm(), make_arm("ngram-mod", 4)
    samples = [*make_samples(plain, [50.0, 51.0]), *make_samples(fast, [70.0, 72.0])]
    folder = tmp_path_factory.mktemp("small") / "run"
    return make_share(write_run(folder, make_run([plain, fast], samples)))


def test_it_is_what_it_says(share: Share, run: Path, tmp_path: Path) -> None:
    (tmp_path / "share.json").write_text(to_json(share), "utf-8")
    read = read_share(tmp_path / "share.json")
    assert read == share
    assert fault_of(read) is None
    assert fault_of(read, run) is None


def test_answers_are_not_in_it(share: Share, run: Path) -> None:
    line = json.loads((run / SAMPLES).read_text().splitlines()[0])
    told = json.loads(to_json(share))["samples"][0]
    assert line["tokens"]
    assert not {"text", "text_sha256", "tokens", "bursts", "reason"} & set(told["figures"])
    assert line["text_sha256"] not in to_json(share)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_single_change_is_found(small: Share, tmp_path: Path, data: st.DataObject) -> None:
    content = json.loads(to_json(small))
    place = data.draw(st.sampled_from(list(_leaves(content))))
    _change(content, place, data)
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(content), "utf-8")
    try:
        fault = fault_of(read_share(file))
    except ShareError as error:
        fault = str(error)
    assert fault


def _leaves(value: object, place: Place = ()) -> Iterator[Place]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*place, index))
    elif value is not None:
        yield place


def _change(content: object, place: Place, data: st.DataObject) -> None:
    inner = content
    for part in place[:-1]:
        inner = inner[part]  # type: ignore[index]
    last = place[-1]
    old = inner[last]  # type: ignore[index]
    new: object
    if isinstance(old, bool):
        new = not old
    elif isinstance(old, int):
        new = data.draw(st.integers(0, 10**6).filter(lambda value: value != old))
    elif isinstance(old, float):
        new = data.draw(st.floats(0, 1e6).filter(lambda value: value != old))
    else:
        new = data.draw(st.text(max_size=70).filter(lambda value: value != old))
    inner[last] = new  # type: ignore[index]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_whatever_stands_in_it_is_an_answer(
    small: Share, tmp_path: Path, data: st.DataObject
) -> None:
    """Of a file that a stranger sent: a fault in words, whatever the numbers are."""
    content = json.loads(to_json(small))
    leaves = list(_leaves(content))
    for place in data.draw(st.lists(st.sampled_from(leaves), min_size=1, max_size=4)):
        inner = content
        for part in place[:-1]:
            inner = inner[part]
        inner[place[-1]] = data.draw(
            st.one_of(
                st.sampled_from([0, -1, 10**400, 1e308, float("nan"), float("-inf"), None, [], {}]),
                st.floats(),
                st.integers(),
            )
        )
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(content), "utf-8")
    try:
        fault = fault_of(read_share(file))
    except ShareError as error:
        fault = str(error)
    assert fault is None or fault


@pytest.mark.parametrize(
    ("figure", "value", "words"),
    [
        ("decode_rate", 55.0, "plain tok/s: the row says '50.1<br>50.1'"),
        ("accepted", 96, "acceptance: the row says"),
        ("output_tokens", 129, "τ: the row says"),
        ("runner_peak_memory", 3_000_000_000, "the footnote says"),
        ("runner_peak_memory", 10**400, "no figures can be printed"),
        ("wall_s", 1.75, "something in it was changed"),
    ],
)
def test_a_sealed_forgery_is_found_where_it_shows(
    share: Share, figure: str, value: float, words: str
) -> None:
    """Whoever changes a sample can make the seal anew; then the row is another one."""
    speculating = figure in ("accepted", "output_tokens", "runner_peak_memory")
    samples = tuple(
        one.model_copy(update={"figures": one.figures.model_copy(update={figure: value})})
        if (one.figures.arm == "ngram-mod-k4") == speculating and one.figures.workload == "coding"
        else one
        for one in share.samples
    )
    fault = fault_of(share.model_copy(update={"samples": samples}))
    assert fault is not None
    assert words in fault


def test_a_faster_row_is_found_by_its_run(share: Share, run: Path) -> None:
    """All figures of a setting changed, the row and the seal made of them: only the run tells."""
    from harness.share.make import sealed

    samples = tuple(
        one.model_copy(
            update={
                "figures": one.figures.model_copy(
                    update={"decode_rate": 2 * (one.figures.decode_rate or 0.0)}
                )
            }
        )
        if one.figures.arm == "ngram-mod-k4"
        else one
        for one in share.samples
    )
    forged = sealed(share.model_copy(update={"samples": samples}))
    assert "3.00x" in forged.row
    assert fault_of(forged) is None
    fault = fault_of(forged, run)
    assert fault is not None
    assert "sample 7 of it says other things than its line in" in fault


def test_a_forgery_of_doubts_or_lossless_is_found_by_the_run(share: Share, run: Path) -> None:
    from harness.share.make import sealed

    samples = list(share.samples)
    samples[6] = samples[6].model_copy(
        update={"against_plain": samples[7].against_plain, "doubts": ("busy",)}
    )
    forged = sealed(share.model_copy(update={"samples": tuple(samples)}))
    assert fault_of(forged) is None
    assert fault_of(forged, run) is not None


def test_another_run(share: Share, tmp_path: Path) -> None:
    plain = make_arm()
    other = write_run(tmp_path / "run", make_run([plain], make_samples(plain, [50.0, 51.0])))
    fault = fault_of(share, other)
    assert fault is not None
    assert "sample 2 of it is no line of" in fault or "sample 1 of it is no line of" in fault


def test_a_run_that_went_on(share: Share, run: Path, tmp_path: Path) -> None:
    import shutil

    longer = shutil.copytree(run, tmp_path / "longer")
    first = json.loads((longer / SAMPLES).read_text().splitlines()[0])
    with (longer / SAMPLES).open("a") as file:
        file.write(json.dumps({**first, "round": 4}) + "\n")
    fault = fault_of(share, longer)
    assert fault is not None
    assert "lines were added or moved" in fault


def test_a_cut_off_last_line_does_not_matter(run: Path, tmp_path: Path) -> None:
    import shutil

    cut = shutil.copytree(run, tmp_path / "cut")
    with (cut / SAMPLES).open("a") as file:
        file.write('{"arm": "non')
    assert make_share(cut).samples_sha256 == make_share(run).samples_sha256


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"kind": "other"}', "\x00", "[" * 10**5])
def test_what_is_no_share(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(NotAShareError, match="is no share"):
        read_share(tmp_path / "x.json")


def test_a_share_of_a_later_version(share: Share, tmp_path: Path) -> None:
    content = {**json.loads(to_json(share)), "share_version": 2}
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(NotAShareError, match="a share of version 2"):
        read_share(tmp_path / "x.json")


def test_the_seal_is_of_all_but_itself(share: Share) -> None:
    assert seal_of(share) == share.seal
    assert seal_of(share.model_copy(update={"seal": ""})) == share.seal
    assert seal_of(share.model_copy(update={"interrupted": True})) != share.seal
