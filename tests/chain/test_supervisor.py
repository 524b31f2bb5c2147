"""What the supervisor does with a part that does not start, or does not stay."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_sync.supervisor import MOST_RESTARTS, Part, PartFailed, Stopped, Supervisor
from tests.conftest import ROOT


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(root=ROOT, logs=tmp_path, environment=os.environ) as supervisor:
        yield supervisor


def part(logs: Path, program: str) -> Part:
    part = Part("part", [sys.executable, "-c", program], logs / "part.log", "", lambda: False)
    part.log.touch()
    part.is_ready = lambda: part.has_logged("here")
    return part


def test_a_part_that_ends_at_once_is_shown_with_its_last_words(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    with pytest.raises(PartFailed, match="part ended at once") as failure:
        supervisor.start(part(tmp_path, "raise SystemExit('cannot read the map')"))
    assert "cannot read the map" in str(failure.value)


def test_a_part_that_does_not_stay_is_given_up(
    supervisor: Supervisor, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    supervisor.start(part(tmp_path, "print('here', flush=True); import time; time.sleep(.2)"))
    with pytest.raises(PartFailed, match=f"part ended {MOST_RESTARTS + 1} times within 60 s"):
        supervisor.watch()
    assert capfd.readouterr().out.count("ended with code 0; started again") == MOST_RESTARTS


def test_a_part_that_ignores_the_request_to_stop_is_killed(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_sync.supervisor.STOP_SECONDS", 0.2)
    stubborn = part(
        tmp_path,
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('here', flush=True); time.sleep(60)",
    )
    supervisor.start(stubborn)
    supervisor.stop()
    assert stubborn.process.returncode == -signal.SIGKILL


def test_a_request_to_stop_is_heard_at_once(supervisor: Supervisor) -> None:
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        supervisor.run("setup", [sys.executable, "-c", "import time; time.sleep(60)"])
    assert time.monotonic() - began < 5
