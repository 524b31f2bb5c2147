"""`manage.py demo`, started for real: it outlives its killed parts and leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT, answers_http, free_port, wait_until

# One worker process runs these in order: they share a place, as a user's first and second run do.
pytestmark = pytest.mark.xdist_group("demo")

# How each part's own process is known; what it starts in turn is beneath it.
PARTS = {
    "queue": "valkey-server",
    "sandbox": "-m sandbox",
    "worker": "crm_sync worker",
    "scheduler": "crm_sync beat",
    "web": "gunicorn",
}


class RunningDemo:
    def __init__(self, var: Path, *options: str) -> None:
        self.var = var
        self.port = free_port()
        ports = ["--port", str(self.port), "--sandbox-port", str(free_port())]
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", *ports, *options],
            cwd=ROOT,
            env=environment(var),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.screen = ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.screen += line

    def wait_for(self, pattern: str, *, seconds: float = 60) -> None:
        def is_shown() -> bool:
            return re.search(pattern, self.screen) is not None or self.process.poll() is not None

        with suppress(TimeoutError):
            wait_until(is_shown, "", seconds=seconds)
        assert re.search(pattern, self.screen), f"not shown: {pattern}\n{self.screen}"

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def part(self, name: str) -> psutil.Process:
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if PARTS[name] in " ".join(child.cmdline()))

    def answers(self) -> bool:
        return answers_http(f"http://127.0.0.1:{self.port}/healthz")

    def end(self, sign: signal.Signals) -> int:
        self.process.send_signal(sign)
        code = self.process.wait(20)
        self.reader.join(5)
        return code


def environment(var: Path) -> dict[str, str]:
    ours = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "TEST_RUN_DIR"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"DJANGO_SETTINGS_MODULE": "crm_sync.settings", "VAR_DIR": str(var)}


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(processes: list[psutil.Process]) -> None:
    def is_gone() -> bool:
        return not any(map(is_alive, processes))

    wait_until(is_gone, f"these processes are gone: {processes}", seconds=5)


@contextmanager
def running_demo(var: Path, *options: str) -> Iterator[RunningDemo]:
    demo = RunningDemo(var, *options)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "var"


def test_every_killed_part_comes_back_and_a_killed_demo_leaves_nothing(var: Path) -> None:
    with running_demo(var) as demo:
        demo.wait_for(r"The CRM is ready: +http://localhost:\d+")
        demo.wait_for(r"Stop: +Ctrl-C")
        for role, name in (("rep", "mia"), ("manager", "lena"), ("admin", "ada")):
            assert re.search(rf"{role} +user {name} +password \S+", demo.screen)
        assert demo.answers()

        for name in PARTS:
            killed = demo.part(name)
            below = killed.children(recursive=True)
            killed.kill()
            demo.wait_for(rf"↻ {name} +killed by SIGKILL; started again .* s\n")
            wait_until_gone([killed, *below])
            assert is_alive(demo.part(name))
        assert demo.answers()

        family = demo.family()
        assert len(family) >= 9  # five parts, two pool processes, two web processes
        demo.end(signal.SIGKILL)
        wait_until_gone(family)


def test_a_second_run_keeps_the_data_and_ctrl_c_ends_everything(var: Path) -> None:
    with running_demo(var) as demo:
        demo.wait_for(r"sample data +kept from the last run")
        demo.wait_for(r"Stop: +Ctrl-C")
        family = demo.family()

        other = subprocess.run(
            [sys.executable, "manage.py", "demo"],
            cwd=ROOT,
            env=environment(var),
            capture_output=True,
            text=True,
            check=False,
        )
        assert other.returncode == 1
        assert "A demo is already running" in other.stderr

        assert demo.end(signal.SIGINT) == 0
        assert "Stopped; the data is kept." in demo.screen
        wait_until_gone(family)
        assert not demo.answers()


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = subprocess.run(
            [sys.executable, "manage.py", "demo", "--port", str(port)],
            cwd=ROOT,
            env=environment(tmp_path / "var"),
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert f"Port {port} is taken" in result.stderr
    assert f"make demo PORT={port + 1}" in result.stderr
