"""Listing a calendar page by page: only what changed where the provider can say so, else all.

The mark up to which a calendar was read is by the provider's own clock: the newest change in a
listing, less the time that the listing took (an event of the first page may have been changed
while the last one was read), and each listing reaches OVERLAP back behind it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.utils import timezone

from calendar_sync import failures, incoming, rules
from calendar_sync.models import CalendarCursor
from calendar_sync.passing import Pass
from calendar_sync.series import SeriesSeen, UnreadableSeries, occurrences
from crm_sync.providers.errors import ItemGone, PermanentError, TransientError
from crm_sync.providers.types import Event, EventPage, UnreadableEvent

#: For changes that a provider shows late, or dates by several machines' clocks.
OVERLAP = timedelta(minutes=5)
#: The whole window is listed at least this often.
WHOLE_EVERY = timedelta(hours=1)
#: Events stored in one transaction where they are worked out here.
BATCH = 200

Span = tuple[datetime, datetime]

_CURSOR_FIELDS = (
    "read_up_to listing_started_at is_whole_listing listing_part page_token listing_newest "
    "listing_series"
).split()


def read_events(run: Pass) -> None:
    """Read to the end of a listing; one that a former pass began is finished, then one begun."""
    run.stored_cursor = _fields(run.cursor)
    was_cut_off = run.cursor.listing_started_at is not None
    try:
        _list(run)
    except PermanentError as error:
        if error.code != "page-token-refused":
            raise
        _forget_listing(run)
        was_cut_off = True
    if was_cut_off and run.result.is_finished:
        _list(run)


def _list(run: Pass) -> None:
    cursor = run.cursor
    if cursor.listing_started_at is None:
        _begin(run)
    assert cursor.listing_started_at is not None
    spans = rules.listed_span(run.window, now=cursor.listing_started_at, longest=run.longest_span)
    followed: set[tuple[int, str]] = set()
    while cursor.listing_part < len(spans):
        start, end = spans[cursor.listing_part]
        page = run.gateway.event_page(
            run.grant_id,
            calendar_id=cursor.calendar_id,
            start=start,
            end=end,
            updated_after=_changed_after(cursor),
            page_token=cursor.page_token or None,
        )
        followed.add((cursor.listing_part, cursor.page_token))
        is_complete = _store_page(run, page, parts=len(spans))
        run.report(cursor.name, len(page.events) + len(page.unreadable))
        if is_complete:
            return
        if (cursor.listing_part, cursor.page_token) in followed:
            _forget_listing(run)
            raise TransientError(
                "The provider's list of events goes round in a circle.", code="repeated-cursor"
            )
        if run.is_time_up():
            run.result.is_finished = False
            return
    _expand_series(run, spans)
    _complete(run)
    with run.storing():
        _save(run)


def _begin(run: Pass) -> None:
    """A new listing; it is saved with its first page."""
    cursor = run.cursor
    cursor.listing_started_at = run.started_at
    cursor.is_whole_listing = _must_list_whole(run)
    cursor.listing_part, cursor.page_token = 0, ""
    cursor.listing_newest, cursor.listing_series = None, {}


def _must_list_whole(run: Pass) -> bool:
    cursor = run.cursor
    if run.wants_whole or not run.tells_changes:
        return True
    if cursor.read_up_to is None or cursor.listed_at is None:
        return True
    if cursor.listing_wanted_at is not None and cursor.listing_wanted_at >= cursor.listed_at:
        return True
    return run.started_at - cursor.listed_at >= WHOLE_EVERY


def _changed_after(cursor: CalendarCursor) -> datetime | None:
    if cursor.is_whole_listing or cursor.read_up_to is None:
        return None
    return cursor.read_up_to - OVERLAP


def _store_page(run: Pass, page: EventPage, *, parts: int) -> bool:
    """Store a page together with the cursor that says it was read; whether the listing is complete.

    With the last page it is, unless there are series to expand.
    """
    cursor = run.cursor
    changes = [event.updated_at for event in page.events if event.updated_at is not None]
    run.masters.update({event.id: event for event in page.events if event.recurrence})
    with run.storing():
        incoming.take_events(run, page.events)
        failures.note(run, page.unreadable)
        cursor.listing_series = _series_with(cursor.listing_series, page.events)
        cursor.listing_newest = max(filter(None, (cursor.listing_newest, *changes)), default=None)
        cursor.page_token = page.next_page or ""
        cursor.listing_part += page.next_page is None
        is_complete = cursor.listing_part == parts and not _unexpanded(cursor)
        if is_complete:
            _complete(run)
        _save(run)
    run.result.seen += len(page.events) + len(page.unreadable)
    return is_complete


def _unexpanded(cursor: CalendarCursor) -> list[str]:
    """Masters of series that came alone. Only a whole listing can tell."""
    if not cursor.is_whole_listing:
        return []
    return msgspec.convert(cursor.listing_series, SeriesSeen).unexpanded()


def _series_with(stored: dict[str, Any], events: Sequence[Event]) -> dict[str, Any]:
    series = msgspec.convert(stored, SeriesSeen)
    for event in events:
        series.note(event)
    noted: dict[str, Any] = msgspec.to_builtins(series)
    return noted


def _expand_series(run: Pass, spans: list[Span]) -> None:
    """Take in the occurrences of series that came without any, as if they had been listed."""
    moved = msgspec.convert(run.cursor.listing_series, SeriesSeen).moved
    found: list[Event] = []
    for master_id in _unexpanded(run.cursor):
        try:
            found += occurrences(
                _master(run, master_id),
                start=spans[0][0],
                end=spans[-1][1],
                moved=moved.get(master_id, []),
                zone=run.user.zone,
            )
        except ItemGone:
            continue
        except UnreadableSeries as cause:
            with run.storing():
                failures.note(run, [UnreadableEvent(master_id, str(cause))])
    for first in range(0, len(found), BATCH):
        with run.storing():
            incoming.take_events(run, found[first : first + BATCH])


def _master(run: Pass, event_id: str) -> Event:
    """As the listing gave it; asked for again where a former pass saw it. Raises ItemGone."""
    known = run.masters.get(event_id)
    return known or run.gateway.event(run.grant_id, event_id, calendar_id=run.cursor.calendar_id)


def _complete(run: Pass) -> None:
    """The listing reached its end; not yet saved.

    `listed_at` is left to `deletions`, which has yet to look for what vanished.
    """
    cursor = run.cursor
    assert cursor.listing_started_at is not None
    if cursor.listing_newest is not None:
        took = timezone.now() - cursor.listing_started_at
        reached = (cursor.read_up_to, cursor.listing_newest - took)
        cursor.read_up_to = max(filter(None, reached))
    if cursor.is_whole_listing:
        run.whole_listing_at = cursor.listing_started_at
    _reset(cursor)


def _forget_listing(run: Pass) -> None:
    _reset(run.cursor)
    with run.storing():
        _save(run)


def _reset(cursor: CalendarCursor) -> None:
    cursor.listing_started_at = cursor.listing_newest = None
    cursor.is_whole_listing, cursor.listing_series = False, {}
    cursor.listing_part, cursor.page_token = 0, ""


def _save(run: Pass) -> None:
    """Store what a listing changed of the cursor: nothing, where nothing is new."""
    fields = _fields(run.cursor)
    if fields != run.stored_cursor:
        run.cursor.save(update_fields=_CURSOR_FIELDS)
        run.stored_cursor = fields


def _fields(cursor: CalendarCursor) -> dict[str, Any]:
    return {name: getattr(cursor, name) for name in _CURSOR_FIELDS}
