"""The calendar's name in the settings field, compared with the mailbox's own calendars."""

import pytest

from accounts.calendars import choose_calendar, offered
from crm_sync.providers.types import Calendar

HOLIDAYS = Calendar("1", "Public holidays", is_read_only=True)
TEAM = Calendar("2", "Team")
USUAL = Calendar("3", "calendar ")
PRIMARY = Calendar("4", "ann@example.com", is_primary=True)
NAMELESS = Calendar("5", " ")


def chosen(calendars: list[Calendar], name: str = "") -> tuple[str | None, str | None]:
    choice = choose_calendar(calendars, name=name)
    return (
        choice.calendar.id if choice.calendar else None,
        choice.problem.name if choice.problem else None,
    )


@pytest.mark.parametrize("blank", ["", "  ", "\t"])
@pytest.mark.parametrize(
    ("calendars", "expected"),
    [
        ([HOLIDAYS, TEAM, PRIMARY, USUAL], "3"),  # the one named “Calendar”
        ([HOLIDAYS, TEAM, PRIMARY], "4"),  # or else the primary
        ([HOLIDAYS, TEAM], "2"),  # or else the first that can be written to
        ([HOLIDAYS, NAMELESS], "5"),
        ([HOLIDAYS], "1"),
    ],
)
def test_blank_means_the_usual_one(blank, calendars, expected):
    assert chosen(calendars, blank) == (expected, None)


def test_of_several_named_calendar_the_first_counts():
    again = Calendar("6", "Calendar", is_primary=True)
    assert chosen([TEAM, USUAL, again]) == ("3", None)
    assert chosen([TEAM, again, USUAL]) == ("6", None)


@pytest.mark.parametrize("name", ["Team", "team", "  TEAM "])
def test_a_name_fits_in_any_case(name):
    assert chosen([HOLIDAYS, TEAM, PRIMARY], name) == ("2", None)


@pytest.mark.parametrize("name", ["Tea", "Team 2", "*", "Te am", "Outlook/Team"])
def test_a_name_must_fit_exactly_and_never_falls_back_to_another_calendar(name):
    assert chosen([HOLIDAYS, TEAM, PRIMARY, USUAL], name) == (None, name)


def test_the_problem_says_which_calendar_is_missing():
    choice = choose_calendar([TEAM], name=" Clients ")
    assert choice.problem.name == "Clients"
    assert choice.problem.cause == "The mailbox has no calendar named “Clients”."


def test_a_read_only_calendar_can_be_chosen():
    assert chosen([TEAM, HOLIDAYS], "public holidays") == ("1", None)


@pytest.mark.parametrize(("name", "named"), [("", "Calendar"), ("Team", "Team")])
def test_a_mailbox_without_calendars_has_a_problem(name, named):
    assert chosen([], name) == (None, named)


def test_the_primary_is_offered_first_and_read_only_ones_last_and_nameless_ones_never():
    alpha = Calendar("7", "alpha")
    found = offered([HOLIDAYS, TEAM, NAMELESS, PRIMARY, alpha])
    assert [calendar.id for calendar in found] == ["4", "7", "2", "1"]
