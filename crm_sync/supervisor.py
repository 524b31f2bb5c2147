"""Starts the parts of a running CRM on one machine, restarts one that ends, stops them all.

No part outlives the supervisor: each dies with it (`processes.die_with_parent`), even when it is
killed. The kernel ties that to the *thread* that made the process, so there is only one here: all
waiting is for signals, on a file descriptor, and for answers.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from crm_sync.processes import die_with_parent

START_SECONDS = 60.0
STOP_SECONDS = 8.0
# More often than this, and starting again does not help.
MOST_RESTARTS = 5
RESTART_WINDOW = 60.0

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """Somebody asked us to stop."""


class PartFailed(Exception):
    """A part does not start, or does not stay; the text is for the screen."""


@dataclass
class Part:
    name: str
    command: list[str]
    log: Path
    outcome: str
    is_ready: Callable[[], bool]
    process: subprocess.Popen[bytes] = field(init=False)
    restarts: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_RESTARTS))
    # When the present process began, and where in the log.
    began: float = 0.0
    log_start: int = 0

    def has_logged(self, text: str) -> bool:
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            return text.encode() in log.read()

    def last_lines(self) -> str:
        lines = self.log.read_text(errors="replace")[-4000:].splitlines()[-12:]
        return "\n".join(f"    {line}" for line in lines)


class Supervisor:
    """Use it as a context: leaving it stops every part, the last started first."""

    def __init__(self, *, root: Path, logs: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        self.logs = logs
        self.environment = {**environment, "PYTHONUNBUFFERED": "1"}
        self.parts: list[Part] = []
        self._is_asked_to_stop = False

    def __enter__(self) -> "Supervisor":
        self._wakeup, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        # SIGCHLD needs a handler, else it does not wake anything.
        handlers = dict.fromkeys(_STOP_SIGNALS, self._ask_to_stop)
        handlers[signal.SIGCHLD] = lambda *_: None
        self._former = {sign: signal.signal(sign, handlers[sign]) for sign in handlers}
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for sign, handler in self._former.items():
            signal.signal(sign, handler)
        os.close(signal.set_wakeup_fd(-1))
        os.close(self._wakeup)

    def _ask_to_stop(self, *_: object) -> None:
        self._is_asked_to_stop = True

    # --- starting ------------------------------------------------------------------------------
    def run(self, name: str, command: list[str]) -> str:
        """A command that ends by itself: waits for it, returns what it printed."""
        log = self.logs / f"{name}.log"
        part = Part(name, command, log, "", lambda: False)
        self._spawn(part)
        try:
            while part.process.poll() is None:
                self._pause(1)
        except Stopped:
            self._kill(part)
            raise
        if part.process.returncode != 0:
            raise PartFailed(f"{name} failed ({log}):\n{part.last_lines()}")
        with log.open("rb") as output:
            output.seek(part.log_start)
            return output.read().decode(errors="replace")

    def start(self, *parts: Part) -> None:
        """Starts the parts, all at once, and waits until each is ready."""
        for part in parts:
            self._spawn(part)
            self.parts.append(part)
        for part in parts:
            with step(part.name, part.outcome, began=part.began):
                self._wait_until_ready(part)

    def _wait_until_ready(self, part: Part) -> None:
        end = time.monotonic() + START_SECONDS
        while not part.is_ready():
            if part.process.poll() is not None:
                raise PartFailed(f"{part.name} ended at once ({part.log}):\n{part.last_lines()}")
            if time.monotonic() > end:
                raise PartFailed(
                    f"{part.name} is not ready after {START_SECONDS:g} s ({part.log}):\n"
                    f"{part.last_lines()}"
                )
            self._pause(0.05)

    def _spawn(self, part: Part) -> None:
        with part.log.open("ab") as log:
            part.began = time.monotonic()
            part.log_start = log.tell()
            part.process = subprocess.Popen(
                part.command,
                cwd=self.root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches only us, so that parts stop in order; and what a part leaves
                # behind can be ended as its group.
                start_new_session=True,
                preexec_fn=partial(die_with_parent, os.getpid()),
            )

    # --- watching ------------------------------------------------------------------------------
    def watch(self) -> None:
        """Restarts what ends, until somebody asks to stop."""
        while True:
            for part in self.parts:
                if part.process.poll() is not None:
                    self._restart(part)
            self._pause(1)

    def _restart(self, part: Part) -> None:
        cause = describe_end(part.process.returncode)
        now = time.monotonic()
        if len(part.restarts) == MOST_RESTARTS and now - part.restarts[0] < RESTART_WINDOW:
            raise PartFailed(
                f"{part.name} ended {MOST_RESTARTS + 1} times within {RESTART_WINDOW:g} s, the "
                f"last time {cause} ({part.log}):\n{part.last_lines()}"
            )
        part.restarts.append(now)
        self._kill(part)
        with step(part.name, f"{cause}; started again", mark="↻"):
            self._spawn(part)
            self._wait_until_ready(part)

    def _pause(self, seconds: float) -> None:
        """Until a signal arrives, at most so long."""
        if not self._is_asked_to_stop:
            select.select([self._wakeup], [], [], seconds)
            with suppress(BlockingIOError):
                os.read(self._wakeup, 4096)
        if self._is_asked_to_stop:
            raise Stopped

    # --- stopping ------------------------------------------------------------------------------
    def stop(self) -> None:
        """All at once but the first, on which the others lean until they have ended."""
        first, others = self.parts[:1], self.parts[1:]
        self._stop_together(others)
        self._stop_together(first)
        self.parts.clear()

    def _stop_together(self, parts: list[Part]) -> None:
        for part in parts:
            part.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        for part in parts:
            with suppress(subprocess.TimeoutExpired):
                part.process.wait(max(0.0, end - time.monotonic()))
            self._kill(part)

    def _kill(self, part: Part) -> None:
        """The process and what it started: they share a group of their own."""
        with suppress(ProcessLookupError):
            os.killpg(part.process.pid, signal.SIGKILL)
        part.process.wait()


def describe_end(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with code {code}"


# --- the screen --------------------------------------------------------------------------------
def say(text: str = "", *, end: str = "\n") -> None:
    try:
        sys.stdout.write(text + end)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads any more; that is no reason to stop, nor to fail while stopping.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def step(
    name: str, outcome: str, *, mark: str = "✓", began: float | None = None
) -> Iterator[Callable[[str], None]]:
    """One line: on a terminal at once, and again with its seconds when it is done.

    The caller may say the outcome anew, where it is known better at the end.
    """
    is_terminal = sys.stdout.isatty()
    began = began or time.monotonic()
    outcomes = [outcome]
    if is_terminal:
        say(f"  … {name:<14} {outcome:<50}", end="")
    start = "\r" if is_terminal else ""
    try:
        yield outcomes.append
    except Stopped:
        say(f"{start}  – {name:<14} {'interrupted':<50}")
        raise
    except BaseException:
        say(f"{start}  ✗ {name:<14} {'failed':<50}")
        raise
    say(f"{start}  {mark} {name:<14} {outcomes[-1]:<50} {time.monotonic() - began:5.1f} s")
