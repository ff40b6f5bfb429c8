"""Which server answers, by pages as their sources write them. Real ones: tests/live."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from runners.base.contract import RequestError
from runners.endpoint.detect import Detected, detect
from runners.endpoint.url import read_url

MODELS = {"data": [{"id": "m", "object": "model", "created": 1, "owned_by": "me"}]}
Pages = Mapping[str, object]


@asynccontextmanager
async def serving(
    pages: Pages, status: int = 200, server: str = "x", *, breaks: tuple[str, ...] = ()
) -> AsyncIterator[str]:
    """A server that has these pages and no others."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1]
        said = pages.get(path)
        if path not in breaks:
            body = (said if isinstance(said, str) else json.dumps(said)).encode()
            code = status if said is not None else 404
            writer.write(
                f"HTTP/1.1 {code} X\r\nServer: {server}\r\nContent-Length: {len(body)}\r\n"
                "\r\n".encode()
                + body
            )
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def look(pages: Pages, server: str = "x", breaks: tuple[str, ...] = ()) -> Detected:
    async with serving(pages, server=server, breaks=breaks) as address:
        return await detect(read_url(address), {})


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        (
            {"/props": {"default_generation_settings": {}, "build_info": "b11434-fd9"}},
            "llama-server b11434-fd9",
        ),
        ({"/server_info": {"speculative_algorithm": None, "version": "0.5.23"}}, "sglang 0.5.23"),
        ({"/get_server_info": {"speculative_algorithm": "EAGLE"}}, "sglang"),
        ({"/info": {"max_concurrent_requests": 128, "version": "3.3.7"}}, "tgi 3.3.7"),
        ({"/api/v0/models": {"data": [{"compatibility_type": "gguf"}]}}, "lm-studio"),
        ({"/api/version": {"version": "0.32.15"}}, "ollama 0.32.15"),
        ({"/version": {"version": "0.32.0"}, "/metrics": "# TYPE vllm:x counter\n"}, "vllm 0.32.0"),
        (
            {"/version": {"version": "1.2.1"}, "/prometheus/metrics": "trtllm_x 1\n"},
            "tensorrt-llm 1.2.1",
        ),
        ({"/metrics": "llamacpp:x 1\n"}, "llama-server"),
        ({}, "OpenAI-compatible"),
        # A server that answers anything with an error of status 200.
        (
            {page: {"error": "no"} for page in ("/props", "/info", "/api/version", "/slots")},
            "OpenAI-compatible",
        ),
        (
            dict.fromkeys(("/props", "/info", "/api/version", "/slots"), "garbage"),
            "OpenAI-compatible",
        ),
        ({"/api/v0/models": {"data": "x"}, "/slots": {}, "/version": []}, "OpenAI-compatible"),
    ],
)
async def test_each_kind_is_told_by_what_only_it_answers(pages: Pages, words: str) -> None:
    found = await look({"/v1/models": MODELS, **pages})
    assert found.words == words
    assert found.models == ("m",)


@pytest.mark.parametrize(
    ("owner", "kind"),
    [
        ("llamacpp", "llama-server"),
        ("vllm", "vllm"),
        ("sglang", "sglang"),
        ("library", "ollama"),
        ("tensorrt_llm", "tensorrt-llm"),
    ],
)
async def test_behind_a_proxy_the_models_owner_tells(owner: str, kind: str) -> None:
    found = await look({"/v1/models": {"data": [{"id": "m", "owned_by": owner}]}})
    assert found.kind.name == kind


async def test_mlx_lm_is_told_by_how_little_it_says() -> None:
    well = {"/health": {"status": "ok"}}
    bare = {"/v1/models": {"data": [{"id": "m", "object": "model", "created": 1}]}}
    python = "BaseHTTP/0.6 Python/3.12.1"
    assert (await look({**bare, **well}, python)).kind.name == "mlx-lm"
    assert (await look(well, python, breaks=("/v1/models",))).kind.name == "mlx-lm"
    assert (await look({**bare, **well}, "uvicorn")).kind.name == "OpenAI-compatible"
    assert (await look({"/v1/models": MODELS, **well}, python)).kind.name == "OpenAI-compatible"


async def test_what_it_says_of_speculating() -> None:
    found = await look({"/v1/models": MODELS, "/server_info": {"speculative_algorithm": "EAGLE"}})
    assert found.speculation == "the server speculates by EAGLE"
    props = {"default_generation_settings": {}}
    found = await look({"/v1/models": MODELS, "/props": props, "/slots": [{"speculative": True}]})
    assert found.speculation == "the server speculates, and does not tell how"
    assert (await look({"/v1/models": MODELS})).speculation is None


async def test_a_server_that_cannot_list_its_models_is_no_dead_one() -> None:
    found = await look({"/props": {"default_generation_settings": {}}}, breaks=("/v1/models",))
    assert (found.kind.name, found.models) == ("llama-server", ())


async def test_a_refused_key_is_said_and_never_repeated() -> None:
    async with serving({"/v1/models": {"error": "bad key hunter2"}}, status=401) as address:
        with pytest.raises(RequestError, match=r"HTTP 401: bad key ….*the key was sent") as caught:
            await detect(read_url(address), {"Authorization": "Bearer hunter2"})
        assert "hunter2" not in str(caught.value)
        with pytest.raises(RequestError, match="no key was sent; --api-key-env names"):
            await detect(read_url(address), {})


async def test_nobody_there() -> None:
    with pytest.raises(RequestError, match="no connection to"):
        await detect(read_url("http://127.0.0.1:1"), {})


async def test_what_it_says_goes_into_reports() -> None:
    bad = ["a\x1b[2J", "a\nb", "x" * 9000, 7, None, {"id": "m"}, "\u202egpj", "sk-hunter2 model"]
    listed = {"data": [*({"id": name} for name in bad), "m", {"id": "good"}]}
    pages = {
        "/v1/models": listed,
        "/server_info": {"speculative_algorithm": "EAGLE\x1b[31m", "version": "0.5\n# 23"},
    }
    async with serving(pages) as address:
        found = await detect(read_url(address), {"Authorization": "Bearer sk-hunter2"})
    assert found.models == ("good",)
    assert found.version is not None
    assert found.version.isprintable()
    assert found.speculation is not None
    assert found.speculation.isprintable()


async def test_a_page_without_end_is_none() -> None:
    found = await look({"/v1/models": MODELS, "/api/version": '{"version": "' + "x" * 2**23})
    assert found.words == "OpenAI-compatible"


async def test_a_version_that_is_the_key_is_not_repeated() -> None:
    pages = {"/v1/models": MODELS, "/api/version": {"version": "sk-hunter2"}}
    async with serving(pages) as address:
        found = await detect(read_url(address), {"Authorization": "Bearer sk-hunter2"})
    assert found.words == "ollama"


@pytest.mark.parametrize("listed", [7, "models", None, {"id": "m"}, [[]]])
async def test_a_list_of_models_that_is_none(listed: object) -> None:
    assert (await look({"/v1/models": {"data": listed}})).models == ()


@pytest.mark.parametrize(
    ("told", "slots"), [(4, 4), (1, 1), (0, None), (True, None), ("4", None), (None, None)]
)
async def test_slots_are_those_that_llama_server_tells(told: object, slots: int | None) -> None:
    props = {"default_generation_settings": {}, "total_slots": told}
    assert (await look({"/v1/models": MODELS, "/props": props})).slots == slots
