"""A small HTTP client for the webhook deliveries: asynchronous, so that stopping never waits."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import h11


async def send(
    method: str, url: str, *, headers: dict[str, str], body: bytes, timeout: float
) -> tuple[int, bytes]:
    """(status, body). Raises OSError, TimeoutError or h11.RemoteProtocolError."""
    return await asyncio.wait_for(_exchange(method, url, headers, body), timeout)


async def _exchange(
    method: str, url: str, headers: dict[str, str], body: bytes
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=is_tls or None)
    try:
        connection = h11.Connection(h11.CLIENT)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = h11.Request(
            method=method,
            target=target,
            headers=[
                ("Host", parts.netloc.rpartition("@")[2]),
                ("Connection", "close"),
                ("Content-Length", str(len(body))),
                *headers.items(),
            ],
        )
        for event in (request, h11.Data(data=body), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await writer.drain()
        return await _read_answer(connection, reader)
    finally:
        writer.close()


async def _read_answer(
    connection: h11.Connection, reader: asyncio.StreamReader
) -> tuple[int, bytes]:
    status, content = 0, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            content += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return status, content
        else:
            raise OSError("the connection ended before the answer")
