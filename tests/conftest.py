"""Settings of all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# A gate must judge the same change the same way twice; at home the search goes on.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
