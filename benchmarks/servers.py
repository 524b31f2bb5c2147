"""The servers that are read from: the sandbox, and a replay of its answers."""

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from crm_sync.processes import die_with_parent
from crm_sync.providers.nylas import NylasGateway

ROOT = Path(__file__).resolve().parent.parent
KEY = "sandbox-key"


@contextmanager
def _running(*command: str) -> Iterator[str]:
    """A Python module as a process that ends with the block; yields the address it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=partial(die_with_parent),
    )
    try:
        assert process.stdout is not None
        banner = process.stdout.readline()
        if "listening on " not in banner:
            sys.exit(f"{command[0]} does not start: {banner}")
        yield banner.split("listening on ")[1].split()[0]
    finally:
        process.kill()
        process.wait()


@contextmanager
def sandbox(
    *,
    mailboxes: int,
    messages: int,
    history_days: int,
    anchor: datetime,
    intake_messages: int = 0,
) -> Iterator[str]:
    """`anchor` is the newest instant of its mail."""
    options = {
        "mailboxes": mailboxes,
        "messages": messages,
        "history-days": history_days,
        "anchor": anchor.isoformat(),
        "intake-messages": intake_messages,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with _running("sandbox", "--port", "0", *words) as url:
        yield url


def end_of_working_week() -> datetime:
    """The last Friday's midnight: an anchor from which a day back is a working day."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=(today.weekday() - 5) % 7)


@contextmanager
def replay(upstream: str) -> Iterator[str]:
    """What was asked of `upstream` once is answered from memory from then on."""
    with _running("benchmarks.replay", upstream) as url:
        yield url


def replay_misses(url: str) -> int:
    """How many questions the replay had to pass on so far."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("GET", "/misses")
    misses = int(connection.getresponse().read())
    connection.close()
    return misses


def gateway(url: str) -> NylasGateway:
    return NylasGateway(api_uri=url, api_key=KEY, client_id="benchmarks")
