from __future__ import annotations

import json

import pytest

from harness.report import html, markdown
from harness.report import json as as_json
from harness.report.content import build_report
from harness.report.step_costs import HEADING
from harness.run_folder import RunData
from runners.base.speculation import SyntheticAcceptance
from tests.harness.analysis.test_step_costs import drafted, plain
from tests.harness.builders import PLAIN_TOKENS, make_arm, make_run

PLAIN = make_arm()
LOSES, PAYS = make_arm("mtp", 4), make_arm("mtp", 1)
ROUNDS = (1, 2, 3)
NOISE = (0.99, 1.0, 1.01)


def run() -> RunData:
    """k=4: 2.9 plain steps for 2 tokens; k=1: 1.2 for 1.5."""
    samples = []
    for number, noise in zip(ROUNDS, NOISE, strict=True):
        for prompt in ("p1", "p2", "p3"):
            place = {"round": number, "prompt": prompt, "tokens": PLAIN_TOKENS}
            samples += [
                plain(0.02, **place),
                drafted(LOSES, 0.058 * noise, 30, **place),
                drafted(PAYS, 0.024 * noise, 40, **place),
            ]
    return make_run([PLAIN, LOSES, PAYS], samples)


def test_each_setting_gets_a_sentence_with_its_numbers() -> None:
    section = build_report(run()).step_costs
    told = {row[0]: row[-1] for row in section.table.rows}
    assert told == {
        "mtp k=4": "loses: a step of 5.00 rows takes 2.90 plain steps, so τ must exceed 2.90; "
        "it is 2.00",
        "mtp k=1": "pays: a step of 2.00 rows takes 1.20 plain steps and yields 1.50 tokens",
    }
    needed = {row[0]: row[-2] for row in section.table.rows}
    assert needed == {"mtp k=4": "47.5%", "mtp k=1": "20.0%"}
    (remark,) = section.remarks
    assert remark.startswith("mtp k=1 to k=4, ")
    assert "a step costs 0.63 plain steps at one row, and each row more costs 0.57" in remark
    assert "rows, two lengths alone)" in remark
    assert "compute-bound" in remark


def test_synthetic_arms_of_all_acceptances_are_one_family() -> None:
    arms = [
        make_arm("mtp", k).model_copy(
            update={"id": f"k{k}-{tau}", "synthetic": SyntheticAcceptance(length=tau)}
        )
        for tau in (1.5, 2.0)
        for k in (2, 4)
    ]
    samples = [plain(0.02), *(drafted(arm, 0.01 * (arm.draft_tokens or 0), 30) for arm in arms)]
    (remark,) = build_report(make_run([PLAIN, *arms], samples)).step_costs.remarks
    assert remark.startswith("mtp k=2 to k=4, ")


@pytest.mark.parametrize("render", [markdown.render, html.render])
def test_reports_have_the_section(render) -> None:  # type: ignore[no-untyped-def]
    text = render(build_report(run()), ())
    assert HEADING in text
    assert "so τ must exceed 2.90" in text


def test_machines_get_the_figures() -> None:
    rows = {
        row["arm"]["id"]: row["step_cost"]
        for row in json.loads(as_json.render(build_report(run())))
    }
    assert rows["none"] is None
    assert rows["mtp-k4"]["plain_steps"] == pytest.approx(2.9)
    assert rows["mtp-k4"]["tau"] == pytest.approx(2.0)


def test_plain_decoding_alone_has_no_section() -> None:
    report = build_report(make_run([PLAIN], [plain(0.02)]))
    assert report.step_costs.costs == ()
    assert HEADING not in markdown.render(report, ())
