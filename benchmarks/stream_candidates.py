"""Ways for one process to read many event streams, for stream_client.py to compare.

Each reads one stream and calls `take(at, data)` for each event, `at` being taken as early as that
way allows. They all share the decoder of server-sent events.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from runners.base.events import Decoder
from runners.base.stream import open_stream

Take = Callable[[float, str], None]
Payload = Mapping[str, float]
Read = Callable[[str, Payload, Take], Awaitable[None]]


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


def _request(url: str, payload: Payload) -> bytes:
    body = json.dumps(payload).encode()
    return (
        b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (urlsplit(url).netloc.encode(), len(body), body)
    )


def httpx_raw() -> Read:
    import httpx

    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=30)

    async def read(url: str, payload: Payload, take: Take) -> None:
        decoder = Decoder()
        async with client.stream("POST", url, json=dict(payload)) as response:
            async for data in response.aiter_raw():
                at = time.perf_counter()
                for text in decoder.feed(data):
                    take(at, text)

    return read


def aiohttp_any() -> Read:
    import aiohttp

    async def read(url: str, payload: Payload, take: Take) -> None:
        decoder = Decoder()
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=dict(payload)) as response,
        ):
            async for data in response.content.iter_any():
                at = time.perf_counter()
                for text in decoder.feed(data):
                    take(at, text)

    return read


def streams_h11() -> Read:
    import h11

    async def read(url: str, payload: Payload, take: Take) -> None:
        reader, writer = await asyncio.open_connection(*_address(url))
        writer.write(_request(url, payload))
        http = h11.Connection(h11.CLIENT)
        http.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        http.send(h11.EndOfMessage())
        decoder = Decoder()
        at = 0.0
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(65536)
                at = time.perf_counter()
                http.receive_data(data)
            elif isinstance(event, h11.Data):
                for text in decoder.feed(bytes(event.data)):
                    take(at, text)
            elif isinstance(event, h11.EndOfMessage):
                break
        writer.close()

    return read


def protocol_h11() -> Read:
    import h11

    class Client(asyncio.Protocol):
        """Stamps in the read callback, parses in the task."""

        def __init__(self) -> None:
            self.reads: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        def data_received(self, data: bytes) -> None:
            self.reads.put_nowait((time.perf_counter(), data))

    async def read(url: str, payload: Payload, take: Take) -> None:
        loop = asyncio.get_running_loop()
        transport, client = await loop.create_connection(Client, *_address(url))
        transport.write(_request(url, payload))
        http = h11.Connection(h11.CLIENT)
        http.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        http.send(h11.EndOfMessage())
        decoder = Decoder()
        at = 0.0
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                at, data = await client.reads.get()
                http.receive_data(data)
            elif isinstance(event, h11.Data):
                for text in decoder.feed(bytes(event.data)):
                    take(at, text)
            elif isinstance(event, h11.EndOfMessage):
                break
        transport.close()

    return read


def protocol_httptools() -> Read:
    import httptools

    class Client(asyncio.Protocol):
        """Parses in the read callback itself: no task is woken for an event."""

        def __init__(self, take: Take) -> None:
            self.parser = httptools.HttpResponseParser(self)
            self.decoder = Decoder()
            self.take = take
            self.at = 0.0
            self.done = asyncio.get_running_loop().create_future()

        def data_received(self, data: bytes) -> None:
            self.at = time.perf_counter()
            self.parser.feed_data(data)

        def on_body(self, body: bytes) -> None:
            for text in self.decoder.feed(body):
                self.take(self.at, text)

        def on_message_complete(self) -> None:
            self.done.set_result(None)

    async def read(url: str, payload: Payload, take: Take) -> None:
        loop = asyncio.get_running_loop()
        transport, client = await loop.create_connection(lambda: Client(take), *_address(url))
        transport.write(_request(url, payload))
        await client.done
        transport.close()

    return read


def stamps_only() -> Read:
    """The floor: nothing is parsed while events come in."""

    class Client(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.buffer = memoryview(bytearray(65536))
            self.reads: list[tuple[float, bytes]] = []
            self.done = asyncio.get_running_loop().create_future()

        def get_buffer(self, sizehint: int) -> memoryview:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.reads.append((time.perf_counter(), bytes(self.buffer[:nbytes])))

        def connection_lost(self, exc: Exception | None) -> None:
            self.done.set_result(None)

    async def read(url: str, payload: Payload, take: Take) -> None:
        loop = asyncio.get_running_loop()
        transport, client = await loop.create_connection(Client, *_address(url))
        transport.write(_request(url, payload))
        await client.done
        for at, data in client.reads:
            for line in data.split(b"\n"):
                if line.startswith(b"data: "):
                    take(at, line[6:].decode())

    return read


def this_project() -> Read:
    async def read(url: str, payload: Payload, take: Take) -> None:
        async with open_stream(url, payload, timeout_s=30) as stream:
            async for event in stream:
                take(event.at, event.data)

    return read


CANDIDATES: dict[str, Callable[[], Read]] = {
    "runners.base.stream": this_project,
    "asyncio.Protocol + httptools": protocol_httptools,
    "asyncio.Protocol + h11": protocol_h11,
    "asyncio streams + h11": streams_h11,
    "aiohttp": aiohttp_any,
    "httpx": httpx_raw,
    "stamps only, no parsing": stamps_only,
}
