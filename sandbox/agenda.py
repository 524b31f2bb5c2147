"""The calendars of one mailbox: generated when first asked for, then kept and changed.

An event is kept as the API writes it, without `grant_id`. Events that colleagues share have one
`ical_uid`; at Google they have one ID as well, elsewhere each has their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sandbox import people, recurrence
from sandbox.hashing import mix_of
from sandbox.mailboxes import opaque
from sandbox.world import DAY, Company, Contact, Party, World

Event = dict[str, Any]
REACH_DAYS = 35  # generated events lie this far around the anchor
#: Days from the anchor on which everybody meets somebody of their My Contacts.
MEETING_DAYS = (-12, -9, -5, -2, 1, 3, 7, 11)


def span(event: Event) -> tuple[int, int]:
    """When an event starts and ends; all-day events from midnight to midnight UTC."""
    when = event["when"]
    if "start_time" in when:
        return when["start_time"], when["end_time"]
    if "time" in when:
        return when["time"], when["time"]
    first = date.fromisoformat(when.get("date") or when["start_date"])
    last = date.fromisoformat(when.get("date") or when["end_date"])
    start = int(datetime.combine(first, time(), UTC).timestamp())
    return start, start + ((last - first).days + 1) * DAY


def overlaps(event: Event, start: int, end: int) -> bool:
    begins, ends = span(event)
    return begins < end and max(ends, begins + 1) > start


def instance_id(master: Event, start: int) -> str:
    return f"{master['id']}_{datetime.fromtimestamp(start, UTC):%Y%m%dT%H%M%SZ}"


class Agenda:
    def __init__(self, world: World, index: int) -> None:
        self.world = world
        self.index = index
        self.persona = world.persona(index)
        self.is_google = self.persona.provider == "google"
        self.zone = ZoneInfo(self.persona.time_zone)
        self.calendars: dict[str, dict[str, Any]] = {}
        self.events: dict[str, Event] = {}
        self._make_calendars()
        self._make_events()

    # --- reading ------------------------------------------------------------------------------

    @property
    def primary_id(self) -> str:
        return next(iter(self.calendars))

    def find_calendar(self, wanted: str) -> dict[str, Any] | None:
        return self.calendars.get(self.primary_id if wanted == "primary" else wanted)

    def find(self, event_id: str) -> Event | None:
        """An event, or one occurrence of a recurring one."""
        if event_id in self.events:
            return self.events[event_id]
        master = self.events.get(event_id.rpartition("_")[0])
        if master is None or not master.get("recurrence"):
            return None
        try:
            stamp = datetime.strptime(event_id.rpartition("_")[2] + "+0000", "%Y%m%dT%H%M%SZ%z")
        except ValueError:
            return None
        start = int(stamp.timestamp())
        found = self.occurrences(master, start, start + 1)
        return next((event for event in found if event["id"] == event_id), None)

    def occurrences(self, master: Event, start: int, end: int) -> Iterator[Event]:
        """The unchanged occurrences of a recurring event that touch the window."""
        begins, ends = span(master)
        zone = master["when"].get("start_timezone") or master["when"].get("timezone") or "UTC"
        for moment in recurrence.starts(begins, zone, master["recurrence"], end):
            event_id = instance_id(master, moment)
            if moment + max(ends - begins, 1) <= start or event_id in self.events:
                continue
            occurrence = {name: master[name] for name in master if name != "recurrence"}
            occurrence |= {
                "id": event_id,
                "when": self._moved(master["when"], moment - begins),
                "master_event_id": master["id"],
                "original_start_time": moment,
            }
            yield occurrence

    @staticmethod
    def _moved(when: dict[str, Any], seconds: int) -> dict[str, Any]:
        days = timedelta(days=seconds // DAY)
        moved = dict(when)
        for name in ("start_time", "end_time", "time"):
            if name in moved:
                moved[name] += seconds
        for name in ("date", "start_date", "end_date"):
            if name in moved:
                moved[name] = (date.fromisoformat(moved[name]) + days).isoformat()
        return moved

    def within(self, calendar_id: str, start: int, end: int, *, expand: bool) -> list[Event]:
        """The events of a calendar that touch the window, cancelled ones too, by start."""
        found: list[Event] = []
        for event in self.events.values():
            if event["calendar_id"] != calendar_id:
                continue
            if not event.get("recurrence"):
                if overlaps(event, start, end):
                    found.append(event)
                continue
            occurrences = self.occurrences(event, start, end)
            if expand:
                found += occurrences
            elif next(occurrences, None) is not None:
                found.append(event)
        return sorted(found, key=lambda event: (span(event)[0], event["id"]))

    # --- what happens -------------------------------------------------------------------------

    def put(self, event: Event) -> None:
        self.events[event["id"]] = event

    def remove(self, event_id: str) -> None:
        self.events.pop(event_id, None)

    def put_calendar(self, calendar: dict[str, Any]) -> None:
        self.calendars[calendar["id"]] = calendar

    def remove_calendar(self, calendar_id: str) -> None:
        self.calendars.pop(calendar_id, None)
        self.events = {k: e for k, e in self.events.items() if e["calendar_id"] != calendar_id}

    def event_id(self, ical_uid: str, number: int) -> str:
        """Google: of the shared UID. Microsoft: each participant's own."""
        if self.is_google:
            return ical_uid.partition("@")[0]
        return opaque("AAMkAE", mix_of(self.world.seed, 61, self.index, number), number)

    # --- generating ---------------------------------------------------------------------------

    def _make_calendars(self) -> None:
        me = self.persona.email
        for n, (name, read_only, colour) in enumerate(
            (
                (me if self.is_google else "Calendar", False, "#039BE5"),
                ("Team", False, "#0B8043"),
                ("Public holidays", True, "#8E24AA"),
            )
        ):
            if self.is_google:
                calendar_id = me if n == 0 else f"c{n}_{self.index}@group.calendar.example"
            else:
                calendar_id = opaque("AAMkAC", mix_of(self.world.seed, 62, self.index, n), n)
            self.calendars[calendar_id] = {
                "id": calendar_id,
                "object": "calendar",
                "name": name,
                "description": "",
                "location": "",
                "timezone": self.persona.time_zone,
                "is_primary": n == 0,
                "read_only": read_only,
                "is_owned_by_user": not read_only,
                "owner_email": me,
                "hex_color": colour,
                "hex_foreground_color": "#FFFFFF",
                "metadata": {},
            }

    def _local(self, day: int, clock: time) -> int:
        """The instant of a clock time, `day` days after the anchor, in the persona's zone."""
        base = datetime.fromtimestamp(self.world.anchor, UTC).date() + timedelta(days=day)
        return int(datetime.combine(base, clock, self.zone).timestamp())

    def _workday(self, h: int) -> int:
        """A day of the reach that is no Saturday or Sunday, as an offset from the anchor."""
        return self._next_workday(h % (2 * REACH_DAYS) - REACH_DAYS)

    def _next_workday(self, day: int) -> int:
        base = datetime.fromtimestamp(self.world.anchor, UTC).date()
        while (base + timedelta(days=day)).weekday() >= 5:
            day += 1
        return day

    def _add(
        self,
        number: int,
        title: str,
        when: dict[str, Any],
        *,
        scope: int | None = None,
        participants: list[dict[str, Any]] | None = None,
        organizer: Party | None = None,
        **values: Any,
    ) -> Event:
        scope = self.index + 1_000_000 if scope is None else scope
        h = mix_of(self.world.seed, 63, scope, number)
        ical_uid = f"{h:016x}{mix_of(h, 1) & 0xFFFFFFFFFF:010x}@calendar.example"
        organizer = organizer or self.world.party(self.index)
        created = self.world.anchor - 40 * DAY + number * 3_600
        event: Event = {
            "id": self.event_id(ical_uid, number),
            "object": "event",
            "calendar_id": self.primary_id,
            "title": title,
            "description": "",
            "location": "",
            "busy": True,
            "read_only": organizer["email"] != self.persona.email,
            "status": "confirmed",
            "visibility": "default" if self.is_google else "public",
            "when": when,
            "participants": participants or [],
            "organizer": organizer,
            "creator": organizer,
            "ical_uid": ical_uid,
            "html_link": "",
            "hide_participants": False,
            "reminders": {"use_default": True, "overrides": []},
            "metadata": {},
            "created_at": created,
            "updated_at": created,
            **values,
        }
        self.events[event["id"]] = event
        return event

    def _timespan(self, day: int, clock: time, minutes: int) -> dict[str, Any]:
        start = self._local(day, clock)
        zone = self.persona.time_zone
        return {
            "object": "timespan",
            "start_time": start,
            "end_time": start + minutes * 60,
            "start_timezone": zone,
            "end_timezone": zone,
        }

    def _make_events(self) -> None:
        self._make_meetings()
        self._make_own()
        self._make_series()
        self._make_visits()
        holidays = list(self.calendars)[2]
        for n in range(4):
            day = mix_of(self.world.seed, 64, n) % (2 * REACH_DAYS) - REACH_DAYS
            self._add(
                300 + n, f"Public holiday {n + 1}", self._date(day), scope=n,
                organizer={"name": "Holidays", "email": "holidays@calendar.example"},
                calendar_id=holidays, busy=False, read_only=True,
            )  # fmt: skip

    def _date(self, day: int, length: int = 1) -> dict[str, Any]:
        first = datetime.fromtimestamp(self.world.anchor, UTC).date() + timedelta(days=day)
        if length == 1:
            return {"object": "date", "date": first.isoformat()}
        last = first + timedelta(days=length - 1)
        return {
            "object": "datespan", "start_date": first.isoformat(), "end_date": last.isoformat(),
        }  # fmt: skip

    def _make_meetings(self) -> None:
        """With customers: organised by us, or by the contact."""
        me = self.world.party(self.index)
        book = self.world.book(self.index)
        for n in range(20):
            h = mix_of(self.world.seed, 65, self.index, n)
            company = book[h % len(book)]
            contact = company.contacts[(h >> 8) % len(company.contacts)].parties[0]
            status = ("yes", "noreply", "maybe", "no")[h >> 16 & 3]
            people_in = [
                {**me, "status": "yes"},
                {**contact, "status": status},
            ]
            title = people.MEETING_TITLES[(h >> 20) % len(people.MEETING_TITLES)]
            clock = time(9 + (h >> 24) % 8, 30 * (h >> 30 & 1))
            self._add(
                n, title.format(c=company.name),
                self._timespan(self._workday(h >> 32), clock, 30 * (1 + (h >> 40) % 4)),
                participants=people_in, organizer=contact if h >> 44 & 3 == 0 else None,
                location=people.PLACES[(h >> 48) % len(people.PLACES)],
                # The other side called one of them off; Microsoft keeps it for the invited.
                status="cancelled" if n == 19 else "confirmed",
            )  # fmt: skip

    def _make_own(self) -> None:
        for n in range(8):
            h = mix_of(self.world.seed, 66, self.index, n)
            title = people.OWN_TITLES[h % len(people.OWN_TITLES)]
            when = self._timespan(self._workday(h >> 8), time(8 + (h >> 16) % 9), 60)
            visibility = "private" if title == "Dentist" else "public"
            self._add(100 + n, title, when, visibility=visibility)
        self._add(110, "Trade fair", self._date(self._workday(self.index * 3 + 40), 3), busy=False)
        self._add(111, "Birthday of a colleague", self._date(12), busy=False)
        # A meeting with the colleague of the pair, in both calendars.
        pair = self.index >> 1
        pair_zone = ZoneInfo(self.world.persona(pair << 1).time_zone)
        owner, guest = self.world.party(pair << 1), self.world.party(pair << 1 | 1)
        for n in range(3):
            h = mix_of(self.world.seed, 67, pair, n)
            base = datetime.fromtimestamp(self.world.anchor, UTC).date()
            day = base + timedelta(days=self._workday(h))
            start = int(datetime.combine(day, time(14), pair_zone).timestamp())
            when = {
                "object": "timespan", "start_time": start, "end_time": start + 1_800,
                "start_timezone": str(pair_zone), "end_timezone": str(pair_zone),
            }  # fmt: skip
            both = [{**owner, "status": "yes"}, {**guest, "status": "yes"}]
            self._add(
                120 + n, "One to one", when, scope=pair, participants=both, organizer=owner,
            )  # fmt: skip

    def _make_series(self) -> None:
        """The Monday meeting of the house, and a weekly call with a My Contact."""
        lena, me = self.world.party(3), self.world.party(self.index)
        self._weekly(
            200, "Monday meeting", 0, time(9, 30), 30,
            participants=[{**who, "status": "yes"} for who in ([me] if me == lena else [lena, me])],
            location="Room Aurora",
        )  # fmt: skip
        for company, contact in self._my_contacts()[:1]:
            self._weekly(
                210, f"Weekly call, {company.name}", 2, time(11), 45,
                participants=self._with(contact), location="Phone",
            )  # fmt: skip

    def _weekly(
        self, number: int, title: str, weekday: int, clock: time, minutes: int, **values: Any
    ) -> None:
        """Ten weeks before the anchor and on; last week's was moved, next week's is cancelled."""
        base = datetime.fromtimestamp(self.world.anchor, UTC).date()
        first = weekday - 70 - base.weekday()
        names = recurrence.DAY_NAMES
        master = self._add(
            number, title, self._timespan(first, clock, minutes),
            recurrence=[f"RRULE:FREQ=WEEKLY;BYDAY={names[weekday]}"], **values,
        )  # fmt: skip
        for n, weeks in ((1, 9), (2, 11)):
            start = self._local(first + 7 * weeks, clock)
            later = time(clock.hour + 2)
            event = {
                **master,
                "id": instance_id(master, start),
                "when": self._timespan(first + 7 * weeks + 1, later, minutes),
                "master_event_id": master["id"],
                "original_start_time": start,
                "updated_at": master["updated_at"] + number + n,
            }
            del event["recurrence"]
            if n == 2:
                event["status"] = "cancelled"
                event["when"] = self._timespan(first + 7 * weeks, clock, minutes)
            self.events[event["id"]] = event

    # --- with My Contacts, so that a demonstration has something to show every day ------------

    def _my_contacts(self) -> list[tuple[Company, Contact]]:
        """In an order of this persona's own."""
        found = [
            (company, contact)
            for company in self.world.book(self.index)
            for contact in company.contacts
            if self.world.has_flagged(self.index, contact)
        ]
        return sorted(
            found, key=lambda pair: mix_of(self.world.seed, 68, self.index, pair[1].index)
        )

    def _with(self, contact: Contact, status: str = "yes") -> list[dict[str, Any]]:
        me = self.world.party(self.index)
        return [{**me, "status": "yes"}, {**contact.parties[0], "status": status}]

    def _make_visits(self) -> None:
        mine = self._my_contacts()
        if not mine:
            return
        for n, day in enumerate(MEETING_DAYS):
            company, contact = mine[n % len(mine)]
            h = mix_of(self.world.seed, 69, self.index, n)
            title = people.MEETING_TITLES[h % len(people.MEETING_TITLES)]
            clock = time(9 + (h >> 8) % 8, 30 * (h >> 16 & 1))
            self._add(
                400 + n, title.format(c=company.name),
                self._timespan(self._next_workday(day), clock, 30 * (1 + (h >> 24) % 3)),
                participants=self._with(contact, ("yes", "noreply", "maybe")[(h >> 32) % 3]),
                organizer=contact.parties[0] if n % 4 == 3 else None,
                location=people.PLACES[(h >> 40) % len(people.PLACES)],
            )  # fmt: skip
        company, contact = mine[0]
        for number, title, day, length, more in (
            (410, "Workshop at {c}", 4, 1, {}),
            (411, "Trade fair with {c}", 8, 3, {"busy": False}),
            (412, "Anniversary of {c}", -6, 1, {"visibility": "private", "busy": False}),
        ):
            when = self._date(self._next_workday(day), length)
            self._add(
                number, title.format(c=company.name), when, participants=self._with(contact), **more
            )
        company, contact = mine[-1]
        self._add(
            413, f"Terms for {company.name}",
            self._timespan(self._next_workday(-3), time(16), 30),
            participants=self._with(contact), visibility="private",
            description="<p>Not to be <b>shared</b>.</p>",
        )  # fmt: skip
