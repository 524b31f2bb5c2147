"""How long after a message arrived at the provider it is on the customer's page.

The whole way, with real processes: the sandbox stores a message and sends its signed webhook, the
web server takes it, a worker reads the message and its text, and the page shows it. The page is
asked for every few milliseconds, so the figure includes that question.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.utils import timezone

from accounts import system_settings
from accounts.connecting import adopt_grant
from accounts.models import Contact, Customer, Mailbox, MyContact, User
from benchmarks import servers
from crm_sync.processes import die_with_parent

LOOK_EVERY = 0.01
LONGEST = 30.0


def measure(*, deliveries: int) -> list[float]:
    """Seconds from the sandbox's answer to each delivery until the page shows it, sorted."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(
            servers.sandbox(
                mailboxes=2, messages=100, history_days=45, anchor=servers.end_of_working_week()
            )
        )
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        environment = _environment(sandbox, url)
        mailbox, customer = _prepare(sandbox)
        bind = ["--bind", f"127.0.0.1:{port}", "--threads", "4"]
        stack.enter_context(_process(environment, "gunicorn", *bind, "crm_sync.wsgi"))
        worker = ["-A", "crm_sync", "worker", "--concurrency", "2", "--loglevel", "WARNING"]
        stack.enter_context(_process(environment, "celery", *worker))
        _wait(lambda: _answers(f"{url}/healthz"))
        subprocess.run(
            [sys.executable, "manage.py", "webhook", "register"],
            cwd=servers.ROOT, env=environment, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        page = f"{url}/emails/customers/{customer.pk}/"
        session = requests.Session()
        session.cookies.set(settings.SESSION_COOKIE_NAME, _sign_in(mailbox.user))
        _first_pass(mailbox)
        return sorted(
            _one(sandbox, session, page, mailbox.authorised_address, f"Latency {number}-")
            for number in range(deliveries)
        )


def _one(sandbox: str, session: requests.Session, page: str, address: str, subject: str) -> float:
    what: dict[str, Any] = {
        "mailbox": address,
        "from": {"name": "Lena Late", "email": "lena@latency.example"},
        "to": [{"email": address}],
        "subject": subject,
        "body": "A short text.",
        "folder": "inbox",
    }
    requests.post(f"{sandbox}/sandbox/deliver", json=what, timeout=30).raise_for_status()
    start = time.perf_counter()
    _wait(lambda: subject in session.get(page, timeout=30).text)
    return time.perf_counter() - start


def _prepare(sandbox: str) -> tuple[Mailbox, Customer]:
    """A rep with a mailbox in the sandbox and one contact of theirs."""
    grant = next(servers.gateway(sandbox).grants())
    # Another benchmark's rep may hold the mailbox of the same name.
    Mailbox.objects.filter(authorised_address=grant.email).update(grant_id="", grant_digest="")
    rep = User.objects.create(username="latency", email="rep@latency.example")
    mailbox = adopt_grant(rep, grant, now=timezone.now(), settings=system_settings.current())
    mailbox.email_enabled = True
    mailbox.save()
    customer = Customer.objects.create(number="latency", name="Latency")
    contact = Contact.objects.create(customer=customer, first_name="Lena", last_name="Late")
    contact.set_addresses(["lena@latency.example"])
    MyContact.objects.flag(rep, [contact])
    return mailbox, customer


def _first_pass(mailbox: Mailbox) -> None:
    """Webhooks before it would tell nothing: the first pass reads everything anyway."""
    from email_sync.tasks import queue_passes

    rows = mailbox.syncs.filter(kind="email")
    queue_passes(list(rows.values_list("pk", flat=True)))
    _wait(lambda: rows.exclude(backfilled_at=None).filter(lease_holder="").exists())


def _sign_in(user: User) -> str:
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def _environment(sandbox: str, url: str) -> dict[str, str]:
    """For the product's processes, on this benchmark's database."""
    name = str(connection.settings_dict["NAME"])
    database = urlsplit(os.environ["DATABASE_URL"])
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "crm_sync.settings",
        "DATABASE_URL": database._replace(path=f"/{name}").geturl(),
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_ENCRYPTION_KEYS": ",".join(settings.FIELD_ENCRYPTION_KEYS),
        "NYLAS_API_URI": sandbox,
        "NYLAS_API_KEY": servers.KEY,
        "NYLAS_CLIENT_ID": "sandbox-client",
        "PUBLIC_URL": url,
    }


@contextmanager
def _process(environment: dict[str, str], *words: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=servers.ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=partial(die_with_parent),
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def _wait(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + LONGEST
    while not is_so():
        if time.monotonic() > end:
            sys.exit(f"Not within {LONGEST:.0f} s; the benchmark of the webhook ends.")
        time.sleep(LOOK_EVERY)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def share(latencies: list[float], part: float) -> float:
    """The latency that this part of them does not exceed; they are sorted."""
    return latencies[min(len(latencies) - 1, int(part * len(latencies)))]
