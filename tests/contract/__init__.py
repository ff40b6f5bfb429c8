"""The contract of runners as tests, and what it is held against."""

import pytest

pytest.register_assert_rewrite("tests.contract.contract")
