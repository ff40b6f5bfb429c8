from __future__ import annotations

import pytest

from runners.base.contract import UsageError
from runners.endpoint.url import read_url


@pytest.mark.parametrize(
    ("given", "api", "root"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1", "http://localhost:8000"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1", "http://localhost:8000"),
        (
            "http://localhost:8000/v1/chat/completions",
            "http://localhost:8000/v1",
            "http://localhost:8000",
        ),
        (
            "https://api.example.com/openai/v1",
            "https://api.example.com/openai/v1",
            "https://api.example.com/openai",
        ),
        (
            "https://example.com/v1beta/openai",
            "https://example.com/v1beta/openai",
            "https://example.com/v1beta/openai",
        ),
        ("http://[::1]:8080", "http://[::1]:8080/v1", "http://[::1]:8080"),
    ],
)
def test_the_api_may_be_left_away_or_named_whole(given: str, api: str, root: str) -> None:
    url = read_url(given)
    assert (url.api, url.root) == (api, root)


@pytest.mark.parametrize(
    "given",
    [
        "https://user:hunter2@example.com/v1",
        "https://hunter2@example.com/v1",
        "https://example.com/v1?key=hunter2",
        "https://example.com/v1#hunter2",
        # urllib's own words for this one quote it.
        "https://user:hunter2@example℀.com/v1",
    ],
)
def test_secrets_in_a_url_are_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_url(given)
    assert "hunter2" not in str(caught.value)
    assert "--api-key-env" in str(caught.value) or "not a valid URL" in str(caught.value)


@pytest.mark.parametrize(
    "given", ["localhost:8000", "ftp://x", "http://", "http://x:port", "http://exämple.com", ""]
)
def test_what_is_no_url(given: str) -> None:
    with pytest.raises(UsageError):
        read_url(given)
