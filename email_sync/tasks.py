"""Celery's way in: each task takes an id, loads the row and calls one function.

The queue is never the truth: a task that is lost, repeated or late changes nothing but the time.
"""

import logging
import random
import time
from datetime import timedelta
from typing import Any

from celery import shared_task
from django.conf import settings as django_settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import system_settings, webhooks
from accounts.dispatching import queue, take_due
from accounts.gateway import nylas
from accounts.models import Mailbox, MailboxSync
from accounts.rules import backoff
from crm_sync.providers.errors import ProviderError, ReconnectRequired, TransientError
from email_sync import hints
from email_sync.coverage import check_mailbox
from email_sync.gateway import gmail
from email_sync.intake import is_wanted, sync_intake
from email_sync.models import CoverageCheck, IntakeConnection, LedgerEntry
from email_sync.sync import sync_mailbox

logger = logging.getLogger(__name__)

#: Entries emptied in one statement.
EXPIRE_BATCH = 5_000
#: Checks queued by one run of the nightly dispatcher: 10,000 mailboxes take most of the night.
CHECK_LIMIT = 150
#: A queued check that nobody began by then is taken for lost.
CHECK_LOST_AFTER = timedelta(hours=2)


#: How often a hint is tried again; after that polling has come round anyway.
HINT_RETRIES = 5
#: Behind the passes (a smaller number comes first): a storm of hints must not hold them up.
HINT_PRIORITY = 6

_chance = random.Random()


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
    ready = take_due(MailboxSync.objects.due(now).filter(kind="email"), now=now)
    queue_passes(ready)
    return len(ready)


def queue_passes(sync_ids: list[int]) -> None:
    """Wake workers for the email side of these mailboxes."""
    queue(sync_mailbox_email, MailboxSync, sync_ids)


@shared_task(name="email_sync.sync_intake")
def read_intake(connection_id: int) -> None:
    """One pass over the monitored mailbox, if it is still due; a repeat does nothing."""
    settings = system_settings.current()
    connection = IntakeConnection.objects.due(timezone.now()).filter(pk=connection_id).first()
    if connection is None or not is_wanted(settings):
        IntakeConnection.objects.filter(pk=connection_id).update(queued_at=None)
        return
    report = sync_intake(connection, gateway=gmail(connection), settings=settings)
    if not report.result.is_finished:
        queue_intake([connection_id])


@shared_task(name="email_sync.dispatch_intake")
def dispatch_intake() -> int:
    """Queue a pass over the monitored mailbox if it is due; how many."""
    if not is_wanted(system_settings.current()):
        return 0
    now = timezone.now()
    ready = take_due(IntakeConnection.objects.due(now), now=now)
    queue_intake(ready)
    return len(ready)


def queue_intake(connection_ids: list[int]) -> None:
    """Wake a worker for the monitored mailbox, once the rows say so."""
    transaction.on_commit(lambda: queue(read_intake, IntakeConnection, connection_ids))


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


@shared_task(name="email_sync.dispatch_checks")
def dispatch_checks() -> int:
    """Queue a check of coverage for some of the mailboxes whose turn it is; how many.

    Only healthy mailboxes that have been read once: what the passes cannot read, a check cannot
    either. Those that were never checked, or longest ago, come first.
    """
    if not system_settings.current().processing:
        return 0
    now = timezone.now()
    checks = CoverageCheck.objects.due(now).exclude(queued_at__gt=now - CHECK_LOST_AFTER)
    ready = list(
        MailboxSync.objects.enabled()
        .filter(kind="email", stopped_at=None, failure="", mailbox__rejected_at=None)
        .exclude(backfilled_at=None)
        .filter(Q(mailbox__coverage_check=None) | Q(mailbox__coverage_check__in=checks))
        .order_by(F("mailbox__coverage_check__tried_at").asc(nulls_first=True), "pk")
        .values_list("pk", "mailbox_id")[:CHECK_LIMIT]
    )
    mailboxes = [mailbox_id for _, mailbox_id in ready]
    CoverageCheck.objects.bulk_create(
        [CoverageCheck(mailbox_id=mailbox_id) for mailbox_id in mailboxes], ignore_conflicts=True
    )
    CoverageCheck.objects.filter(mailbox__in=mailboxes).update(queued_at=now)
    try:
        for sync_id, _ in ready:
            check_coverage.apply_async((sync_id,), retry=False)
    except OperationalError:
        logger.warning("the broker is away; %s checks wait for the dispatcher", len(ready))
        CoverageCheck.objects.filter(mailbox__in=mailboxes).update(queued_at=None)
    return len(ready)


