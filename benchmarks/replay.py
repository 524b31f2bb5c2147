"""`python -m benchmarks.replay UPSTREAM`: answers from memory what was asked once before.

The sandbox works out each message when it is asked for, on the same cores as the product; the
replay sends recorded bytes, so that what is measured is the product.
"""

import asyncio
import http.client
import sys
from urllib.parse import urlsplit


class Recording:
    """The answers by path and query; a question that is new goes to `upstream`."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.answers: dict[bytes, bytes] = {}
        self.misses = 0

    def answer(self, head: bytes) -> bytes:
        target = head.split(b" ", 2)[1]
        if target == b"/misses":
            return written(200, str(self.misses).encode())
        if target not in self.answers:
            self.misses += 1
            status, body = self._ask(target, head)
            if status != 200:
                return written(status, body)
            self.answers[target] = written(status, body)
        return self.answers[target]

    def _ask(self, target: bytes, head: bytes) -> tuple[int, bytes]:
        lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
        key = next((v.strip().decode() for n, _, v in lines if n.lower() == b"authorization"), "")
        # A connection for each, since an idle one would have been closed by the other side.
        connection = http.client.HTTPConnection(self.upstream, timeout=60)
        connection.request("GET", target.decode(), headers={"Authorization": key})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body


def written(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """Requests without bodies, one after the other, over a connection that stays open."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.received = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head, self.received = self.received[:end], self.received[end + 4 :]
            assert self.transport is not None
            self.transport.write(self.recording.answer(head))


async def serve(upstream: str) -> None:
    recording = Recording(upstream)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(recording), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"replay: listening on http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
