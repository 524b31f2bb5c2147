"""Leases: one reader at a time for each mailbox, none lost for long when its reader dies.

A lease names its holder (host, process). A holder that is dead on the same host is replaced at
once; elsewhere a lease without a heartbeat ends within a minute.
"""

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from django.db import connection, models
from django.utils import timezone

from accounts.models.mailboxes import Schedule

LEASE = timedelta(seconds=60)
HEARTBEAT_SECONDS = 15.0


class LeaseLost(Exception):
    """Somebody else took the lease over while we were paused: stop, store nothing more."""


def _boot_mark() -> str:
    """When this process began, since a process number alone is used again."""
    try:
        return Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "0"


def new_holder() -> str:
    """A name for one reader: host, process, the process's start, and a random part."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{_boot_mark()}:{secrets.token_hex(4)}"


def is_dead_here(holder: str) -> bool:
    """Whether the holder is a process of this host that no longer exists."""
    host, _, rest = holder.partition(":")
    if host != socket.gethostname()[:60]:
        return False
    pid, _, rest = rest.partition(":")
    mark = rest.partition(":")[0]
    try:
        stat = Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return Path("/proc/self/stat").exists()
    return stat[0] == "Z" or (mark != "0" and stat[19] != mark)


def is_free(row: Schedule, *, now: datetime) -> bool:
    """Whether the row, as it was read, has no living reader."""
    if not row.lease_holder or row.lease_until is None or row.lease_until < now:
        return True
    return is_dead_here(row.lease_holder)


def claim(row: Schedule) -> str | None:
    """Take the row's lease; the new holder's name, or None while another reader lives."""
    now = timezone.now()
    holder = new_holder()
    free = models.Q(lease_holder="") | models.Q(lease_until__lt=now)
    if row.lease_holder and is_dead_here(row.lease_holder):
        free |= models.Q(lease_holder=row.lease_holder)
    taken = (
        type(row)
        ._default_manager.filter(free, pk=row.pk)
        .update(lease_holder=holder, lease_until=now + LEASE, last_started_at=now, queued_at=None)
    )
    return holder if taken else None


def confirm(row: Schedule, holder: str) -> None:
    """Lock the row in the present transaction and make sure that the lease is still ours.

    Every transaction of a pass begins with this: a worker that was paused past its lease can then
    store nothing beside its successor. Raises LeaseLost.
    """
    held = type(row)._default_manager.select_for_update().values_list("lease_holder", flat=True)
    if held.filter(pk=row.pk).first() != holder:
        raise LeaseLost


def lock(row: Schedule) -> None:
    """Lock the row in the present transaction, whoever holds the lease.

    For who stores a little beside a pass: it comes between two of the pass's transactions, each of
    which looks again at what is there.
    """
    list(type(row)._default_manager.select_for_update().filter(pk=row.pk).values_list("pk"))


@contextmanager
def kept_alive(row: Schedule, holder: str) -> Iterator[None]:
    """Renew the lease from a thread while the block runs, however long a request takes."""
    done = threading.Event()

    def beat() -> None:
        try:
            while not done.wait(HEARTBEAT_SECONDS):
                type(row)._default_manager.filter(pk=row.pk, lease_holder=holder).update(
                    lease_until=timezone.now() + LEASE
                )
        finally:
            connection.close()

    thread = threading.Thread(target=beat, name="lease heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
