"""`python -m sandbox --port P`: the stand-in as a process of its own."""

from __future__ import annotations

import argparse
import gc
import logging
import socket
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import uvicorn

from sandbox.app import make_app
from sandbox.samples import write_samples
from sandbox.state import API_KEY, Log, Sandbox
from sandbox.world import DAY, World


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def _instant(text: str) -> int:
    """ISO 8601, UTC where no zone is given."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="A local stand-in for the HTTP APIs of Nylas v3 and of Google (OAuth, Gmail), "
        "with invented people.",
    )
    add = parser.add_argument
    add("--port", type=int, default=8600, help="0 takes any free port (default 8600)")
    add("--host", default="127.0.0.1")
    add("--seed", type=int, help="another seed, another world (default 1)")
    add("--mailboxes", type=_positive, help="how many personas (default 6)")
    add("--messages", type=_positive, help="generated messages per mailbox (default 400)")
    add("--anchor", type=_instant, help="the newest instant of the history (default: midnight UTC)")
    add("--history-days", type=_positive, help="how far the history goes back (default 45)")
    add("--intake-messages", type=_count, help="generated mail in the capture mailbox (default 0)")
    add("--state", metavar="FILE", help="keep every change in this file, and start from it")
    add("--callback", action="append", default=[], help="a registered redirect URI; repeatable")
    add("--write-sample", metavar="DIR", help="write users.csv and contacts.csv, and exit")
    return parser.parse_args(arguments)


def open_world(options: argparse.Namespace) -> Sandbox:
    """The world of the options, or the one that the state file tells of: it wins."""
    log = Log(options.state)
    operations = log.read()
    shape: dict[str, Any] = {
        "seed": 1 if options.seed is None else options.seed,
        "anchor": int(time.time()) // DAY * DAY if options.anchor is None else options.anchor,
        "mailboxes": options.mailboxes or 6,
        "messages": options.messages or 400,
        "history_days": options.history_days or 45,
    }
    intake_messages = options.intake_messages or 0
    if operations:
        shape = {name: operations[0][name] for name in shape}
        # Files from before the sandbox played Google do not say.
        intake_messages = operations[0].get("intake_messages", 0)
    sandbox = Sandbox(World(**shape), log, intake_messages=intake_messages)
    for operation in operations[1:]:
        sandbox.apply(operation)
    if not options.write_sample:
        log.begin()
        if not operations:
            log.write(({"op": "world", **shape, "intake_messages": intake_messages},))
    return sandbox


class _Quiet(logging.Filter):
    """Lets the server's errors through, except that it was told to stop."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Cancel ")


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is named so that asyncio sees a TCP socket and turns Nagle's algorithm off;
    # otherwise every answer on a kept connection waits 40 ms for an acknowledgement.
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(512)
    return listener


def serve(sandbox: Sandbox, options: argparse.Namespace) -> None:
    listener = _listen(options.host, options.port)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        make_app(sandbox, frozenset(options.callback)),
        log_config=None,
        access_log=False,
        lifespan="off",
        # A client hanging in a fault must not keep the process alive.
        timeout_graceful_shutdown=0,
    )
    # A page of messages is thousands of short-lived objects without cycles.
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    logging.getLogger("uvicorn.error").addFilter(_Quiet())
    server = uvicorn.Server(config)
    world = sandbox.world
    print(
        f"sandbox: listening on http://{options.host}:{port}  (API key {API_KEY}, "
        f"{world.size} mailboxes, {world.messages} messages each, seed {world.seed})",
        flush=True,
    )
    server.run(sockets=[listener])


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    sandbox = open_world(options)
    if options.write_sample:
        for path in write_samples(sandbox.world, options.write_sample):
            print(path)
        return 0
    try:
        serve(sandbox, options)
    except KeyboardInterrupt:
        pass
    except OSError as error:
        print(f"sandbox: cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
