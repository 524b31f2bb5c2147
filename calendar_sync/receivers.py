"""What this app does when the rooms below tell it something."""

from django.utils import timezone

from accounts.models import Mailbox
from calendar_sync.models import CalendarCursor, EventFailure, EventLink
from calendar_sync.tasks import queue_passes, wake


def wake_worker(sender: object, mailbox: Mailbox, **kwargs: object) -> None:
    """Somebody wants a pass now: the rows say so already, this only saves the dispatcher's wait."""
    queue_passes(list(mailbox.syncs.filter(kind="calendar").values_list("pk", flat=True)))


def forget_calendar(sender: object, mailbox: Mailbox, **kwargs: object) -> None:
    """Another mailbox begins anew: what is known of the former one's events says nothing. The items
    stay; to-dos are made in the new calendar, appointments are known by their meeting. A pass over
    the former one stores nothing more."""
    mailbox.syncs.filter(kind="calendar").interrupt()
    CalendarCursor.objects.filter(mailbox=mailbox).delete()
    EventLink.objects.filter(mailbox=mailbox).delete()
    EventFailure.objects.filter(mailbox=mailbox).delete()


def follow_notification(
    sender: object, mailbox: Mailbox, kind: str, object_id: str, **kwargs: object
) -> None:
    """A webhook named an event or a calendar: a pass is due now. Nothing is asked here.

    That something vanished is found by a listing of the whole window only.
    """
    if kind not in {"event", "event-gone", "calendar"}:
        return
    now = timezone.now()
    if kind != "event":
        CalendarCursor.objects.filter(mailbox=mailbox).update(listing_wanted_at=now)
    wake([mailbox.user_id], now=now)
