"""Settings of all tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.models.export import Family

# A gate must judge the same change the same way twice; at home the search goes on.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    """The tiny trained models in every packaging; read them, do not change them."""
    from tests.models.export import export

    return export(tmp_path_factory.mktemp("models") / "family")


LIVE = "tests/live/test_"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which real runners the live tests drove, and why not the others: a skip is easily missed."""
    ran: dict[str, int] = {}
    skipped: dict[str, str] = {}
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            if not report.nodeid.startswith(LIVE):
                continue
            module = report.nodeid.removeprefix(LIVE).partition(".py")[0].replace("_", "-")
            if outcome == "skipped":
                *_, said = report.longrepr if isinstance(report.longrepr, tuple) else ("",)
                skipped.setdefault(module, str(said).removeprefix("Skipped: "))
            elif report.when == "call":
                ran[module] = ran.get(module, 0) + 1
    if not ran and not skipped:
        return
    tested = ", ".join(f"{module} ({count} tests)" for module, count in sorted(ran.items()))
    missing = [f"{name} ({why})" for name, why in sorted(skipped.items()) if name not in ran]
    terminalreporter.write_line(
        f"live runners tested: {tested or 'none'}; not tested: {', '.join(missing) or 'none'}"
    )
