"""Celery's way in: each task takes an id, loads the row and calls one function.

The queue is never the truth: a task that is lost, repeated or late changes nothing but the time.
"""

from collections.abc import Iterable
from datetime import datetime

from celery import shared_task
from django.utils import timezone

from accounts import system_settings
from accounts.dispatching import queue, take_due
from accounts.gateway import nylas
from accounts.models import MailboxSync
from accounts.models.mailboxes import MailboxSyncQuerySet
from calendar_sync.sync import sync_calendar


@shared_task(name="calendar_sync.sync_calendar")
def sync_mailbox_calendar(sync_id: int) -> None:
    """One pass, if the calendar is still due; a repeat of a pass already made does nothing."""
    settings = system_settings.current()
    due = _calendars().due(timezone.now()).filter(pk=sync_id)
    sync = due.select_related("mailbox__user").first()
    if sync is None or not settings.processing:
        MailboxSync.objects.filter(pk=sync_id).update(queued_at=None)
        return
    report = sync_calendar(sync, gateway=nylas(), settings=settings)
    if not report.result.is_finished:
        queue_passes([sync_id])


@shared_task(name="calendar_sync.dispatch_due")
def dispatch_due() -> int:
    """Queue a pass for each calendar that is due, once; how many."""
    if not system_settings.current().processing:
        return 0
    now = timezone.now()
    ready = take_due(_calendars().due(now), now=now)
    queue_passes(ready)
    return len(ready)


def queue_passes(sync_ids: list[int]) -> None:
    """Wake workers for the calendar side of these mailboxes."""
    queue(sync_mailbox_calendar, MailboxSync, sync_ids)


def wake(users: Iterable[int], *, now: datetime) -> None:
    """Something changed for these users' calendars: a pass over each is due now.

    One that is stopped stays so: only a person restarts it.
    """
    theirs = _calendars().filter(mailbox__user__in=list(users))
    running = theirs.enabled().filter(stopped_at=None, next_due_at__gt=now)
    MailboxSync.objects.filter(pk__in=running.values("pk")).update(next_due_at=now)
    if system_settings.current().processing:
        queue_passes(take_due(theirs.due(now), now=now))


def _calendars() -> MailboxSyncQuerySet:
    return MailboxSync.objects.filter(kind=MailboxSync.Kind.CALENDAR)
