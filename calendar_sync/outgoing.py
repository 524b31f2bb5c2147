"""What the CRM writes into a calendar: events made and changed. Each write is safe to repeat.

No request is made in a transaction. Before each one its intent is committed, after it its result;
a crash in between is mended by the next pass: an event that was made is found by its marker, a
change that arrived is known by what was noted as sent.
"""

import secrets
from collections.abc import Callable, Iterable
from datetime import datetime

from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from accounts.rules import Problem
from calendar_sync import descriptions, rules
from calendar_sync.contents import content_of, content_of_event, outgoing_time
from calendar_sync.incoming import absorb, lock_links, note_gone
from calendar_sync.merging import FIELDS, Agreed, prints
from calendar_sync.models import ActionItem, EventLink
from calendar_sync.passing import Pass
from crm_sync.providers.errors import (
    ItemGone,
    PermanentError,
    ProviderError,
    ReconnectRequired,
)
from crm_sync.providers.types import Event, EventDraft

#: A write that is refused for one item is tried in so many passes; then when the item changes.
MAX_ATTEMPTS = 3
#: Writes that fail for now (time-outs, 5xx), after which the rest is left to the next pass.
MOST_SETBACKS = 3
#: Links made in one transaction.
BATCH = 100


def write_changes(run: Pass) -> None:
    """Make and change events for what the CRM has that the calendar does not show yet."""
    if run.cursor.is_read_only:
        return
    if run.whole_listing_at is not None:
        _let_go_of_strays(run)
    fresh = _make_links(run)
    links = _links_to_compare(run)
    new = [link.pk for link in links if not link.event_id]
    each(run, new, lambda link: _create(run, link, is_fresh=link.pk in fresh))
    each(run, _changed(run, links), lambda link: _update(run, link))


def _links_to_compare(run: Pass) -> list[EventLink]:
    """Live links of our own items dated in the window whose items changed; after a whole listing
    all of them, since a contact may have another number."""
    items = ActionItem.objects.filter(origin=ActionItem.Origin.CRM, owner=run.user)
    links = EventLink.objects.live().filter(
        mailbox=run.mailbox,
        attempts__lt=MAX_ATTEMPTS,
        gone_at=None,
        item__in=items.within(run.window),
    )
    if run.whole_listing_at is None:
        links = links.exclude(item_changed_at=F("item__changed_at"))
    related = links.select_related("item__contact__customer", "item__customer")
    return list(related.prefetch_related("item__contact__addresses").order_by("attempts", "pk"))


def _changed(run: Pass, links: Iterable[EventLink]) -> list[int]:
    """Those whose items are not as they were when both sides agreed. The others need no look at
    their events, and are not compared again before they change."""
    changed, same = [], []
    for link in links:
        if not link.event_id:
            continue
        if prints(content_of(link.item)) != Agreed.read(link.agreed).here:
            changed.append(link.pk)
        elif link.item_changed_at != link.item.changed_at:
            link.item_changed_at = link.item.changed_at
            same.append(link)
    if same:
        with run.storing():
            EventLink.objects.bulk_update(same, ["item_changed_at"], batch_size=BATCH)
    return changed


def each(run: Pass, links: Iterable[int], work: Callable[[EventLink], None]) -> None:
    """Do the work for each link; what fails for one of them does not keep the others from it.

    Raises what concerns the whole mailbox: a refused grant, a request to slow down.
    """
    for pk in links:
        if run.is_time_up():
            run.result.is_finished = False
            return
        link = EventLink.objects.filter(pk=pk).first()
        if link is None or len(run.setbacks) >= MOST_SETBACKS:
            continue
        try:
            work(link)
        except PermanentError as error:
            _note_failure(run, link, error)
        except ProviderError as error:
            if isinstance(error, ReconnectRequired) or error.status == 429:
                raise
            run.setbacks.append(error)


def _note_failure(run: Pass, link: EventLink, error: PermanentError) -> None:
    with run.storing():
        EventLink.objects.filter(pk=link.pk).update(
            failure=str(error)[:300], attempts=F("attempts") + 1
        )
    run.result.failed += 1


def problems_of(run: Pass) -> list[Problem]:
    """The items that the calendar does not accept, with the cause."""
    failed = EventLink.objects.filter(mailbox=run.mailbox).exclude(failure="")
    causes = failed.order_by("pk").values_list("item__title", "failure")
    return [Problem(name=title, cause=cause) for title, cause in causes]


# --- links ---------------------------------------------------------------------------------------


def _let_go_of_strays(run: Pass) -> None:
    """The rows decide, whoever changed them: what no longer belongs here leaves."""
    strays = EventLink.objects.astray().filter(mailbox=run.mailbox)
    if pks := list(strays.values_list("pk", flat=True)):
        with run.storing():
            EventLink.objects.filter(pk__in=pks).update(is_leaving=True)


def _make_links(run: Pass) -> set[int]:
    """A link for each item that belongs in this calendar and has none; the new ones' keys."""
    live = EventLink.objects.live().filter(item=OuterRef("pk"), mailbox=run.mailbox)
    items = ActionItem.objects.wanted_in_calendar_of(run.user).within(run.window)
    waiting = list(items.filter(~Exists(live)).order_by("pk").values_list("pk", flat=True))
    made: set[int] = set()
    for first in range(0, len(waiting), BATCH):
        with run.storing():
            made |= _link(run, waiting[first : first + BATCH])
    return made


