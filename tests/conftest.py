"""What tests of every room share: a queue, the sandbox, an environment for real processes."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.db import connection

from crm_sync import embedded_redis
from crm_sync.processes import die_with_parent

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
BROWSER_TESTS = ROOT / "tests" / "browser"
# No sandbox: it does not start as root. The rest keeps it from looking for the outside world.
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Browser tests run apart (`make test-browser`): Playwright's loop and the ORM do not mix."""
    asked_for = any("browser" in argument for argument in config.args)
    return True if collection_path == BROWSER_TESTS and not asked_for else None


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ["TEST_RUN_DIR"], ignore_errors=True)


# --- processes ---------------------------------------------------------------------------------
def wait_until(is_so: Callable[[], object], what: str, *, seconds: float = 30) -> None:
    """Asks again until it is so; raises TimeoutError with the sentence when the time is over."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: list[str], log: Path, *, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block, or with the test process, whatever happens to that."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(die_with_parent, os.getpid()),
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """A server of its own for one test: yields its REDIS_URL."""
    path = directory / "redis.sock"
    with running(embedded_redis.command(path), directory / "redis.log"):
        wait_until(lambda: embedded_redis.answers(path), "the queue answers on its socket")
        yield f"unix://{path}"


@contextmanager
def sandbox_server(directory: Path, *options: str) -> Iterator[str]:
    """A sandbox of its own for one test: yields its address."""
    port = free_port()
    command = [sys.executable, "-m", "sandbox", "--port", str(port), *options]
    log = directory / "sandbox.log"
    url = f"http://127.0.0.1:{port}"
    with running(command, log) as process:

        def is_up() -> bool:
            if process.poll() is not None:
                pytest.fail(f"The sandbox ended: {log.read_text()}")
            return answers_http(f"{url}/v3/grants")

        wait_until(is_up, "the sandbox answers")
        yield url


def answers_http(url: str) -> bool:
    request = urllib.request.Request(url, headers={"Authorization": "Bearer sandbox-key"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


# --- fixtures ----------------------------------------------------------------------------------
@pytest.fixture(scope="session", autouse=True)
def live_redis() -> Iterator[str]:
    """The queue that the settings under test name. Running for every test: queueing is real."""
    if not settings.REDIS_URL.endswith(str(settings.EMBEDDED_REDIS_SOCKET)):
        yield settings.REDIS_URL
        return
    path = settings.EMBEDDED_REDIS_SOCKET
    path.parent.mkdir(parents=True, exist_ok=True)
    with running(embedded_redis.command(path), path.parent / "redis.log"):
        wait_until(lambda: embedded_redis.answers(path), "the queue answers on its socket")
        yield settings.REDIS_URL


@pytest.fixture(scope="session")
def sandbox_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One sandbox for the session, default world. Tests that change it start their own."""
    with sandbox_server(tmp_path_factory.mktemp("sandbox")) as url:
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Debian's Chromium. Where there is none, the test is skipped, and on CI it fails."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        sentence = "Chromium is not installed (Debian: apt install chromium)."
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    from playwright.sync_api import sync_playwright

    # Playwright keeps an event loop in this thread, which makes Django refuse the ORM otherwise.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=CHROMIUM_OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def live_environment(transactional_db: None, live_redis: str) -> dict[str, str]:
    """For a real process (worker, management command) on this test's database and queue."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        url = f"sqlite:///{database['NAME']}"
    else:
        url = os.environ["DATABASE_URL"]
        before, _, after = url.rpartition("/")
        options = after.partition("?")[2]
        url = f"{before}/{database['NAME']}" + (f"?{options}" if options else "")
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "crm_sync.settings",
        "DATABASE_URL": url,
        "REDIS_URL": live_redis,
    }
