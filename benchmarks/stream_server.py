"""The sending side of stream_client.py: event streams whose events say when they were sent.

One thread, so that a time and its send stay together. It accepts the number of connections that
the first request asks for, then sends one event a period to each of them. Its address is the one
line it prints.
"""

from __future__ import annotations

import json
import socket
import time

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)
# The size of an ordinary OpenAI chunk, about 250 bytes.
EVENT = (
    b'data: {"id":"chatcmpl-0123456789abcdefghijklmn","object":"chat.completion.chunk",'
    b'"created":1760000000,"model":"some/model-7b-instruct","choices":[{"index":0,'
    b'"delta":{"content":" token"},"logprobs":null,"finish_reason":null}],"sent":"%017.9f"}\n\n'
)
CHUNK = b"%x\r\n" % len(EVENT % 0.0) + EVENT + b"\r\n"
LAST = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


def read_request(connection: socket.socket) -> dict[str, float]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields[b"content-length"]):
        body += connection.recv(65536)
    wish: dict[str, float] = json.loads(body)
    return wish


def serve(listener: socket.socket) -> None:
    connections: list[socket.socket] = []
    streams = 1.0
    while len(connections) < streams:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wish = read_request(connection)
        streams = wish["streams"]
        connections.append(connection)
    for connection in connections:
        connection.sendall(HEAD)
    begin = time.perf_counter() + 0.05
    try:
        for step in range(int(wish["events"])):
            time.sleep(max(0.0, begin + step * wish["period_s"] - time.perf_counter()))
            for connection in connections:
                connection.sendall(CHUNK % time.perf_counter())
        for connection in connections:
            connection.sendall(LAST)
    except ConnectionError:
        pass  # The client gave up and says why.
    for connection in connections:
        connection.close()


def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
        while True:
            serve(listener)


if __name__ == "__main__":
    main()
