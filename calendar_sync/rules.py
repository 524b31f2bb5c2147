"""What is synced, who wins, and when the brake holds: pure functions over plain values.

The rules are the seeds' (001, “Notes on Calendar usage”) as settled in the design.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from msgspec import Struct

from crm_sync.providers.types import EventTime

#: How far ahead a listing reaches where the user set no bound: series may have no end.
FURTHEST = timedelta(days=400)
#: Days have no zone: a calendar may begin them up to this much apart from its owner.
_ZONES_APART = timedelta(days=1)
#: A hundred years; more would lead out of the calendar.
_MOST_DAYS = 36_500
#: The brake looks at the share of deletions only where at least so many items are linked.
FEWEST_FOR_SHARE = 10


class Window(Struct, frozen=True):
    """The dates that are synced: instants from `start` up to but not including `end`, and the days
    of all-day items from `first_day` to `last_day`, both inclusive. No end: None."""

    start: datetime
    end: datetime | None
    first_day: date
    last_day: date | None

    def holds(self, when: EventTime) -> bool:
        """Whether something that begins then is dated in the window."""
        if when.first_day is not None:
            return self.first_day <= when.first_day and (
                self.last_day is None or when.first_day <= self.last_day
            )
        if when.starts_at is None:
            return False
        return self.start <= when.starts_at and (self.end is None or when.starts_at < self.end)


def window_of(
    *, now: datetime, sync_from: datetime, days_after: int | None, zone: tzinfo
) -> Window:
    """From the start of the sync to the end of today plus `days_after`, in the owner's zone."""
    first_day = sync_from.astimezone(zone).date()
    if days_after is None:
        return Window(sync_from, None, first_day, None)
    last_day = now.astimezone(zone).date() + timedelta(days=min(days_after, _MOST_DAYS))
    end = datetime.combine(last_day + timedelta(days=1), time.min, zone).astimezone(UTC)
    return Window(sync_from, end, first_day, last_day)


def listed_span(
    window: Window, *, now: datetime, longest: timedelta | None
) -> list[tuple[datetime, datetime]]:
    """The spans that a listing asks for, one after the other: one, or several of at most `longest`.

    A day wider at both ends than what is wanted, for the sake of all-day events.
    """
    start = window.start - _ZONES_APART
    furthest = now + FURTHEST
    end = max(start, min(window.end or furthest, furthest)) + _ZONES_APART
    spans = []
    while longest is not None and end - start > longest:
        spans.append((start, start + longest))
        start += longest
    return [*spans, (start, end)]


def is_newer_here(
    changed_at: datetime, *, updated_at: datetime | None, clock_offset: float | None
) -> bool:
    """Whether the CRM's change is the newer one; in doubt it is.

    `updated_at` is by the provider's clock, which is `clock_offset` seconds ahead of ours. Where
    the provider does not say when an event changed, the CRM, which is the record, goes first.
    """
    if updated_at is None:
        return True
    return changed_at >= updated_at - timedelta(seconds=clock_offset or 0)


def measured_offset(updated_at: datetime, *, before: datetime, after: datetime) -> float:
    """Seconds by which the provider's clock is ahead, by a change of ours that it dated.

    It made the change between `before` and `after`, and writes whole seconds.
    """
    if updated_at > after:
        return (updated_at - after).total_seconds()
    if updated_at + timedelta(seconds=1) < before:
        return (updated_at - before).total_seconds()
    return 0.0


def is_held(deletions: int, *, linked: int, limit: int, share: int) -> bool:
    """Whether so many deletions in one pass wait for an admin: more than `limit`, or more than
    `share` percent of what is linked."""
    if deletions > limit:
        return True
    return linked >= FEWEST_FOR_SHARE and deletions * 100 > share * linked


def describe_time(when: EventTime, zone: tzinfo) -> str:
    """As people read it: “Mon 23 Nov 2026, 09:00 to 09:30”, “Mon 23 Nov 2026”."""
    if when.first_day is not None:
        last_day = when.last_day or when.first_day
        days = f"{when.first_day:%a %d %b %Y}"
        return days if last_day == when.first_day else f"{days} to {last_day:%a %d %b %Y}"
    if when.starts_at is None:
        return ""
    start = when.starts_at.astimezone(zone)
    end = (when.ends_at or when.starts_at).astimezone(zone)
    if end == start:
        return f"{start:%a %d %b %Y, %H:%M}"
    form = "%H:%M" if end.date() == start.date() else "%a %d %b %Y, %H:%M"
    return f"{start:%a %d %b %Y, %H:%M} to {end:{form}}"
