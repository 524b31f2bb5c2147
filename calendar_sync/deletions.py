"""Deletions on either side: found, counted, held by the brake or carried out, last in a pass.

There: events of items that were deleted, switched off or handed over. Here: items whose events are
gone, which are unlinked (our own) or marked cancelled (imported); no record is ever deleted.
Until they are carried out they stand on the links (`is_leaving`, `gone_at`), so nothing is
forgotten in between.
"""

from django.db.models import Q
from msgspec import Struct
from msgspec.structs import replace

from calendar_sync import brake, history
from calendar_sync.brake import Deletions
from calendar_sync.incoming import absorb, lock_links, note_gone, take_events
from calendar_sync.models import ActionItem, ActionItemChange, EventLink
from calendar_sync.models.calendars import EventLinkQuerySet
from calendar_sync.outgoing import MAX_ATTEMPTS, each, find
from calendar_sync.passing import Pass
from crm_sync.providers.errors import ItemGone
from crm_sync.providers.types import Event

#: Items unlinked or marked in one transaction.
BATCH = 100


class Waiting(Struct, frozen=True):
    """Links whose deletions wait: events to be removed there, items to be told here; and how many
    of them count for the brake."""

    leaving: list[int]
    gone: list[int]
    counted: Deletions


def _waiting(run: Pass) -> Waiting:
    """What waits in calendars that we may write to.

    Events left in a calendar that the user no longer syncs do not count: the user chose another
    one, and the to-dos moved there.
    """
    current = run.cursor.calendar_id
    leaving, gone, there = [], [], 0
    links = EventLink.objects.filter(mailbox=run.mailbox).order_by("pk")
    rows = links.filter(Q(is_leaving=True) | Q(gone_at__isnull=False))
    for link in rows.defer("agreed"):
        if not link.is_leaving:
            gone.append(link.pk)
        elif link.calendar_id != current or not run.cursor.is_read_only:
            there += link.calendar_id == current and bool(link.event_id) and link.gone_at is None
            leaving += [link.pk] if link.attempts < MAX_ATTEMPTS else []
    return Waiting(leaving, gone, Deletions(there=there, here=len(gone) + run.unasked))


# --- what vanished -------------------------------------------------------------------------------


def look_for_vanished(run: Pass) -> None:
    """Ask for each event that a whole listing should have shown and did not.

    Once so many are gone that the brake will hold, the others are not asked for: they are when it
    was released.
    """
    if run.whole_listing_at is None:
        return
    unseen = list(_unseen(run))
    counted = _waiting(run).counted if unseen else Deletions(0, 0)
    while unseen:
        if run.is_time_up():
            run.result.is_finished = False
            return
        if brake.holds(run, counted):
            run.unasked = len(unseen)
            break
        if _is_gone(run, unseen.pop()):
            counted = replace(counted, here=counted.here + 1)
    with run.storing():
        run.cursor.listed_at = run.whole_listing_at
        run.cursor.save(update_fields=["listed_at"])


def _unseen(run: Pass) -> EventLinkQuerySet:
    """Links whose events the listing did not show: gone, or further ahead than it reaches."""
    assert run.whole_listing_at is not None
    dated = ActionItem.objects.within(run.window).filter(
        Q(origin=ActionItem.Origin.CRM) | Q(cancelled_at=None, deleted_at=None)
    )
    links = EventLink.objects.live().filter(
        mailbox=run.mailbox, calendar_id=run.cursor.calendar_id, gone_at=None, item__in=dated
    )
    return links.exclude(event_id="").exclude(seen_at=run.whole_listing_at).order_by("-pk")


def _is_gone(run: Pass, link: EventLink) -> bool:
    """Ask for the event itself; if it is there, what it says is taken in."""
    event = _event(run, link)
    with run.storing():
        if event is not None and event.status != "cancelled":
            take_events(run, [event])
            return False
        for locked in lock_links([link.pk]):
            note_gone(run, locked)
    return True


def _event(run: Pass, link: EventLink) -> Event | None:
    try:
        return run.gateway.event(run.grant_id, link.event_id, calendar_id=link.calendar_id)
    except ItemGone:
        return None


# --- carrying them out ---------------------------------------------------------------------------


def carry_out(run: Pass) -> None:
    """Remove events, and unlink or mark items whose events are gone. Raises DeletionBrake."""
    waiting = _waiting(run)
    if brake.holds(run, waiting.counted):
        brake.hold(run, waiting.counted)
    each(run, waiting.leaving, lambda link: _remove(run, link))
    for first in range(0, len(waiting.gone), BATCH):
        with run.storing():
            _tell_items(run, lock_links(waiting.gone[first : first + BATCH]))
    if run.result.is_finished and not run.setbacks:
        brake.let_go(run)


def _remove(run: Pass, link: EventLink) -> None:
    """Remove the event of a link that is leaving, and then the link.

    What somebody changed in the event until now is taken into the item, which may live on.
    """
    event = _event(run, link) if link.event_id else find(run, link)
    if event is not None and event.status != "cancelled":
        if event.time is not None:
            with run.storing():
                for locked in lock_links([link.pk]):
                    absorb(run, locked, event)
        run.gateway.delete_event(run.grant_id, event.id, calendar_id=link.calendar_id)
    with run.storing():
        EventLink.objects.filter(pk=link.pk, is_leaving=True).delete()
    run.result.matched += 1


def _tell_items(run: Pass, links: list[EventLink]) -> None:
    rows = []
    for link in links:
        item = link.item
        if link.is_leaving:
            continue
        if item.is_imported:
            item.cancelled_at = item.cancelled_at or run.started_at
            item.save(update_fields=["cancelled_at"])
            link.gone_at = None
            link.save(update_fields=["gone_at"])
            summary = "Cancelled in the mail app"
        else:
            item.unlinked_at = run.started_at
            item.save(update_fields=["unlinked_at"])
            link.delete()
            summary = "Deleted in the mail app; kept here"
        rows.append(history.row(item, summary, at=run.started_at, is_from_mail_app=True))
    ActionItemChange.objects.bulk_create(rows)
    run.result.matched += len(rows)