@shared_task(name="email_sync.check_coverage")
def check_coverage(sync_id: int) -> None:
    """One check, if the mailbox's turn has not been taken; a repeat does nothing."""
    settings, now = system_settings.current(), timezone.now()
    syncs = MailboxSync.objects.enabled().filter(
        pk=sync_id, stopped_at=None, mailbox__rejected_at=None
    )
    sync = syncs.select_related("mailbox__user").first()
    if sync is None or not settings.processing:
        CoverageCheck.objects.filter(mailbox__syncs=sync_id).update(queued_at=None)
        return
    turn = CoverageCheck.objects.due(now).filter(mailbox=sync.mailbox)
    if not turn.update(tried_at=now, queued_at=None):
        return
    # Half of the longest task: the pass that heals has its own time.
    end = time.monotonic() + django_settings.LONGEST_TASK_SECONDS / 2
    check = check_mailbox(
        sync, gateway=nylas(), settings=settings, is_time_up=lambda: time.monotonic() > end
    )
    if not check.is_complete:
        logger.info("mailbox %s: %s messages missing", sync.mailbox_id, check.missing)


@shared_task(name="email_sync.read_message", bind=True, max_retries=HINT_RETRIES)
def read_message(task: Any, sync_id: int, provider_id: str) -> None:
    """Read one message that a webhook named, if the ledger does not have it: see `hints`."""
    if hints.is_known(sync_id, provider_id):
        return
    settings = system_settings.current()
    sync = hints.open_syncs().filter(pk=sync_id).select_related("mailbox__user").first()
    if sync is None or not settings.processing:
        return
    try:
        hints.read_message(sync, provider_id, gateway=nylas(), settings=settings)
    except TransientError as error:
        _try_again(task, error)
    except ReconnectRequired as error:
        webhooks.reject(sync.mailbox, error, now=timezone.now())
    except ProviderError as error:
        # Not this message's fault: the next pass meets it too and writes it down.
        logger.warning("hint for sync %s left to polling: %s", sync_id, error.code)


@shared_task(name="email_sync.check_grant", bind=True, max_retries=HINT_RETRIES)
def check_grant(task: Any, mailbox_id: int) -> None:
    """Ask how a mailbox's grant stands, since a webhook said that it changed."""
    authorised = Mailbox.objects.exclude(grant_digest="").filter(user__is_active=True)
    mailbox = authorised.select_related("user").filter(pk=mailbox_id).first()
    if mailbox is None:
        return
    try:
        webhooks.check_grant(mailbox, gateway=nylas(), now=timezone.now())
    except TransientError as error:
        _try_again(task, error)
    except ProviderError as error:
        logger.warning("grant of mailbox %s could not be checked: %s", mailbox_id, error.code)


def _try_again(task: Any, error: TransientError) -> None:
    retries = task.request.retries
    if retries >= HINT_RETRIES:
        logger.warning("%s left to polling: %s", task.name, error.code)
        return
    wait = backoff(retries + 1, retry_after=error.retry_after, chance=_chance)
    # The broker would hand out again what is held back for longer than its visibility time-out.
    longest = django_settings.LONGEST_TASK_SECONDS
    raise task.retry(exc=error, countdown=min(wait.total_seconds(), longest))


def queue_hint(sync_id: int, provider_id: str) -> None:
    """Have a message read soon. A broker that is away is no error: polling finds the message."""
    try:
        read_message.apply_async((sync_id, provider_id), retry=False, priority=HINT_PRIORITY)
    except OperationalError:
        logger.warning("the broker is away; a hint for sync %s is left to polling", sync_id)


def queue_grant_check(mailbox_id: int) -> None:
    """Have a grant looked at soon. A broker that is away is no error: the next pass finds out."""
    try:
        check_grant.apply_async((mailbox_id,), retry=False)
    except OperationalError:
        logger.warning("the broker is away; the grant of mailbox %s is unchecked", mailbox_id)


@shared_task(name="email_sync.forget_notifications")
def forget_notifications() -> int:
    """Delete notifications that can no longer be repeated; how many."""
    return webhooks.forget_old(now=timezone.now())
