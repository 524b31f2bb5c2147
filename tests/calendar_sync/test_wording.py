"""Action items in words."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from calendar_sync.rules import window_of
from calendar_sync.wording import CalendarFacts, SyncFacts, When, possessive, standing

BERLIN = ZoneInfo("Europe/Berlin")
TODAY = date(2026, 11, 22)


def at(day: int, hour: int, minute: int = 0, *, month: int = 11, year: int = 2026) -> datetime:
    """A moment on Berlin's clocks."""
    return datetime(year, month, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


def whole_days(first: date, last: date) -> When:
    midnights = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, last)]
    return When(*midnights, all_day=True)


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (When(at(22, 14), at(22, 14, 30), False), "today, 14:00–14:30"),
        (When(at(23, 9), at(23, 9), False), "tomorrow, 09:00"),
        (When(at(21, 23), at(22, 1), False), "yesterday, 23:00 – today, 01:00"),
        (When(at(4, 9, month=1, year=2027), at(4, 10, month=1, year=2027), False),
         "Mon 4 Jan 2027, 09:00–10:00"),
        (whole_days(date(2026, 11, 24), date(2026, 11, 24)), "Tue 24 Nov"),
        (whole_days(date(2026, 11, 24), date(2026, 11, 26)), "Tue 24 Nov – Thu 26 Nov"),
    ],
)  # fmt: skip
def test_when(when: When, words: str) -> None:
    assert when.words(zone=BERLIN, today=TODAY) == words


def test_days_have_no_zone() -> None:
    day = whole_days(date(2026, 11, 24), date(2026, 11, 24))
    for zone in (ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Pacific/Pago_Pago")):
        assert day.days(zone) == (date(2026, 11, 24), date(2026, 11, 24))


def test_a_day_is_over_at_midnight_where_its_reader_is() -> None:
    day = whole_days(TODAY, TODAY)
    assert not day.is_past(now=at(22, 23, 59), zone=BERLIN)
    assert day.is_past(now=at(23, 0), zone=BERLIN)
    meeting = When(at(22, 9), at(22, 10), False)
    assert not meeting.is_past(now=at(22, 9, 30), zone=BERLIN)
    assert meeting.is_past(now=at(22, 10, 1), zone=BERLIN)


def words_of(item: SyncFacts, calendar: CalendarFacts) -> str:
    return standing(item, calendar, whose="Mia's", today=TODAY).words


def test_standing_of_the_sync() -> None:
    window = window_of(now=at(22, 12), sync_from=at(2, 9, month=10), days_after=7, zone=BERLIN)
    calendar = CalendarFacts(is_connected=True, window=window, days_after=7)
    near, far = date(2026, 11, 24), date(2026, 12, 10)
    assert words_of(SyncFacts(True, near), calendar) == "Waiting for the next sync"
    assert words_of(SyncFacts(False, near), calendar) == "Not synced"
    assert words_of(SyncFacts(True, near, is_in_calendar=True), calendar) == "In Mia's calendar"
    assert words_of(SyncFacts(True, near, failure="No."), calendar) == "Could not be sent: No."
    assert (
        words_of(SyncFacts(True, far, is_in_window=False), calendar)
        == "Waiting: outside the window until Thu 3 Dec"
    )
    assert (
        words_of(SyncFacts(True, date(2026, 9, 1), is_in_window=False), calendar)
        == "Not sent: before the sync's start, Fri 2 Oct"
    )
    assert "not connected" in words_of(SyncFacts(True, near), CalendarFacts(is_connected=False))
    read_only = CalendarFacts(is_connected=True, window=window, read_only_name="Team")
    assert words_of(SyncFacts(True, near), read_only) == (
        "Not sent: Mia's calendar “Team” is read-only"
    )
    # What is there already stays there, whatever the window says today.
    there = SyncFacts(True, far, is_in_window=False, is_in_calendar=True)
    assert words_of(there, calendar) == "In Mia's calendar"


def test_the_day_on_which_the_window_opens_is_the_first_inside() -> None:
    item, days_after = date(2026, 12, 10), 7
    sync_from = at(2, 9, month=10)
    calendar = CalendarFacts(
        is_connected=True,
        window=window_of(now=at(22, 12), sync_from=sync_from, days_after=days_after, zone=BERLIN),
        days_after=days_after,
    )
    facts = SyncFacts(True, item, is_in_window=False)
    assert words_of(facts, calendar).endswith("until Thu 3 Dec")
    opened, before = (
        window_of(now=now, sync_from=sync_from, days_after=days_after, zone=BERLIN)
        for now in (at(3, 0, month=12), at(2, 23, 59, month=12))
    )
    assert opened.last_day == item
    assert before.last_day == item - timedelta(days=1)


def test_sync_again_is_offered_only_for_what_was_deleted_there() -> None:
    calendar = CalendarFacts(is_connected=True)
    gone = standing(SyncFacts(True, TODAY, is_unlinked=True), calendar, whose="your", today=TODAY)
    assert gone.can_sync_again
    assert gone.words == "Deleted in the mail app, kept here"
    for facts in (SyncFacts(True, TODAY), SyncFacts(False, TODAY)):
        assert not standing(facts, calendar, whose="your", today=TODAY).can_sync_again


def test_possessive() -> None:
    assert (possessive("Mia"), possessive("Jonas")) == ("Mia's", "Jonas'")
