"""What a calendar shows, taken in: changes to our own events, and appointments with contacts."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from calendar_sync import appointments, failures, history
from calendar_sync.contents import content_of, content_of_event, take, time_of
from calendar_sync.merging import Agreed, Merge, merge, prints
from calendar_sync.models import ActionItem, ActionItemChange, EventLink
from calendar_sync.passing import Pass
from calendar_sync.rules import is_newer_here
from calendar_sync.series import start_of
from crm_sync.providers.types import Event, UnreadableEvent

Pair = tuple[EventLink, Event]

#: What an event may change of an item.
ITEM_FIELDS = "title starts_at ends_at all_day time_zone location note".split()


def take_events(run: Pass, listed: Iterable[Event]) -> None:
    """Sort events by what they are to us, and take in what they say. Call it in a transaction of
    the pass."""
    events = {event.id: event for event in listed}
    bad = [event for event in events.values() if _flaw(event)]
    failures.note(run, [UnreadableEvent(event.id, _flaw(event)) for event in bad])
    good = [event for event in events.values() if not _flaw(event)]
    failures.forget(run, (event.id for event in good))
    known = _links_of(run, good)
    pairs = [(link, event) for event in good if (link := known.link_of(event)) is not None]
    if run.cursor.is_whole_listing and run.cursor.listing_started_at is not None:
        seen = EventLink.objects.filter(pk__in=[link.pk for link, _ in pairs])
        seen.update(seen_at=run.cursor.listing_started_at)
    _take_ours(run, [(link, event) for link, event in pairs if not link.item.is_imported])
    appointments.follow(run, [(link, event) for link, event in pairs if link.item.is_imported])
    linked = {event.id for _, event in pairs}
    appointments.take_in(
        run, [e for e in good if e.id not in linked and not known.is_ours(e) and _is_new(e)]
    )


def _flaw(event: Event) -> str:
    """Why an event cannot be read, "" where it can. A cancelled one may lack everything."""
    if not 0 < len(event.id) <= failures.LONGEST_ID:
        return "The event's identifier cannot be stored."
    if event.time is None and event.status != "cancelled":
        return "The event has no usable time."
    return ""


def _is_new(event: Event) -> bool:
    """Whether an event without a link can be an appointment: not cancelled, and no master of a
    series, whose occurrences are taken one by one."""
    is_master = event.recurrence and not event.master_event_id
    return event.status != "cancelled" and not is_master


# --- which link belongs to which event -----------------------------------------------------------


class _Links(Struct, frozen=True):
    by_id: dict[str, EventLink]
    by_marker: dict[str, EventLink]
    by_slot: dict[tuple[str, datetime], EventLink]
    events: dict[str, Event]

    def link_of(self, event: Event) -> EventLink | None:
        if link := self.by_id.get(event.id):
            return link
        if event.master_event_id:
            return self._moved_identity(event)
        return self.by_marker.get(event.marker) if event.marker else None

    def _moved_identity(self, event: Event) -> EventLink | None:
        """The occurrence of the same series at the same original start, under another id."""
        original = event.original_start or start_of(event)
        link = self.by_slot.get((event.master_event_id, original)) if original else None
        return None if link is None or link.event_id in self.events else link

    def is_ours(self, event: Event) -> bool:
        """An occurrence or a copy of an event that we made: nobody's appointment."""
        master = self.by_id.get(event.master_event_id)
        return bool(event.marker) or (master is not None and not master.item.is_imported)


def _links_of(run: Pass, events: Sequence[Event]) -> _Links:
    """Everything that the events may belong to: one query, more only for what is not known yet."""
    links = EventLink.objects.select_related("item").filter(
        mailbox=run.mailbox, calendar_id=run.cursor.calendar_id
    )
    ids = {event.id for event in events} | {e.master_event_id for e in events if e.master_event_id}
    by_id = {link.event_id: link for link in links.filter(event_id__in=ids)}
    unknown = [event for event in events if event.id not in by_id]
    markers = {event.marker for event in unknown if event.marker}
    by_marker = {}
    if markers:
        waiting = links.filter(marker__in=markers, event_id="")
        by_marker = {link.marker: link for link in waiting}
    return _Links(by_id, by_marker, _by_slot(run, unknown), {event.id: event for event in events})


