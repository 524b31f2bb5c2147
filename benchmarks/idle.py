"""Passes over mailboxes in which nothing is new, through the task that a worker runs.

Each mailbox was read before. Its listings reach a day back, as they do in production, and give
messages that the ledger has.
"""

from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from django.test import override_settings
from django.utils import timezone

from accounts.models import MailboxSync
from benchmarks import scenery, servers
from benchmarks.measuring import Rounds, interleaved, queries_counted
from crm_sync.providers.nylas import NylasGateway
from email_sync.models import FolderCursor
from email_sync.sync import OVERLAP
from email_sync.tasks import sync_mailbox_email

#: Generated messages of each mailbox, over HISTORY_DAYS: about as many a day as a rep has.
MESSAGES = 400
HISTORY_DAYS = 10


@dataclass(frozen=True)
class Idle:
    mailboxes: int
    sample: int
    listed: float
    queries: int
    rounds: Rounds


def measure(*, mailboxes: int, sample: int, rounds: int) -> Idle:
    """`sample` of the mailboxes are read, again and again; all of them stand in the tables."""
    # Half of the sandbox's people have authorised us.
    anchor = servers.end_of_working_week()
    with servers.sandbox(
        mailboxes=2 * mailboxes, messages=MESSAGES, history_days=HISTORY_DAYS, anchor=anchor
    ) as url:
        gateway = servers.gateway(url)
        grants = list(islice(gateway.grants(), mailboxes))
        syncs = scenery.make_mailboxes(grants, sync_from=anchor - OVERLAP)
        scenery.settle()
        chosen = syncs[:: max(1, len(syncs) // sample)][:sample]
        with override_settings(
            NYLAS_API_URI=url, NYLAS_API_KEY=servers.KEY, NYLAS_CLIENT_ID="benchmarks"
        ):
            _pass(chosen)
            scenery.settle()
            # The second idle pass in a row is the usual one.
            _pass(chosen[:1])
            MailboxSync.objects.filter(pk=chosen[0]).update(next_due_at=timezone.now())
            with queries_counted() as seen:
                sync_mailbox_email(chosen[0])
            cursors = list(
                FolderCursor.objects.filter(mailbox__syncs__in=chosen).select_related("mailbox")
            )
            listed: list[int] = []
            found = interleaved(
                {
                    "product": lambda: _pass(chosen),
                    "floor": lambda: _only_ask(gateway, cursors, listed),
                },
                rounds=rounds,
            )
    return Idle(len(grants), len(chosen), sum(listed) / rounds / len(chosen), len(seen), found)


def _pass(syncs: list[int]) -> int:
    """One pass over each, now due."""
    MailboxSync.objects.filter(pk__in=syncs).update(next_due_at=timezone.now())
    for sync_id in syncs:
        sync_mailbox_email(sync_id)
    healthy = MailboxSync.objects.filter(pk__in=syncs, failure="", next_due_at__gt=timezone.now())
    if healthy.count() != len(syncs):
        raise SystemExit("Some of the passes failed.")
    return len(syncs)


def _only_ask(gateway: NylasGateway, cursors: list[FolderCursor], listed: list[int]) -> int:
    """The floor: the same requests, decoded, and nothing done with the answers."""
    asked: set[str] = set()
    for cursor in cursors:
        grant_id = cursor.mailbox.grant_id
        if grant_id not in asked:
            asked.add(grant_id)
            gateway.folders(grant_id)
        start = cursor.mailbox.sync_from or scenery.LONG_AGO
        if cursor.read_up_to is not None:
            start = max(start, cursor.read_up_to - OVERLAP)
        page = gateway.message_page(
            grant_id, folder_id=cursor.folder_id, received_after=start - timedelta(seconds=1)
        )
        listed.append(len(page.messages))
    return len(asked)
