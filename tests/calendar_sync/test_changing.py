"""What people and commands do to action items."""

from datetime import UTC, date, datetime, timedelta

import pytest

from accounts.models import MailboxSync
from calendar_sync import changing
from calendar_sync.changing import ChangeRefused, Changes
from calendar_sync.models import ActionItem, ActionItemChange, ActionType, EventLink
from calendar_sync.models.actions import IMPORTED, midnight
from tests.calendar_sync.conftest import World, history
from tests.calendar_sync.fake_calendar import NOW


def fresh(item: ActionItem) -> ActionItem:
    return ActionItem.objects.get(pk=item.pk)


def fields_of(item: ActionItem) -> dict[str, list[str]]:
    return ActionItemChange.objects.filter(item=item).latest("pk").fields


def test_a_new_to_do_has_sensible_defaults(world: World):
    values = {
        "owner": world.mia.user,
        "type": world.call,
        "title": "  Call \n Ana ",
        "starts_at": NOW,
        "contact": world.ana,
    }
    item = fresh(changing.create_action(values, by=world.tom.user, now=NOW))
    assert item.title == "Call Ana"
    assert item.ends_at - item.starts_at == timedelta(minutes=30)
    assert item.customer == world.ana.customer
    assert item.sync, "as its type says"
    assert (item.created_by, item.created_at, item.changed_at) == (world.tom.user, NOW, NOW)
    row = item.changes.get()
    assert (row.summary, row.user, row.origin) == ("Created", world.tom.user, "crm")


def test_the_type_decides_about_sync_unless_somebody_did(world: World):
    quiet = ActionType.objects.create(name="Quiet", sync_by_default=False)
    values: Changes = {"owner": world.mia.user, "type": quiet, "title": "x", "starts_at": NOW}
    assert not changing.create_action(values, by=None, now=NOW).sync
    assert changing.create_action({**values, "sync": True}, by=None, now=NOW).sync


