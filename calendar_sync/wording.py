"""Action items in words: when they are, whether they are late, where their sync stands.

Pure functions over plain values, for screens, messages and the feed.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from calendar_sync.rules import Window


# --- when ----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class When:
    """Of an item that is `all_day`, the midnights UTC of its first and last day, inclusive."""

    start: datetime
    end: datetime
    all_day: bool

    def days(self, zone: tzinfo) -> tuple[date, date]:
        """The first and the last day, as calendars in the zone show them."""
        inside = UTC if self.all_day else zone
        return self.start.astimezone(inside).date(), self.end.astimezone(inside).date()

    def is_past(self, *, now: datetime, zone: tzinfo) -> bool:
        if self.all_day:
            return self.days(zone)[1] < now.astimezone(zone).date()
        return max(self.start, self.end) < now

    def words(self, *, zone: tzinfo, today: date) -> str:
        """“today, 14:00–14:30”, “Tue 24 Nov – Thu 26 Nov”, “Mon 4 Jan 2027, 09:00”."""
        first, last = self.days(zone)
        from_day = day_words(first, today)
        if self.all_day:
            return from_day if first == last else f"{from_day} – {day_words(last, today)}"
        begins, ends = self.start.astimezone(zone), self.end.astimezone(zone)
        if begins == ends:
            return f"{from_day}, {begins:%H:%M}"
        if first == last:
            return f"{from_day}, {begins:%H:%M}–{ends:%H:%M}"
        return f"{from_day}, {begins:%H:%M} – {day_words(last, today)}, {ends:%H:%M}"


_NEAR = {-1: "yesterday", 0: "today", 1: "tomorrow"}


def day_words(day: date, today: date) -> str:
    if near := _NEAR.get((day - today).days):
        return near
    year = "" if day.year == today.year else f" {day.year}"
    return f"{day:%a} {day.day} {day:%b}{year}"


# --- where the sync stands -----------------------------------------------------------------------
@dataclass(frozen=True)
class CalendarFacts:
    """What is known of the owner's calendar. `read_only_name` is "" where it can be written to."""

    is_connected: bool
    window: Window | None = None
    days_after: int | None = None
    read_only_name: str = ""


@dataclass(frozen=True)
class SyncFacts:
    """What is known of one to-do's sync; `day` is its first one."""

    is_wanted: bool
    day: date
    is_in_window: bool = True
    is_unlinked: bool = False
    is_in_calendar: bool = False
    failure: str = ""


@dataclass(frozen=True)
class Standing:
    """Where a to-do's sync stands: words with an icon and one of Tabler's text colours."""

    words: str
    icon: str
    colour: str = "secondary"
    can_sync_again: bool = False


def standing(item: SyncFacts, calendar: CalendarFacts, *, whose: str, today: date) -> Standing:
    """`whose` calendar it is: “your”, “Mia's”. `today` is the owner's."""
    if item.is_unlinked:
        words = "Deleted in the mail app, kept here"
        return Standing(words, "unlink", "yellow", can_sync_again=item.is_wanted)
    if not item.is_wanted:
        return Standing("Not synced", "calendar-off")
    if item.is_in_calendar:
        return Standing(f"In {whose} calendar", "calendar-check", "green")
    if not calendar.is_connected:
        return Standing(f"Waiting: {whose} calendar is not connected", "calendar-time")
    if calendar.read_only_name:
        words = f"Not sent: {whose} calendar “{calendar.read_only_name}” is read-only"
        return Standing(words, "calendar-off", "yellow")
    if not item.is_in_window and calendar.window:
        words = _outside(item.day, calendar.window, calendar.days_after, today)
        return Standing(words, "calendar-time")
    if item.failure:
        return Standing(f"Could not be sent: {item.failure}", "alert-triangle", "red")
    return Standing("Waiting for the next sync", "refresh")


def _outside(day: date, window: Window, days_after: int | None, today: date) -> str:
    if days_after is None or day <= window.first_day:
        return f"Not sent: before the sync's start, {day_words(window.first_day, today)}"
    opens = day - timedelta(days=days_after)
    return f"Waiting: outside the window until {day_words(opens, today)}"


def possessive(name: str) -> str:
    return f"{name}'" if name.endswith("s") else f"{name}'s"
