"""`import_actions`, `export_actions`, and `sync --calendar`."""

import csv
import io
import json
from datetime import UTC, date, datetime

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from calendar_sync import changing, exporting, foreground, importing
from calendar_sync.models import ActionItem, ActionType
from calendar_sync.models.actions import midnight
from crm_sync.providers.types import Calendar
from tests.calendar_sync.conftest import World
from tests.calendar_sync.fake_calendar import NOW, days, meeting

HEADER = ",".join(importing.COLUMNS)
ROW = {
    "key": "k1",
    "owner": "mia",
    "type": "Call",
    "title": "Call Ana",
    "starts_at": "2026-11-23T08:00:00Z",
    "ends_at": "2026-11-23T08:45:00Z",
    "all_day": "false",
    "customer_number": "1001",
    "contact_email": "ana@lumen.example",
    "location": "Berlin",
    "note": "One, two",
    "sync": "true",
    "completed": "false",
    "deleted": "false",
}


def rows(*changes: dict[str, str]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, importing.COLUMNS)
    writer.writeheader()
    writer.writerows([{**ROW, **row} for row in changes])
    return out.getvalue()


@pytest.fixture
def load(world: World, tmp_path, capsys):
    """Import these rows; what was printed, and the exit code."""

    def load(*changes: dict[str, str]) -> tuple[str, str, int]:
        file = tmp_path / "actions.csv"
        file.write_text(rows(*changes), encoding="utf-8")
        code = 0
        try:
            call_command("import_actions", str(file))
        except SystemExit as end:
            code = int(end.code)
        printed = capsys.readouterr()
        return printed.out.strip(), printed.err.strip(), code

    return load


def item() -> ActionItem:
    return ActionItem.objects.get()


# --- importing -----------------------------------------------------------------------------------


def test_the_columns_are_those_of_the_contract():
    assert HEADER == (
        "key,owner,type,title,starts_at,ends_at,all_day,customer_number,contact_email,location,"
        "note,sync,completed,deleted"
    )
    assert ",".join(exporting.COLUMNS) == (
        "user,origin,type,title,starts_at,ends_at,all_day,location,completed,cancelled,sync,"
        "event_id,attendees,customers"
    )


def test_a_row_becomes_an_item(world: World, load):
    assert load({}) == ("1 created, 0 updated, 0 unchanged, 0 rejected", "", 0)
    found = item()
    assert (found.owner, found.type, found.contact) == (world.mia.user, world.call, world.ana)
    assert found.customer == world.ana.customer
    assert found.starts_at == datetime(2026, 11, 23, 8, tzinfo=UTC)
    assert (found.ends_at - found.starts_at).seconds == 45 * 60
    assert (found.location, found.note, found.sync) == ("Berlin", "One, two", True)
    assert (found.completed_at, found.deleted_at) == (None, None)


def test_the_same_key_updates_and_the_same_row_changes_nothing(world: World, load):
    load({})
    assert load({})[0] == "0 created, 0 updated, 1 unchanged, 0 rejected"
    assert load({"title": "Other", "owner": "TOM", "completed": "true"})[0].startswith(
        "0 created, 1 updated"
    )
    assert (item().title, item().owner) == ("Other", world.tom.user)
    assert item().completed_at is not None
    load({"title": "Other", "owner": "tom"})
    assert item().completed_at is None, "the row says all of its item"


def test_deleted_and_back(world: World, load):
    load({"deleted": "true"})
    assert item().deleted_at is not None
    assert load({"deleted": "true"})[0] == "0 created, 0 updated, 1 unchanged, 0 rejected"
    load({})
    assert item().deleted_at is None


def test_days_are_dates_the_end_inclusive(world: World, load):
    load({"all_day": "true", "starts_at": "2026-11-24", "ends_at": "2026-11-26"})
    assert (item().first_day, item().last_day) == (date(2026, 11, 24), date(2026, 11, 26))
    load({"all_day": "true", "starts_at": "2026-11-24", "ends_at": ""})
    assert item().ends_at == midnight(date(2026, 11, 24))


def test_a_time_without_an_offset_is_the_owners(world: World, load):
    load({"starts_at": "2026-11-23T09:00", "ends_at": ""})
    assert item().starts_at == datetime(2026, 11, 23, 8, tzinfo=UTC)
    assert (item().ends_at - item().starts_at).seconds == 30 * 60