def test_days_are_days(world: World):
    item = world.to_do(all_day=True, starts_at=midnight(date(2026, 11, 24)))
    assert (item.first_day, item.last_day) == (date(2026, 11, 24), date(2026, 11, 24))
    odd = datetime(2026, 11, 25, 13, 5, tzinfo=UTC)
    item = world.edit(item, starts_at=odd, ends_at=odd)
    assert (item.starts_at, item.ends_at) == (midnight(odd.date()), midnight(odd.date()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"title": "  "}, "short description is needed"),
        ({"title": "x" * 301}, "longer than 300"),
        ({"location": "x" * 301}, "longer than 300"),
        ({"starts_at": NOW, "ends_at": NOW - timedelta(minutes=1)}, "before the start"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(world: World, changes, words):
    item = world.to_do()
    with pytest.raises(ChangeRefused, match=words):
        world.edit(item, **changes)
    assert fresh(item).title == "Call Ana"
    assert history(item) == ["Created"]
    with pytest.raises(ChangeRefused):
        world.to_do(**changes)
    assert ActionItem.objects.count() == 1


def test_the_type_of_imports_is_not_for_to_dos(world: World):
    imported = ActionType.objects.get_or_create(name=IMPORTED)[0]
    with pytest.raises(ChangeRefused):
        world.to_do(type=imported)
    with pytest.raises(ChangeRefused):
        world.edit(world.to_do(), type=imported)


def test_a_contact_belongs_to_its_customer(world: World):
    item = world.to_do(contact=world.ana)
    with pytest.raises(ChangeRefused, match="no contact of"):
        world.edit(item, contact=world.kim)
    item = world.edit(item, customer=world.kim.customer)
    assert item.contact is None, "it was the former customer's"
    item = world.edit(item, contact=world.kim)
    item = world.edit(item, customer=None, contact=None)
    assert (item.customer, item.contact) == (None, None)
    assert world.edit(item, contact=world.ana).customer == world.ana.customer


def test_a_change_that_changes_nothing_leaves_no_line(world: World):
    item = world.to_do()
    world.later(minutes=5)
    world.edit(item, title="Call Ana", location="", sync=True)
    assert history(item) == ["Created"]
    assert fresh(item).changed_at == NOW


def test_the_history_says_what_was_before_in_peoples_words(world: World):
    item = world.to_do(note="One")
    world.edit(item, note="Two", owner=world.tom.user, starts_at=NOW, ends_at=NOW)
    assert fields_of(item) == {
        "Note": ["One", "Two"],
        "Assigned to": ["Mia Berg", "Tom Berg"],
        "Time": ["Sat 21 Nov 2026, 13:00 to 13:30", "Fri 20 Nov 2026, 13:00"],
    }
    world.edit(item, note="")
    assert fields_of(item) == {"Note": ["Two", "–"]}


@pytest.mark.parametrize(
    ("changes", "summary"),
    [
        ({"is_completed": True, "completion_note": "Done"}, "Completed"),
        ({"starts_at": NOW, "ends_at": NOW}, "Rescheduled"),
        ({"title": "Other"}, "Changed"),
        ({"title": "Other", "is_completed": True}, "Changed"),
        ({"completion_note": "Done"}, "Changed"),
    ],
)
def test_the_history_names_what_was_done(world: World, changes, summary):
    item = world.to_do()
    world.edit(item, **changes)
    assert history(item)[-1] == summary


def test_each_use_case_leaves_its_line(world: World):
    item, by, now = world.to_do(), world.mia.user, world.now
    changing.complete(item, note="Done", by=by, now=now)
    changing.complete(item, by=by, now=now)
    assert fresh(item).completion_note == "Done"
    changing.reopen(item, by=by, now=now)
    changing.reschedule(item, starts_at=NOW, ends_at=NOW, all_day=False, by=by, now=now)
    changing.reassign(item, to=world.tom.user, by=by, now=now)
    changing.delete_action(item, by=by, now=now)
    changing.delete_action(item, by=by, now=now)
    changing.restore_action(item, by=by, now=now)
    changing.restore_action(item, by=by, now=now)
    changing.sync_again(item, by=by, now=now)
    assert history(item) == [
        "Created", "Completed", "Reopened", "Rescheduled", "Handed over to Tom Berg", "Deleted",
        "Restored",
    ]  # fmt: skip


def test_what_no_calendar_shows_does_not_count_as_its_change(world: World):
    item = world.to_do()
    world.later(minutes=5)
    for changes in ({"is_completed": True}, {"completion_note": "x"}, {"owner": world.tom.user}):
        world.edit(item, **changes)
        assert fresh(item).changed_at == NOW
    world.edit(item, location="x")
    assert fresh(item).changed_at == world.now


def test_completing_again_keeps_the_first_time(world: World):
    item = changing.complete(world.to_do(), by=None, now=NOW)
    world.later(days=1)
    world.edit(item, is_completed=True, title="Other")
    assert fresh(item).completed_at == NOW


def test_a_form_that_was_open_meanwhile_undoes_nothing(world: World):
    """Only what the user changed is put in; the stale object itself says nothing."""
    stale = world.to_do()
    world.edit(stale, title="From the mail app")
    world.edit(stale, note="From the form")
    assert (fresh(stale).title, fresh(stale).note) == ("From the mail app", "From the form")


def test_a_change_in_the_zone_is_no_change_of_the_time(world: World):
    world.tom.user.time_zone = "Pacific/Auckland"
    world.tom.user.save()
    item = world.to_do()
    world.edit(item, owner=world.tom.user)
    assert list(fields_of(item)) == ["Assigned to"]


# --- what it means for calendars -----------------------------------------------------------------


def test_the_owners_calendars_are_due_at_once(world: World, django_capture_on_commit_callbacks):
    item = world.to_do()
    world.synced()
    world.synced(world.tom)
    MailboxSync.objects.update(next_due_at=world.now + timedelta(minutes=5))
    with django_capture_on_commit_callbacks(execute=True):
        world.edit(item, owner=world.tom.user)
    due = MailboxSync.objects.filter(next_due_at__lte=world.now)
    assert {(row.mailbox.user.username, row.kind) for row in due} == {
        ("mia", "calendar"), ("tom", "calendar"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "state", [{"stopped_at": NOW}, {"next_due_at": None}, {"mailbox__calendar_enabled": False}]
)
def test_what_is_stopped_or_off_is_not_started_by_a_change(
    world: World, state, django_capture_on_commit_callbacks
):
    later = NOW + timedelta(minutes=5)
    MailboxSync.objects.update(next_due_at=later)
    if "mailbox__calendar_enabled" in state:
        world.mia.mailbox.calendar_enabled = False
        world.mia.mailbox.save()
    else:
        MailboxSync.objects.update(**state)
    before = world.row()
    with django_capture_on_commit_callbacks(execute=True):
        world.to_do()
    row = world.row()
    assert (row.next_due_at, row.stopped_at) == (before.next_due_at, before.stopped_at)
    assert row.queued_at is None


def test_an_edit_gives_a_refused_item_another_chance(world: World):
    item = world.to_do()
    world.synced()
    EventLink.objects.update(attempts=3, failure="No.")
    world.edit(item, title="Other")
    link = EventLink.objects.get()
    assert (link.attempts, link.failure) == (0, "")
    world.synced()
    assert world.event_of(item).title == "Other"


def test_two_changes_in_the_same_instant_are_both_written(world: World):
    item = world.to_do()
    world.synced()
    world.synced()
    world.edit(item, title="Other")
    world.synced()
    assert world.event_of(item).title == "Other"