def _link(run: Pass, pks: Iterable[int]) -> set[int]:
    """Take up again what was about to leave this very calendar; new links for the others."""
    items = ActionItem.objects.wanted_in_calendar_of(run.user).filter(pk__in=pks)
    wanted = set(items.select_for_update(of=("self",)).values_list("pk", flat=True))
    leaving = EventLink.objects.filter(
        mailbox=run.mailbox,
        calendar_id=run.cursor.calendar_id,
        item__in=wanted,
        is_leaving=True,
        gone_at=None,
    )
    back = {link.item_id: link.pk for link in leaving.order_by("pk")}
    EventLink.objects.filter(pk__in=back.values()).update(
        is_leaving=False, item_changed_at=None, attempts=0, failure=""
    )
    new = EventLink.objects.bulk_create(
        [
            EventLink(
                item_id=pk,
                mailbox=run.mailbox,
                calendar_id=run.cursor.calendar_id,
                marker=secrets.token_hex(16),
            )
            for pk in sorted(wanted - back.keys())
        ]
    )
    return {link.pk for link in new}


# --- making an event -----------------------------------------------------------------------------


def _create(run: Pass, link: EventLink, *, is_fresh: bool) -> None:
    """Make the event, unless an earlier attempt made it and only its answer was lost."""
    if not is_fresh and (found := find(run, link)) is not None:
        with run.storing():
            for locked in lock_links([link.pk]):
                absorb(run, locked, found)
        return
    draft = _prepare(run, link)
    if draft is None:
        return
    before = timezone.now()
    event = run.gateway.create_event(run.grant_id, draft, calendar_id=link.calendar_id)
    _note_written(run, link, event, FIELDS)
    measure_clock(run, event, before=before)


def find(run: Pass, link: EventLink) -> Event | None:
    """The event of a link whose creation was never answered."""
    span = rules.listed_span(run.window, now=run.started_at, longest=None)[0]
    return run.gateway.find_event(
        run.grant_id, link.marker, calendar_id=link.calendar_id, start=span[0], end=span[1]
    )


def _prepare(run: Pass, link: EventLink) -> EventDraft | None:
    """Note what is about to be written; None where the item no longer belongs here."""
    with run.storing():
        for locked in lock_links([link.pk]):
            if locked.is_leaving:
                return None
            item = locked.item
            sent = prints(content_of(item))
            link.agreed = locked.agreed = Agreed(dict(sent), dict(sent)).written()
            link.item_changed_at = item.changed_at
            locked.save(update_fields=["agreed"])
            return _draft(run, locked, FIELDS)
    return None


def _draft(run: Pass, link: EventLink, names: Iterable[str]) -> EventDraft:
    """These fields of the item as an event has them; the others are left alone."""
    item = link.item
    content = content_of(item)
    is_described = not {"note", "card"}.isdisjoint(names)
    description = descriptions.compose(content.note, content.card)
    return EventDraft(
        title=content.title if "title" in names else None,
        description=description if is_described else None,
        location=content.location if "location" in names else None,
        time=outgoing_time(item, run.user.zone) if "time" in names else None,
        marker=link.marker,
    )


def _note_written(run: Pass, link: EventLink, event: Event, names: Iterable[str]) -> None:
    """The answer to a write: what the event says now is what both sides agree on.

    `link` holds what was sent, and of which state of the item. An answer may show, in other fields,
    what somebody changed meanwhile: those are left for the next listing.
    """
    agreed = Agreed.read(link.agreed)
    if event.time is not None:
        there = prints(content_of_event(event))
        agreed.there.update({name: there[name] for name in names})
    agreed.here.update(agreed.sent)
    agreed.sent = {}
    with run.storing():
        EventLink.objects.filter(pk=link.pk).update(
            event_id=event.id,
            agreed=agreed.written(),
            item_changed_at=link.item_changed_at,
            failure="",
            attempts=0,
        )
    run.result.matched += 1


def measure_clock(run: Pass, event: Event, *, before: datetime) -> None:
    """How far the provider's clock is ahead of ours, by the time it gave to our own write."""
    if event.updated_at is None:
        return
    offset = rules.measured_offset(event.updated_at, before=before, after=timezone.now())
    if offset != run.cursor.clock_offset:
        run.cursor.clock_offset = offset
        with run.storing():
            run.cursor.save(update_fields=["clock_offset"])


# --- changing an event ---------------------------------------------------------------------------


def _update(run: Pass, link: EventLink) -> None:
    """Bring the event to what the item says, after a look at what the event says at this moment."""
    try:
        event = run.gateway.event(run.grant_id, link.event_id, calendar_id=link.calendar_id)
    except ItemGone:
        _found_gone(run, link)
        return
    if event.status == "cancelled":
        _found_gone(run, link)
        return
    draft, names = _decide(run, link, event)
    if draft is None:
        return
    before = timezone.now()
    try:
        answer = run.gateway.update_event(
            run.grant_id, link.event_id, draft, calendar_id=link.calendar_id
        )
    except ItemGone:
        _found_gone(run, link)
        return
    _note_written(run, link, answer, names)
    measure_clock(run, answer, before=before)


def _found_gone(run: Pass, link: EventLink) -> None:
    with run.storing():
        for locked in lock_links([link.pk]):
            note_gone(run, locked)


def _decide(run: Pass, link: EventLink, event: Event) -> tuple[EventDraft | None, tuple[str, ...]]:
    """Take what the event has to say, and note what is about to be written to it."""
    if event.time is None:
        return None, ()  # It has its entry as unreadable.
    with run.storing():
        for locked in lock_links([link.pk]):
            merged = absorb(run, locked, event)
            if merged is None or not merged.give or locked.is_leaving:
                return None, ()
            here = prints(content_of(locked.item))
            agreed = Agreed.read(locked.agreed)
            agreed.sent = {name: here[name] for name in merged.give}
            link.agreed = locked.agreed = agreed.written()
            link.item_changed_at = locked.item.changed_at
            locked.save(update_fields=["agreed"])
            return _draft(run, locked, merged.give), merged.give
    return None, ()