@pytest.mark.parametrize("clock", ["2027-03-28T02:30", "2027-03-28T01:45", "2026-10-25T02:45"])
def test_in_the_night_of_a_clock_change_an_item_keeps_its_length(world: World, load, clock):
    _, errors, code = load({"starts_at": clock, "ends_at": ""})
    assert (errors, code) == ("", 0)
    assert (item().ends_at - item().starts_at).seconds == 30 * 60


def test_an_end_that_only_looks_later_is_named_and_the_other_rows_are_stored(world: World, load):
    # 02:45 does not exist on that day: it is 03:45 in summer time, after 03:15.
    _, errors, code = load(
        {"key": "k0", "starts_at": "2027-03-28T02:45", "ends_at": "2027-03-28T03:15"}, {}
    )
    assert (errors, code) == ("line 2: The end is before the start.", 1)
    assert item().title == "Call Ana"


def test_an_unknown_type_is_made_and_decides_about_sync(world: World, load):
    load({"type": "Site visit", "sync": ""})
    assert ActionType.objects.get(name="Site visit").sync_by_default
    assert item().sync
    load({"type": "site VISIT"})
    assert ActionType.objects.filter(name__iexact="site visit").count() == 1


def test_a_contact_without_a_customer_brings_its_own(world: World, load):
    load({"customer_number": ""})
    assert item().customer == world.ana.customer
    load({"customer_number": "1002", "contact_email": ""})
    assert (item().customer, item().contact) == (world.kim.customer, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": ""}, "key is empty"),
        ({"owner": "nobody"}, "owner names a user that does not exist: nobody"),
        ({"type": ""}, "type is empty"),
        ({"type": "imported"}, "kept for appointments"),
        ({"title": ""}, "title is empty"),
        ({"title": "x" * 301}, "longer than 300"),
        ({"starts_at": "Monday"}, "starts_at is no date and time"),
        ({"starts_at": "2026-11-23T08:00Z", "ends_at": "2026-11-23T07:00Z"}, "before the start"),
        ({"starts_at": "0001-01-01T00:00Z"}, "not in this age"),
        ({"all_day": "true"}, "is a date"),
        ({"all_day": "perhaps"}, "all_day is “true” or “false”"),
        ({"sync": "1"}, "sync is “true” or “false”"),
        ({"completed": "x"}, "completed is “true” or “false”"),
        ({"deleted": "x"}, "deleted is “true” or “false”"),
        ({"customer_number": "9999"}, "no customer 9999"),
        ({"contact_email": "x@other.example"}, "no contact x@other.example of 1001"),
        ({"contact_email": "not an address"}, "is not an email address"),
        ({"customer_number": "1002"}, "no contact ana@lumen.example of 1002"),
        ({"key": "k" * 201}, "key is longer"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_stored(world: World, load, change, words):
    out, err, code = load(change, {"key": "good"})
    assert (out, code) == ("1 created, 0 updated, 0 unchanged, 1 rejected", 1)
    assert err.startswith("line 2: ")
    assert words in err
    assert item().import_key == "good"


def test_a_bad_row_leaves_a_known_item_alone(world: World, load):
    load({})
    load({"title": "Other", "sync": "perhaps"})
    load({"title": "Other", "starts_at": "x"})
    assert item().title == "Call Ana"


def test_a_file_without_a_column_is_refused_whole(world: World, tmp_path):
    file = tmp_path / "actions.csv"
    file.write_text("key,owner\n1,mia\n")
    with pytest.raises(CommandError, match="missing: type"):
        call_command("import_actions", str(file))


def test_what_is_imported_goes_to_the_calendar_and_a_change_there_comes_back(world: World, load):
    load({})
    world.synced()
    event = world.event_of(item())
    assert (event.title, event.location) == ("Call Ana", "Berlin")
    world.later(minutes=10)
    world.mia.calendar.edit(event.id, title="Theirs")
    world.synced()
    assert item().title == "Theirs"


# --- exporting -----------------------------------------------------------------------------------


def exported(capsys, *options: str) -> list[dict]:
    call_command("export_actions", *options)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_export_says_everything_in_plain_values(world: World, capsys):
    to_do = world.to_do(contact=world.ana, title="Ä", location="Berlin")
    days_off = world.to_do(
        world.tom,
        title="Fair",
        all_day=True,
        starts_at=midnight(date(2026, 11, 24)),
        ends_at=midnight(date(2026, 11, 26)),
        customer=world.kim.customer,
        sync=False,
    )
    world.mia.calendar.add(
        meeting("e1", "ana@lumen.example", "x@other.example", time=days(date(2026, 12, 1)))
    )
    gone = world.to_do(title="Deleted")
    world.synced()
    changing.delete_action(gone, by=None, now=NOW)
    changing.complete(days_off, by=None, now=NOW)
    made, fair, imported = exported(capsys)
    assert made == {
        "user": "mia",
        "origin": "crm",
        "type": "Call",
        "title": "Ä",
        "starts_at": "2026-11-21T12:00:00Z",
        "ends_at": "2026-11-21T12:30:00Z",
        "all_day": False,
        "location": "Berlin",
        "completed": False,
        "cancelled": False,
        "sync": True,
        "event_id": world.event_of(to_do).id,
        "attendees": [],
        "customers": ["1001"],
    }
    assert (fair["starts_at"], fair["ends_at"]) == ("2026-11-24", "2026-11-26")
    assert (fair["completed"], fair["sync"], fair["event_id"]) == (True, False, "")
    assert fair["customers"] == ["1002"]
    assert (imported["origin"], imported["type"], imported["event_id"]) == (
        "imported",
        "Imported",
        "e1",
    )
    assert imported["attendees"] == [
        "mia@northsound.example",
        "ana@lumen.example",
        "x@other.example",
    ]
    assert imported["customers"] == ["1001"]
    assert list(made) == exporting.COLUMNS


def test_one_users_and_as_csv(world: World, capsys):
    world.to_do(contact=world.ana)
    world.to_do(world.tom, title="Tom's")
    assert [row["title"] for row in exported(capsys, "--user", "tom")] == ["Tom's"]
    call_command("export_actions", "--user", "mia", "--format", "csv")
    header, line = capsys.readouterr().out.splitlines()
    assert header == ",".join(exporting.COLUMNS)
    assert line.endswith("false,,false,false,true,,,1001")
    with pytest.raises(CommandError, match="no user"):
        call_command("export_actions", "--user", "nobody")


def test_the_export_asks_a_fixed_number_of_questions(
    world: World, capsys, django_assert_max_num_queries
):
    for number in range(30):
        world.to_do(title=f"Number {number}", contact=world.ana)
    world.mia.calendar.add(*(meeting(f"e{n}", "ana@lumen.example") for n in range(30)))
    world.synced()
    with django_assert_max_num_queries(8):
        assert len(exported(capsys)) == 60


# --- sync ----------------------------------------------------------------------------------------


@pytest.fixture
def sync(world: World, monkeypatch, capsys):
    monkeypatch.setattr(foreground, "nylas", lambda: world.mia.calendar)
    world.tom.mailbox.calendar_enabled = False
    world.tom.mailbox.save()

    def sync(*options: str) -> tuple[str, str, int]:
        code = 0
        try:
            with world.clock():
                call_command("sync", "--calendar", *options)
        except SystemExit as end:
            code = int(end.code)
        printed = capsys.readouterr()
        return printed.out.strip(), printed.err.strip(), code

    return sync


def test_a_pass_in_the_foreground_lists_the_whole_window(world: World, sync):
    found = world.to_do()
    assert sync()[2] == 0
    assert sync()[2] == 0
    del world.mia.calendar.events[world.event_of(found).id]
    world.later(minutes=5)
    out, _, code = sync("--mailbox", "mia@northsound.example")
    assert code == 0
    assert out.startswith("mia@northsound.example: complete")
    assert item().unlinked_at is not None


def test_it_names_what_is_missing_and_fails(world: World, sync):
    world.mia.mailbox.calendar_name = "Team"
    world.mia.mailbox.save()
    _, err, code = sync()
    assert code == 1
    assert "calendar “Team”: The mailbox has no calendar named “Team”." in err
    world.mia.calendar.calendar_list.append(Calendar("team", "team"))
    assert sync()[2] == 0
