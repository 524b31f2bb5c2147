"""Makes what a bare checkout lacks: `.venv`, its packages and the front-end files.

    scripts/bootstrap [--dev]      with --dev also what the tests and checks need

Knows only the standard library. A stamp in `.venv` remembers what was installed, so that a second
run takes no time and needs no network.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
REQUIREMENTS = {"runtime": ROOT / "requirements.txt", "dev": ROOT / "requirements-dev.txt"}


def main() -> None:
    arguments = argparse.ArgumentParser(description="Makes .venv and static/vendor.")
    arguments.add_argument("--dev", action="store_true", help="also for tests and checks")
    kind = "dev" if arguments.parse_args().dev else "runtime"

    # Two `make` at once would else install into each other's half-made environment.
    with (ROOT / "scripts" / "bootstrap.py").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ensure_environment()
        ensure_packages(kind)
        with step("front end", "htmx, Tabler and icons in static/vendor") as report:
            report(run_quietly([VENV_PYTHON, ROOT / "scripts" / "assets.py"]).strip())


def ensure_environment() -> None:
    if is_usable(VENV_PYTHON):
        with step("environment", "Python in .venv, as it was"):
            return
    if importlib.util.find_spec("ensurepip") is None:
        stop(
            f"Python at {sys.executable} comes without venv and pip. "
            "On Debian and Ubuntu: apt install python3-venv"
        )
    with step("environment", f"Python {sys.version.split()[0]} in .venv"):
        venv.create(VENV, with_pip=True, clear=True, symlinks=True)


def is_usable(python: Path) -> bool:
    """A copied or moved checkout has a `.venv` whose python, or pip, no longer starts."""
    if not python.exists():
        return False
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0


def ensure_packages(kind: str) -> None:
    wanted = stamp_of(kind)
    # Everything of the runtime is in dev too.
    for installed in {kind, "dev"}:
        stamp = VENV / f".installed-{installed}"
        if stamp.exists() and stamp.read_text() == stamp_of(installed):
            with step("packages", f"{REQUIREMENTS[kind].name}, unchanged"):
                return
    with step("packages", f"{REQUIREMENTS[kind].name} installed"):
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run_quietly([VENV_PYTHON, *pip, "--requirement", REQUIREMENTS[kind]])
    (VENV / f".installed-{kind}").write_text(wanted)


def stamp_of(kind: str) -> str:
    """The pins, and the place: scripts in `.venv/bin` name their own absolute path."""
    digest = hashlib.sha256(str(VENV).encode())
    digest.update(REQUIREMENTS["runtime"].read_bytes())
    if kind == "dev":
        digest.update(REQUIREMENTS["dev"].read_bytes())
    return digest.hexdigest()


def run_quietly(command: Sequence[str | Path]) -> str:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        stop(f"{result.stdout}{result.stderr}".strip())
    return result.stdout


@contextmanager
def step(name: str, outcome: str) -> Iterator["Report"]:
    """One line on the screen: on a terminal at once, and again when it is done."""
    report = Report(outcome)
    began = time.monotonic()
    if sys.stdout.isatty():
        print(f"  … {name:<14} {outcome}", end="", flush=True)
    try:
        yield report
    except BaseException:
        print(f"\r  ✗ {name:<14} {'failed':<50}", flush=True)
        raise
    start = "\r" if sys.stdout.isatty() else ""
    seconds = time.monotonic() - began
    print(f"{start}  ✓ {name:<14} {report.outcome:<50} {seconds:5.1f} s", flush=True)


class Report:
    """What a step says when it is done, where it knows better than before."""

    def __init__(self, outcome: str) -> None:
        self.outcome = outcome

    def __call__(self, outcome: str) -> None:
        self.outcome = outcome


def stop(sentence: str) -> None:
    print(f"\n{sentence}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    # Where the locale cannot write a tick, a question mark stands for it.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    os.umask(os.umask(0) | 0o022)
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
