"""Calendars in memory behind the gateway's protocol: the only seam at which tests replace HTTP."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from msgspec.structs import replace

from crm_sync.providers.errors import ItemGone, PermanentError
from crm_sync.providers.types import (
    Attendee,
    Calendar,
    Event,
    EventDraft,
    EventPage,
    EventTime,
    UnreadableEvent,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def at(hours: float = 24, minutes: float = 30, zone: str = "") -> EventTime:
    """A time so many hours from NOW, and how long."""
    start = NOW + timedelta(hours=hours)
    return EventTime(start, start + timedelta(minutes=minutes), time_zone=zone)


def days(first: date, last: date | None = None) -> EventTime:
    return EventTime(first_day=first, last_day=last or first)


def meeting(id: str = "e1", *attendees: str, **more: object) -> Event:
    """Somebody's own appointment with these people; by Mia where nobody else is named."""
    values: dict[str, object] = {
        "calendar_id": "cal",
        "title": "Review rates",
        "time": at(),
        "organiser": Attendee("mia@northsound.example", "Mia Berg"),
        "attendees": tuple(Attendee(address) for address in attendees),
        "ical_uid": f"{id}@calendar.example",
        "updated_at": NOW - timedelta(hours=1),
    }
    return Event(id, **{**values, **more})


def _span(when: EventTime) -> tuple[datetime, datetime]:
    if when.first_day is not None:
        last = when.last_day or when.first_day
        start = datetime.combine(when.first_day, time.min, UTC)
        return start, datetime.combine(last, time.min, UTC) + timedelta(days=1)
    assert when.starts_at is not None
    ends_at = when.ends_at or when.starts_at
    return when.starts_at, max(ends_at, when.starts_at + timedelta(seconds=1))


@dataclass
class FakeCalendar:
    """Lists, keeps and counts. `before` is called before each request, `after` once it took effect
    and before it is answered, both with its kind and subject; either may raise.

    `now` is the provider's clock. A deleted event is listed as cancelled where `lists_cancelled`
    (Google), else it is gone.
    """

    calendar_list: list[Calendar] = field(
        default_factory=lambda: [Calendar("cal", "Calendar", is_primary=True)]
    )
    events: dict[str, Event] = field(default_factory=dict)
    unreadable: list[UnreadableEvent] = field(default_factory=list)
    #: Events that no listing shows, though they are there.
    hidden: set[str] = field(default_factory=set)
    page_size: int = 2
    lists_cancelled: bool = True
    tells_updates: bool = True
    now: Callable[[], datetime] = lambda: NOW
    #: Called while a request is on its way.
    travel: Callable[[], None] = lambda: None
    before: Callable[[str, str], None] = lambda kind, subject: None
    after: Callable[[str, str], None] = lambda kind, subject: None
    #: What becomes of a description that is written.
    stored_as: Callable[[str], str] = lambda text: text
    asked: Counter[str] = field(default_factory=Counter)
    drafts: list[EventDraft] = field(default_factory=list)
    made: int = 0

    # --- what the calendar's user does -----------------------------------------------------------
    def add(self, *events: Event) -> None:
        self.events.update({event.id: event for event in events})

    def edit(self, event_id: str, **changes: object) -> None:
        changed = replace(self.events[event_id], **changes)
        self.events[event_id] = replace(changed, updated_at=self._stamp())

    def delete(self, event_id: str) -> None:
        if self.lists_cancelled:
            self.edit(event_id, status="cancelled")
        else:
            del self.events[event_id]

    def shown(self, calendar_id: str = "cal") -> dict[str, Event]:
        return {
            event.id: event
            for event in self.events.values()
            if event.status != "cancelled" and event.calendar_id == calendar_id
        }

    def _stamp(self) -> datetime | None:
        return self.now().replace(microsecond=0) if self.tells_updates else None

    # --- the gateway -----------------------------------------------------------------------------
    def _asked(self, kind: str, subject: str = "") -> None:
        self.asked[kind] += 1
        self.before(kind, subject)
        self.travel()

    def calendars(self, grant_id: str) -> list[Calendar]:
        self._asked("calendars")
        return self.calendar_list

    def event_page(
        self,
        grant_id: str,
        *,
        calendar_id: str,
        start: datetime,
        end: datetime,
        updated_after: datetime | None = None,
        page_token: str | None = None,
    ) -> EventPage:
        self._asked("page", page_token or "")
        found = sorted(
            (e for e in self.events.values() if self._is_listed(e, calendar_id, start, end)),
            key=lambda event: event.id,
        )
        if updated_after is not None:
            found = [e for e in found if e.updated_at and e.updated_at > updated_after]
        if page_token is not None:
            found = [event for event in found if event.id >= page_token]
        rest = found[self.page_size :]
        unreadable, self.unreadable = tuple(self.unreadable), []
        next_page = rest[0].id if rest else None
        return EventPage(tuple(found[: self.page_size]), unreadable, next_page)

    def _is_listed(self, event: Event, calendar_id: str, start: datetime, end: datetime) -> bool:
        if event.calendar_id != calendar_id or event.id in self.hidden:
            return False
        if event.time is None:
            return True
        begins, ends = _span(event.time)
        return begins < end and ends > start

    def _own(self, event_id: str, calendar_id: str) -> Event:
        event = self.events.get(event_id)
        if event is None or event.calendar_id != calendar_id:
            raise ItemGone("The event is no longer there.", status=404)
        return event

    def event(self, grant_id: str, event_id: str, *, calendar_id: str) -> Event:
        self._asked("event", event_id)
        return self._own(event_id, calendar_id)

    def find_event(
        self, grant_id: str, marker: str, *, calendar_id: str, start: datetime, end: datetime
    ) -> Event | None:
        self._asked("find", marker)
        for event in self.shown(calendar_id).values():
            if event.marker == marker and not event.master_event_id:
                return event
        return None

    def create_event(self, grant_id: str, draft: EventDraft, *, calendar_id: str) -> Event:
        self._asked("create", draft.marker)
        self._check_writable(calendar_id)
        self.drafts.append(draft)
        self.made += 1
        event = Event(f"made{self.made:04}", calendar_id, ical_uid=f"made{self.made}@x.example")
        self.events[event.id] = self._written(event, draft)
        self.after("create", event.id)
        return self.events[event.id]

    def update_event(
        self, grant_id: str, event_id: str, draft: EventDraft, *, calendar_id: str
    ) -> Event:
        self._asked("update", event_id)
        self._check_writable(calendar_id)
        event = self._own(event_id, calendar_id)
        if event.status == "cancelled":
            raise ItemGone("The event is no longer there.", status=410)
        self.drafts.append(draft)
        self.events[event_id] = self._written(event, draft)
        self.after("update", event_id)
        return self.events[event_id]

    def _written(self, event: Event, draft: EventDraft) -> Event:
        given = {
            "title": draft.title,
            "location": draft.location,
            "time": draft.time,
            "description": None if draft.description is None else self.stored_as(draft.description),
        }
        values = {name: value for name, value in given.items() if value is not None}
        return replace(event, **values, marker=draft.marker, updated_at=self._stamp())

    def delete_event(self, grant_id: str, event_id: str, *, calendar_id: str) -> None:
        self._asked("delete", event_id)
        self._check_writable(calendar_id)
        event = self.events.get(event_id)
        if event is not None and event.status != "cancelled":
            self.delete(event_id)
        self.after("delete", event_id)

    def _check_writable(self, calendar_id: str) -> None:
        if not any(c.id == calendar_id and not c.is_read_only for c in self.calendar_list):
            raise PermanentError("This calendar can only be read.", code="read-only-calendar")