def _by_slot(run: Pass, events: Sequence[Event]) -> dict[tuple[str, datetime], EventLink]:
    slots = {
        (event.master_event_id, original)
        for event in events
        if event.master_event_id and (original := event.original_start or start_of(event))
    }
    if not slots:
        return {}
    found = EventLink.objects.select_related("item").filter(
        mailbox=run.mailbox,
        calendar_id=run.cursor.calendar_id,
        master_event_id__in={master for master, _ in slots},
        original_start__in={original for _, original in slots},
    )
    if (started_at := run.cursor.listing_started_at) is not None:
        # What this very listing has shown lives on under its own id.
        found = found.exclude(seen_at=started_at)
    by_slot = {}
    for link in found:
        assert link.original_start is not None
        by_slot[(link.master_event_id, link.original_start)] = link
    return by_slot


# --- our own events ------------------------------------------------------------------------------


def _take_ours(run: Pass, pairs: Sequence[Pair]) -> None:
    news = {link.pk: event for link, event in pairs if _is_news(link, event)}
    for link in lock_links(news) if news else ():
        event = news[link.pk]
        if event.status == "cancelled":
            note_gone(run, link)
        else:
            absorb(run, link, event)


def _is_news(link: EventLink, event: Event) -> bool:
    if event.status == "cancelled":
        return link.gone_at is None
    is_same = link.event_id == event.id and link.gone_at is None
    agreed = Agreed.read(link.agreed)
    return not is_same or bool(agreed.sent) or prints(content_of_event(event)) != agreed.there


def lock_links(pks: Iterable[int]) -> list[EventLink]:
    """These links as they are now, with their items, which stay locked in this transaction.

    The item's lock is what keeps a change on a screen and the sync apart.
    """
    links = EventLink.objects.filter(pk__in=list(pks))
    items = ActionItem.objects.select_for_update(of=("self",)).filter(links__in=links)
    found = (
        items.select_related("contact__customer", "customer")
        .prefetch_related("contact__addresses")
        .order_by("pk")
    )
    by_pk = {item.pk: item for item in found}
    locked = []
    for link in links.order_by("pk"):
        link.item = by_pk[link.item_id]
        locked.append(link)
    return locked


def note_gone(run: Pass, link: EventLink) -> None:
    """The event is gone; what that means here is carried out at the end of a pass."""
    link.gone_at = run.started_at
    link.save(update_fields=["gone_at"])


def absorb(run: Pass, link: EventLink, event: Event) -> Merge | None:
    """Bring an event and its item together as far as the event has something to say; what is left
    to be written to the event is in the answer. Call it with the item locked.

    None where either is dated outside the window: then nothing is carried over.
    """
    item = link.item
    content = content_of_event(event)
    link.event_id, link.gone_at = event.id, None
    if not (run.window.holds(time_of(item)) and run.window.holds(content.time)):
        link.save(update_fields=["event_id", "gone_at"])
        return None
    merged = merge(
        prints(content_of(item)),
        prints(content),
        Agreed.read(link.agreed),
        is_newer_here=is_newer_here(
            item.changed_at,
            updated_at=event.updated_at,
            clock_offset=run.cursor.clock_offset,
        ),
    )
    before = history.values_of(item, run.user.zone)
    for name in merged.take:
        take(item, name, content)
    if merged.take:
        item.save(update_fields=ITEM_FIELDS)
        # After a hand-over the new owner's calendar has the item, too.
        item.links.exclude(pk=link.pk).update(item_changed_at=None)
        run.result.matched += 1
    here = prints(content_of(item))
    merged.agreed.here.update({name: here[name] for name in merged.take})
    link.agreed = merged.agreed.written()
    if not merged.give:
        link.item_changed_at = item.changed_at
    link.save(update_fields=["event_id", "gone_at", "agreed", "item_changed_at"])
    theirs = history.values_of_content(content, run.user.zone)
    _write_history(run, item, merged, before=before, theirs=theirs)
    return merged


def _write_history(
    run: Pass, item: ActionItem, merged: Merge, *, before: history.Values, theirs: history.Values
) -> None:
    after = history.values_of(item, run.user.zone)
    after["card"] = content_of(item).card
    rows = []
    if merged.take:
        fields = history.changed(before, after, merged.take)
        summary = "Changed in the mail app"
        if merged.overwritten_here:
            summary = "Changed in the mail app, later than here"
        rows.append(
            history.row(item, summary, at=run.started_at, is_from_mail_app=True, fields=fields)
        )
    if merged.overwritten_there:
        fields = history.changed(theirs, after, merged.overwritten_there)
        summary = "A change in the mail app was older, and is replaced by the CRM's"
        rows.append(history.row(item, summary, at=run.started_at, fields=fields))
    ActionItemChange.objects.bulk_create(rows)
