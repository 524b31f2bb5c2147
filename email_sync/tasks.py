"""Celery's way in: each task takes an id, loads the row and calls one function.

The queue is never the truth: a task that is lost, repeated or late changes nothing but the time.
"""

import logging
from datetime import timedelta

from celery import shared_task
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import leases, system_settings
from accounts.gateway import nylas
from accounts.models import MailboxSync
from email_sync.models import LedgerEntry
from email_sync.sync import sync_mailbox

logger = logging.getLogger(__name__)

#: A queued pass that nobody began by then is taken for lost and queued again.
LOST_AFTER = timedelta(minutes=5)
#: Passes queued by one run of the dispatcher, and entries emptied in one statement.
DISPATCH_LIMIT = 2_000
EXPIRE_BATCH = 5_000


@shared_task(name="email_sync.sync_mailbox")
def sync_mailbox_email(sync_id: int) -> None:
    """One pass, if the mailbox is still due; a repeat of a pass already made does nothing."""
    settings = system_settings.current()
    due = MailboxSync.objects.due(timezone.now()).filter(pk=sync_id)
    sync = due.select_related("mailbox__user").first()
    if sync is None or not settings.processing:
        MailboxSync.objects.filter(pk=sync_id).update(queued_at=None)
        return
    report = sync_mailbox(sync, gateway=nylas(), settings=settings)
    if not report.result.is_finished:
        queue_passes([sync_id])


@shared_task(name="email_sync.dispatch_due")
def dispatch_due() -> int:
    """Queue a pass for each mailbox that is due, once; how many."""
    if not system_settings.current().processing:
        return 0
    now = timezone.now()
    with transaction.atomic():
        due = (
            MailboxSync.objects.due(now)
            .filter(Q(queued_at=None) | Q(queued_at__lt=now - LOST_AFTER), kind="email")
            .order_by("next_due_at")
            .select_for_update(
                of=("self",) if connection.features.has_select_for_update_of else (),
                skip_locked=connection.features.has_select_for_update_skip_locked,
            )
        )
        ready = [
            row.pk
            for row in due.only("lease_holder", "lease_until")[:DISPATCH_LIMIT]
            if leases.is_free(row, now=now)
        ]
        MailboxSync.objects.filter(pk__in=ready).update(queued_at=now)
    queue_passes(ready)
    return len(ready)


def queue_passes(sync_ids: list[int]) -> None:
    """Wake workers for these. A broker that is away is no error: the dispatcher comes again."""
    try:
        for sync_id in sync_ids:
            sync_mailbox_email.apply_async((sync_id,), retry=False)
    except OperationalError:
        logger.warning("the broker is away; %s passes wait for the dispatcher", len(sync_ids))
        MailboxSync.objects.filter(pk__in=sync_ids).update(queued_at=None)


@shared_task(name="email_sync.expire_ledger")
def expire_ledger() -> int:
    """Empty entries of unmatched messages older than the retention; how many."""
    now = timezone.now()
    before = now - timedelta(days=system_settings.current().retention_days)
    total = 0
    while batch := list(
        LedgerEntry.objects.expired(before).values_list("pk", flat=True)[:EXPIRE_BATCH]
    ):
        with transaction.atomic():
            total += LedgerEntry.objects.filter(pk__in=batch).empty(now=now)
    return total
