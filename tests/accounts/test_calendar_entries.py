"""The registry through which rooms put their entries on the calendar."""

from datetime import UTC, datetime, timedelta
from unittest import mock

from accounts import calendar_entries
from accounts.calendar_entries import Entry, Kind, Wanted
from tests.accounts.cast import CastTestCase

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def entry(name: str, kind: Kind, hours: int = 0) -> Entry:
    start = NOON + timedelta(hours=hours)
    return Entry(name, kind, name, start, start, f"/{name}/", ())


class RegistryTests(CastTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(mock.patch.object(calendar_entries, "_providers", []))
        self.wanted = Wanted(self.rep, NOON, NOON + timedelta(days=1))
        self.asked: list[str] = []
        calendar_entries.register(self.mail, kinds=[Kind.EMAIL])
        calendar_entries.register(self.items, kinds=[Kind.TO_DO, Kind.APPOINTMENT])

    def mail(self, wanted: Wanted) -> list[Entry]:
        self.asked.append("mail")
        assert wanted.viewer == self.rep
        return [entry("letter", Kind.EMAIL, 2)]

    def items(self, wanted: Wanted) -> list[Entry]:
        self.asked.append("items")
        return [entry("late", Kind.TO_DO, 3), entry("early", Kind.APPOINTMENT, 1)]

    def found(self, **changed) -> list[str]:
        wanted = Wanted(**{**self.wanted.__dict__, **changed})
        return [found.id for found in calendar_entries.entries(wanted)]

    def test_all_rooms_are_asked_and_the_answer_is_in_the_order_of_time(self):
        assert self.found() == ["early", "letter", "late"]

    def test_only_rooms_with_a_wanted_kind_are_asked(self):
        assert self.found(kinds=frozenset({Kind.EMAIL})) == ["letter"]
        assert self.asked == ["mail"]
        assert self.found(kinds=frozenset()) == []
        assert self.asked == ["mail"]
