"""The outcome as JUnit XML: a test case for each figure of each trial."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from harness.gate import words
from harness.gate.decide import Decision
from harness.gate.verdict import Gate, Row

_FORBIDDEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped; and CR, which a reader makes a line end of."""


def render(gate: Gate) -> str:
    """A document of one suite; a regression is a failure, what cannot be told is skipped.

    The suite fails exactly where the gate is regressed. An inconclusive gate has skipped decode
    rates and no failure: its exit status says more than the file can.
    """
    root = ET.Element("testsuites")
    suite = ET.SubElement(
        root,
        "testsuite",
        name=_text(f"bench gate: {gate.candidate} against {gate.baseline}"),
        tests=str(len(gate.rows)),
        failures=str(len(gate.of(Decision.REGRESSED))),
        errors="0",
        skipped=str(len(gate.of(Decision.INCONCLUSIVE))),
        time="0",
    )
    for row in gate.rows:
        _case(suite, row)
    out = ET.SubElement(suite, "system-out")
    out.text = _text("\n".join((words.headline(gate), *words.facts(gate), words.power(gate))))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(suite: ET.Element, row: Row) -> None:
    case = ET.SubElement(
        suite, "testcase", classname=_text(row.trial), name=_text(row.figure), time="0"
    )
    told = _text(words.sentence(row))
    if row.decision is Decision.REGRESSED:
        ET.SubElement(case, "failure", type="regression", message=told).text = told
    elif row.decision is Decision.INCONCLUSIVE:
        ET.SubElement(case, "skipped", message=told)
    else:
        ET.SubElement(case, "system-out").text = told


def _text(text: str) -> str:
    return _FORBIDDEN.sub(" ", text)
