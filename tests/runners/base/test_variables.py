from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from runners.base.variables import assignments

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def test_secrets_are_left_out() -> None:
    names = ("VLLM_API_KEY", "A_TOKEN", "B_SECRET", "C_PASSWORD", "MTPLX_AUTH", "d_api_key")
    assert assignments(dict.fromkeys(names, "s3cret")) == []
    assert assignments({"KEY_OF": "b", "A": "1 2"}) == ["A='1 2'", "KEY_OF=b"]


@given(TEXT)
def test_a_shell_reads_them_as_they_are(value: str) -> None:
    assert shlex.split(" ".join(assignments({"A": value}))) == [f"A={value}"]
