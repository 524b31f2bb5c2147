"""To-dos and their events: one pass after the other, both ways."""

from datetime import date, timedelta

import pytest

from accounts.models import Contact, MailboxSync, SyncRun
from accounts.outcomes import state_of
from accounts.rules import State
from calendar_sync import changing
from calendar_sync.descriptions import LONGEST_DESCRIPTION, LONGEST_LOCATION_THERE
from calendar_sync.models import ActionItem, CalendarCursor, EventLink
from calendar_sync.models.actions import midnight
from crm_sync.providers.errors import (
    ItemGone,
    PermanentError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.types import Attendee, Calendar
from tests.calendar_sync.conftest import World, connect, history, is_shown
from tests.calendar_sync.fake_calendar import NOW, at, days


def fresh(item: ActionItem) -> ActionItem:
    return ActionItem.objects.get(pk=item.pk)


def link_of(item: ActionItem) -> EventLink:
    return EventLink.objects.get(item=item)


def fails(kind: str, error: Exception, *, times: int = 1):
    """For `before` and `after`: the first requests of this kind fail."""
    left = [times]

    def fail(asked: str, subject: str) -> None:
        if asked == kind and left[0]:
            left[0] -= 1
            raise error

    return fail


# --- both ways ----------------------------------------------------------------------------------


def test_a_to_do_becomes_an_event_and_what_is_changed_there_comes_back(world: World):
    item = world.to_do(contact=world.ana, note="About the rates")
    world.synced()
    event = world.event_of(item)
    assert event.title == "Call Ana"
    assert event.time.starts_at == NOW + timedelta(hours=24)
    for word in ("About the rates", "Ana Silva (Lumen)", "555 0100", "ana@lumen.example"):
        assert word in event.description

    world.later(minutes=10)
    world.mia.calendar.edit(event.id, title="Call Ana back", time=at(48))
    world.later(minutes=5)
    world.synced()
    assert (fresh(item).title, fresh(item).starts_at) == (
        "Call Ana back",
        NOW + timedelta(hours=48),
    )
    assert fresh(item).note == "About the rates"
    assert history(item) == ["Created", "Changed in the mail app"]
    assert len(world.mia.calendar.shown()) == 1


def test_nobody_is_invited(world: World):
    world.to_do(contact=world.ana)
    world.synced()
    (event,) = world.mia.calendar.shown().values()
    assert event.attendees == ()
    assert event.organiser is None


def test_our_own_event_is_no_news_and_a_pass_without_news_writes_nothing(world: World):
    item = world.to_do(contact=world.ana)
    world.synced()
    for whole in (False, True):
        world.later(minutes=10)
        report = world.synced(whole=whole)
        assert report.result.matched == 0
    assert world.mia.calendar.asked["create"] == 1
    assert world.mia.calendar.asked["update"] == 0
    assert history(item) == ["Created"]
    runs = SyncRun.objects.filter(sync=world.row())
    assert sum(run.passes for run in runs) == 3
    assert runs.count() == 2, "idle passes share a row"


def test_a_change_here_writes_only_what_changed(world: World):
    item = world.to_do(note="Bring the offer")
    world.synced()
    event = world.event_of(item)
    world.mia.calendar.edit(event.id, location="Their office")
    world.later(minutes=5)
    world.edit(item, title="Call Ana again")
    world.synced()
    draft = world.mia.calendar.drafts[-1]
    assert (draft.title, draft.location, draft.time, draft.description) == (
        "Call Ana again", None, None, None,
    )  # fmt: skip
    assert world.event_of(item).location == fresh(item).location == "Their office"


def test_what_an_event_cannot_hold_stays_whole_in_the_crm(world: World):
    item = world.to_do(contact=world.ana, note="n" * 9_000, location="l" * 290)
    world.mia.calendar.after = fails("create", TransientError("time-out"))
    world.sync()
    world.synced()
    event = world.event_of(item)
    assert len(event.description) <= LONGEST_DESCRIPTION
    assert "ana" in event.description, "the card is not what is cut"
    assert len(event.location) == LONGEST_LOCATION_THERE
    world.mia.calendar.edit(event.id, title="Moved there")
    world.later(minutes=5)
    world.synced()
    kept = fresh(item)
    assert (kept.title, len(kept.note), len(kept.location)) == ("Moved there", 9_000, 290)
    assert world.mia.calendar.asked["update"] == 0


def test_a_change_of_the_contacts_number_reaches_the_calendar(world: World):
    item = world.to_do(contact=world.ana)
    world.synced()
    Contact.objects.filter(pk=world.ana.pk).update(phone="555 0199")
    world.synced(whole=True)
    assert "555 0199" in world.event_of(item).description
    assert history(item) == ["Created"]


@pytest.mark.parametrize("skew", [-600, 0, 600])
@pytest.mark.parametrize("is_newer_here", [True, False])
def test_the_newer_change_of_a_field_wins_and_the_older_is_kept_in_the_history(
    world: World, skew, is_newer_here
):
    world.mia.calendar.now = lambda: world.now + timedelta(seconds=skew)
    item = world.to_do()
    world.synced()
    event = world.event_of(item)
    world.later(minutes=20)
    if is_newer_here:
        world.mia.calendar.edit(event.id, title="Theirs")
        world.later(minutes=2)
        world.edit(item, title="Ours")
    else:
        world.edit(item, title="Ours")
        world.later(minutes=2)
        world.mia.calendar.edit(event.id, title="Theirs")
    world.later(minutes=2)
    world.synced()
    winner, loser = ("Ours", "Theirs") if is_newer_here else ("Theirs", "Ours")
    assert fresh(item).title == world.event_of(item).title == winner
    assert {"Short description": [loser, winner]} in [row.fields for row in item.changes.all()]


def test_a_provider_that_does_not_date_changes_gives_way_to_the_crm(world: World):
    world.mia.calendar.tells_updates = False
    world.mia.mailbox.provider = "icloud"
    world.mia.mailbox.save()
    item = world.to_do()
    world.synced()
    event = world.event_of(item)
    world.mia.calendar.edit(event.id, location="Their office")
    world.later(minutes=10)
    world.synced()
    assert fresh(item).location == "Their office", "compared by content"
    world.edit(item, title="Ours")
    world.mia.calendar.edit(event.id, title="Theirs")
    world.later(minutes=10)
    world.synced()
    assert fresh(item).title == world.event_of(item).title == "Ours"
    assert history(item)[-1].startswith("A change in the mail app was older")


def test_markup_alone_is_no_change(world: World):
    def as_html(text):
        return "<html><body><div>" + text.replace("\n", "</div>\r\n<div>") + "</div></body></html>"

    world.mia.calendar.stored_as = as_html
    item = world.to_do(contact=world.ana, note="One\n\nTwo & three")
    world.synced()
    world.later(minutes=10)
    assert world.synced(whole=True).result.matched == 0
    event = world.event_of(item)
    world.mia.calendar.edit(event.id, description=event.description.replace("<div>", "<div ><b>"))
    world.later(minutes=10)
    world.synced()
    assert fresh(item).note == "One\n\nTwo & three"
    assert world.mia.calendar.asked["update"] == 0


def test_who_edits_the_card_below_the_line_changes_nothing_here(world: World):
    item = world.to_do(contact=world.ana, note="Mine")
    world.synced()
    event = world.event_of(item)
    world.mia.calendar.edit(event.id, description=f"{event.description}\nring twice")
    world.later(minutes=10)
    world.synced(whole=True)
    assert fresh(item).note == "Mine"
    assert world.mia.calendar.asked["update"] == 0
    world.edit(item, note="Mine, later")
    world.synced()
    assert "ring twice" not in world.event_of(item).description
    assert "ring twice" in str([row.fields for row in item.changes.all()]), "without a trace"


def test_all_day_items_are_days_whatever_the_zone(world: World):
    first, last = date(2026, 11, 24), date(2026, 11, 26)
    item = world.to_do(all_day=True, starts_at=midnight(first), ends_at=midnight(last))
    world.synced()
    assert world.event_of(item).time == days(first, last)
    world.mia.calendar.edit(world.event_of(item).id, time=days(last))
    world.later(minutes=10)
    world.synced()
    assert (fresh(item).first_day, fresh(item).last_day) == (last, last)
    world.mia.calendar.edit(world.event_of(item).id, time=at(30, zone="Europe/Paris"))
    world.later(minutes=10)
    world.synced()
    assert not fresh(item).all_day
    assert fresh(item).time_zone == "Europe/Paris"


def test_an_event_is_written_in_its_owners_zone(world: World):
    item = world.to_do()
    world.synced()
    assert world.event_of(item).time.time_zone == "Europe/Berlin"


def test_a_zones_new_name_is_no_change(world: World):
    item = world.to_do()
    world.synced()
    when = world.event_of(item).time
    world.mia.calendar.edit(world.event_of(item).id, time=at(24, zone="Europe/Paris"))
    assert world.event_of(item).time != when
    world.later(minutes=10)
    assert world.synced().result.matched == 0


@pytest.mark.parametrize("title", ["", "   "])
def test_an_event_whose_title_was_emptied(world: World, title):
    item = world.to_do()
    world.synced()
    world.mia.calendar.edit(world.event_of(item).id, title=title)
    world.later(minutes=10)
    world.synced()
    assert fresh(item).title == "(no title)"
    world.later(minutes=10)
    assert world.synced(whole=True).result.matched == 0


def test_people_whom_the_user_invites_to_our_event_are_not_our_matter(world: World):
    item = world.to_do()
    world.synced()
    invited = (Attendee("ana@lumen.example", "Ana"),)
    world.mia.calendar.edit(world.event_of(item).id, attendees=invited)
    world.later(minutes=10)
    world.synced(whole=True)
    assert ActionItem.objects.count() == 1
    world.edit(item, title="Changed")
    world.synced()
    assert world.event_of(item).attendees == invited


def test_a_user_who_makes_a_series_of_our_event_gets_no_copies(world: World):
    item = world.to_do(contact=world.ana)
    world.synced()
    event = world.event_of(item)
    calendar = world.mia.calendar
    rules = ("RRULE:FREQ=WEEKLY;COUNT=3",)
    calendar.edit(event.id, recurrence=rules, attendees=(Attendee("ana@lumen.example"),))
    for week in range(3):
        changes = {"id": f"{event.id}_{week}", "master_event_id": event.id, "time": at(24 + week)}
        calendar.add(type(event)(**{**_fields(calendar.events[event.id]), **changes}))
    world.later(minutes=10)
    world.synced(whole=True)
    assert ActionItem.objects.count() == 1
    assert fresh(item).unlinked_at is None


def _fields(event):
    return {name: getattr(event, name) for name in event.__struct_fields__}


# --- which items go out ---------------------------------------------------------------------------


def shown(world: World) -> set[str]:
    return {event.title for event in world.mia.calendar.shown().values()}


def test_only_what_is_flagged_for_sync_goes_out(world: World):
    world.to_do(title="Flagged")
    world.to_do(title="Not flagged", sync=False)
    world.synced()
    assert shown(world) == {"Flagged"}


def test_only_what_is_dated_in_the_window_goes_out(world: World):
    start = world.mia.mailbox.sync_from
    assert start is not None
    world.mia.mailbox.days_after = 1
    world.mia.mailbox.save()
    world.to_do(title="At the start", starts_at=start)
    world.to_do(title="Before the start", starts_at=start - timedelta(minutes=1))
    world.to_do(title="Tomorrow, 23:30 in Berlin", starts_at=NOW + timedelta(hours=34.5))
    world.to_do(title="The day after", starts_at=NOW + timedelta(hours=35))
    world.synced()
    assert shown(world) == {"At the start", "Tomorrow, 23:30 in Berlin"}
    world.later(hours=24)
    world.synced()
    assert "The day after" in shown(world)


def test_without_a_bound_the_furthest_go_out_too(world: World):
    item = world.to_do(starts_at=NOW + timedelta(days=2000))
    world.synced(whole=True)
    world.later(hours=2)
    world.synced(whole=True)
    assert is_shown(world, item)
    assert fresh(item).unlinked_at is None


def test_further_ahead_than_a_listing_reaches_changes_and_deletions_come_in(world: World):
    item = world.to_do(starts_at=NOW + timedelta(days=1000))
    world.synced()
    event = world.event_of(item)
    world.mia.calendar.edit(event.id, title="Moved on")
    world.later(minutes=5)
    world.synced(whole=True)
    assert fresh(item).title == "Moved on"
    world.mia.calendar.delete(event.id)
    world.synced(whole=True)
    assert history(item)[-1] == "Deleted in the mail app; kept here"


def test_out_of_the_window_nothing_is_carried_over_until_it_is_back(world: World):
    world.mia.mailbox.days_after = 7
    world.mia.mailbox.save()
    item = world.to_do()
    world.synced()
    event = world.event_of(item)
    far = NOW + timedelta(days=20)
    world.edit(item, starts_at=far, ends_at=far)
    world.mia.calendar.edit(event.id, title="Theirs")
    world.later(minutes=10)
    world.synced(whole=True)
    assert world.event_of(item).time == event.time
    assert (fresh(item).title, fresh(item).unlinked_at) == ("Call Ana", None)
    world.later(days=14)
    world.synced(whole=True)
    assert world.event_of(item).time.starts_at == far
    assert fresh(item).title == "Theirs"


def test_an_event_moved_out_of_the_window_stays_linked_and_the_item_as_it_is(world: World):
    world.mia.mailbox.days_after = 7
    world.mia.mailbox.save()
    item = world.to_do()
    world.synced()
    world.mia.calendar.edit(world.event_of(item).id, time=at(24 * 30))
    world.later(hours=2)
    world.synced(whole=True)
    assert fresh(item).starts_at == NOW + timedelta(hours=24)
    assert fresh(item).unlinked_at is None
    assert len(world.mia.calendar.shown()) == 1


def test_a_completed_item_stays_until_it_is_deleted(world: World):
    item = world.to_do()
    world.synced()
    changing.complete(item, by=world.mia.user, now=world.now)
    world.synced(whole=True)
    assert len(world.mia.calendar.shown()) == 1
    changing.delete_action(item, by=world.mia.user, now=world.now)
    world.synced()
    assert not world.mia.calendar.shown()
    assert not EventLink.objects.exists()


def test_switching_sync_off_removes_the_event_and_on_again_makes_one(world: World):
    item = world.to_do()
    world.synced()
    world.edit(item, sync=False)
    world.synced()
    assert not world.mia.calendar.shown()
    world.edit(item, sync=True)
    world.synced()
    assert len(world.mia.calendar.shown()) == 1


def test_a_deletion_taken_back_before_the_pass_leaves_the_event_alone(world: World):
    item = world.to_do()
    world.synced()
    event = world.event_of(item)
    changing.delete_action(item, by=None, now=world.now)
    changing.restore_action(item, by=None, now=world.now)
    world.synced()
    assert world.event_of(item).id == event.id
    assert world.mia.calendar.asked["create"] == 1
    assert world.mia.calendar.asked["delete"] == 0


# --- hand-overs -----------------------------------------------------------------------------------


def test_an_item_handed_over_leaves_one_calendar_and_appears_in_the_other(world: World):
    item = world.to_do()
    world.synced()
    world.edit(item, owner=world.tom.user)
    world.synced()
    world.synced(world.tom)
    assert not world.mia.calendar.shown()
    assert world.event_of(item, world.tom).title == "Call Ana"
    assert EventLink.objects.count() == 1


def test_what_was_changed_in_the_former_calendar_just_before_is_not_lost(world: World):
    item = world.to_do()
    world.synced()
    world.later(minutes=10)
    for _ in range(2):
        world.synced(world.tom)
    world.mia.calendar.edit(world.event_of(item).id, location="Their office")
    world.edit(item, owner=world.tom.user)
    world.synced(world.tom)
    world.synced(world.tom)
    world.synced()
    world.synced(world.tom)
    assert world.event_of(item, world.tom).location == "Their office"


def test_a_former_owner_without_a_connection_keeps_the_event_until_there_is_one(world: World):
    item = world.to_do()
    world.synced()
    world.mia.mailbox.calendar_enabled = False
    world.mia.mailbox.save()
    world.edit(item, owner=world.tom.user)
    world.synced(world.tom)
    assert len(world.mia.calendar.shown()) == 1
    world.mia.mailbox.calendar_enabled = True
    world.mia.mailbox.save()
    world.synced()
    assert not world.mia.calendar.shown()


def test_there_and_back_again_is_one_event(world: World):
    item = world.to_do()
    world.synced()
    world.edit(item, owner=world.tom.user)
    world.edit(item, owner=world.mia.user)
    world.synced(world.tom)
    world.synced()
    assert len(world.mia.calendar.shown()) == 1
    assert not world.tom.calendar.shown()


def test_a_customers_open_to_dos_are_handed_over_together(world: World):
    mine = world.to_do(contact=world.ana)
    done = changing.complete(world.to_do(contact=world.ana), by=None, now=world.now)
    of_tom = world.to_do(world.tom, contact=world.ana)
    other = world.to_do(contact=world.kim)
    handed = changing.hand_over_customer(
        world.ana.customer, former=world.mia.user, to=world.tom.user, by=None, now=world.now
    )
    assert handed == 1
    owners = {item.pk: fresh(item).owner.username for item in (mine, done, of_tom, other)}
    assert list(owners.values()) == ["tom", "mia", "tom", "mia"]


# --- crashes and lost answers ---------------------------------------------------------------------


def test_an_event_whose_answer_was_lost_is_found_again(world: World):
    item = world.to_do()
    world.mia.calendar.after = fails("create", TransientError("time-out"))
    assert isinstance(world.sync().error, TransientError)
    (event,) = world.mia.calendar.shown().values()
    world.mia.calendar.edit(event.id, location="Their office")
    world.later(minutes=5)
    world.synced()
    assert world.event_of(item).id == event.id
    assert fresh(item).location == "Their office"
    assert world.mia.calendar.made == 1


def test_it_is_asked_for_where_the_listing_does_not_show_it(world: World):
    item = world.to_do(starts_at=NOW + timedelta(days=1000))
    world.mia.calendar.after = fails("create", TransientError("time-out"))
    world.sync()
    world.synced()
    assert world.event_of(item).marker
    assert world.mia.calendar.asked["find"] == 1
    assert world.mia.calendar.made == 1


def test_a_change_whose_answer_was_lost_is_not_taken_for_somebody_elses(world: World):
    item = world.to_do()
    world.synced()
    world.edit(item, title="First")
    world.mia.calendar.after = fails("update", TransientError("time-out"))
    world.sync()
    # Ours, but by the provider's clock older than what our own write left behind.
    world.mia.calendar.now = lambda: world.now + timedelta(minutes=9)
    world.edit(item, title="Second")
    world.mia.calendar.edit(world.event_of(item).id)
    world.synced()
    assert fresh(item).title == world.event_of(item).title == "Second"
    assert "Changed in the mail app" not in " ".join(history(item))


def test_a_removal_whose_answer_was_lost_is_made_again(world: World):
    item = world.to_do()
    world.synced()
    changing.delete_action(item, by=None, now=world.now)
    world.mia.calendar.after = fails("delete", TransientError("time-out"))
    world.sync()
    assert EventLink.objects.exists()
    world.synced()
    assert not EventLink.objects.exists()


def test_a_to_do_deleted_while_its_event_was_being_made(world: World):
    item = world.to_do()
    world.mia.calendar.after = fails("create", TransientError("time-out"))
    world.sync()
    changing.delete_action(item, by=None, now=world.now)
    world.synced()
    assert not world.mia.calendar.shown()
    assert not EventLink.objects.exists()


def test_a_reader_that_lost_its_lease_stores_nothing_more(world: World):
    world.to_do()
    world.to_do(title="Another")

    def lose(kind: str, subject: str) -> None:
        if kind == "create":
            MailboxSync.objects.filter(pk=world.row().pk).update(lease_holder="somebody else")

    world.mia.calendar.after = lose
    assert world.sync().outcome == "abandoned"
    assert not EventLink.objects.exclude(event_id="").exists()
    assert world.mia.calendar.made == 1
    MailboxSync.objects.update(lease_holder="", lease_until=None)
    world.mia.calendar.after = lambda kind, subject: None
    world.synced()
    assert len(world.mia.calendar.shown()) == 2


def test_no_request_is_made_in_a_transaction(world: World, django_capture_on_commit_callbacks):
    from django.db import connection

    outer = len(connection.savepoint_ids)

    def check(kind: str, subject: str) -> None:
        assert len(connection.savepoint_ids) == outer, kind

    world.mia.calendar.before = check
    item = world.to_do()
    world.synced()
    world.edit(item, title="Changed")
    world.synced(whole=True)
    changing.delete_action(item, by=None, now=world.now)
    world.synced()
    assert {"create", "update", "delete"} <= set(world.mia.calendar.asked)


# --- one item that fails --------------------------------------------------------------------------


def test_one_refused_item_is_named_and_the_others_go_on(world: World):
    bad, good = world.to_do(title="Bad"), world.to_do(title="Good")
    calendar = world.mia.calendar
    marker: list[str] = []

    def refuse(kind: str, subject: str) -> None:
        if kind == "create":
            marker.append(subject)
            if subject == marker[0]:
                raise PermanentError("The title is not allowed.", status=400)

    calendar.before = refuse
    report = world.sync()
    assert report.outcome == "partial"
    assert [(p.name, p.cause) for p in report.result.problems] == [
        ("Bad", "The title is not allowed.")
    ]
    assert is_shown(world, good)
    for _ in range(4):
        world.later(minutes=5)
        report = world.sync()
    assert marker.count(marker[0]) == 3, "tried a few times"
    assert report.outcome == "partial"
    calendar.before = lambda kind, subject: None
    world.edit(bad, title="Better")
    world.synced()
    assert world.event_of(bad).title == "Better"


def test_a_provider_that_is_away_is_not_asked_for_every_single_item(world: World):
    for _ in range(10):
        world.to_do()
    world.mia.calendar.before = fails("create", TransientError("away"), times=100)
    report = world.sync()
    assert isinstance(report.error, TransientError)
    assert world.mia.calendar.asked["create"] == 3


@pytest.mark.parametrize(
    "error", [ReconnectRequired("no"), TransientError("slow down", status=429)]
)
def test_what_concerns_the_mailbox_ends_the_pass_at_once(world: World, error):
    world.to_do()
    world.to_do()
    world.mia.calendar.before = fails("create", error, times=100)
    assert world.sync().error is error
    assert world.mia.calendar.asked["create"] == 1


def test_an_event_deleted_between_the_look_and_the_write(world: World):
    item = world.to_do()
    world.synced()
    world.edit(item, title="Changed")
    world.mia.calendar.before = fails("update", ItemGone("gone", status=404))
    world.synced()
    assert fresh(item).unlinked_at is not None


# --- listing --------------------------------------------------------------------------------------


def pages(world: World) -> int:
    return world.mia.calendar.asked["page"]


def test_only_changes_are_listed_and_everything_once_an_hour(world: World):
    for number in range(9):
        world.to_do(title=f"Number {number}")
    world.synced()
    world.later(minutes=10)
    world.mia.calendar.edit("made0003", title="Theirs")
    world.synced()
    world.later(minutes=30)
    before = pages(world)
    world.synced()
    assert pages(world) - before == 1
    world.later(minutes=31)
    before = pages(world)
    world.synced()
    assert pages(world) - before == 5


def test_providers_that_cannot_tell_changes_are_listed_whole(world: World):
    world.mia.mailbox.provider = "yahoo"
    world.mia.mailbox.save()
    for number in range(4):
        world.to_do(title=f"Number {number}")
    world.synced()
    world.synced()
    before = pages(world)
    world.synced()
    assert pages(world) - before == 2


def test_the_mark_is_by_the_providers_clock(world: World):
    world.mia.calendar.now = lambda: world.now - timedelta(days=1)
    item = world.to_do()
    world.synced()
    world.later(minutes=10)
    world.synced()
    mark = world.cursor().read_up_to
    assert mark is not None
    assert mark < world.now - timedelta(hours=23)
    world.mia.calendar.edit(world.event_of(item).id, title="Theirs")
    world.later(minutes=10)
    world.synced()
    assert fresh(item).title == "Theirs"


def test_a_change_made_while_the_listing_went_on_is_found_by_the_next(world: World):
    """On a page that had been read; what a later page showed was changed later still."""
    items = [world.to_do(title=f"Number {number}") for number in range(4)]
    world.synced()
    world.later(hours=3)
    calendar = world.mia.calendar
    first, *_, last = sorted(calendar.shown())
    asked = [0]

    def change(kind: str, subject: str) -> None:
        if kind == "page":
            asked[0] += 1
        if kind == "page" and asked[0] == 2:
            world.later(minutes=1)
            calendar.edit(first, title="Changed behind our back")
            world.later(minutes=30)
            calendar.edit(last, location="Late")

    calendar.before = change
    world.synced(whole=True)
    calendar.before = lambda kind, subject: None
    world.synced()
    assert "Changed behind our back" in {fresh(item).title for item in items}


def test_a_listing_that_is_cut_off_goes_on_where_it_was(world: World):
    for number in range(6):
        world.to_do(title=f"Number {number}")
    world.synced()
    world.later(hours=2)
    calendar = world.mia.calendar
    calendar.before = fails_at_page(2)
    assert isinstance(world.sync().error, TransientError)
    assert world.cursor().page_token
    calendar.before = lambda kind, subject: None
    before = pages(world)
    world.synced()
    assert pages(world) - before >= 2
    assert world.cursor().page_token == ""
    assert world.cursor().listed_at == world.now


def fails_at_page(number: int):
    asked = [0]

    def fail(kind: str, subject: str) -> None:
        asked[0] += kind == "page"
        if asked[0] == number:
            raise TransientError("away")

    return fail


def test_a_page_that_is_no_longer_accepted_begins_the_listing_anew(world: World):
    world.to_do()
    world.synced()
    CalendarCursor.objects.update(
        page_token="old", listing_started_at=world.now, is_whole_listing=True
    )
    refused = PermanentError("This page is no longer there.", code="page-token-refused")

    def refuse(kind: str, subject: str) -> None:
        if kind == "page" and subject == "old":
            raise refused

    world.mia.calendar.before = refuse
    world.synced()
    assert world.cursor().page_token == ""


def test_a_cursor_that_comes_back_is_an_error_and_no_end(world: World, monkeypatch):
    for number in range(4):
        world.to_do(title=f"Number {number}")
    world.synced()
    world.later(hours=2)
    real = world.mia.calendar.event_page

    def circle(*args, **more):
        page = real(*args, **more)
        return type(page)(page.events, page.unreadable, "made0001")

    monkeypatch.setattr(world.mia.calendar, "event_page", circle)
    report = world.sync()
    assert report.error.code == "repeated-cursor"
    assert world.cursor().listing_started_at is None
    assert not ActionItem.objects.exclude(unlinked_at=None).exists()


def test_a_listing_too_long_for_one_task_is_left_to_the_next(world: World, settings):
    for number in range(6):
        world.to_do(title=f"Number {number}")
    world.synced()
    world.later(hours=2)
    settings.LONGEST_TASK_SECONDS = -1
    for _ in range(4):
        report = world.sync()
        if report.result.is_finished:
            break
    assert not report.result.is_finished
    settings.LONGEST_TASK_SECONDS = 100
    world.synced()
    assert world.cursor().listed_at == world.now


def test_icloud_is_asked_for_a_year_at_a_time(world: World, monkeypatch):
    world.mia.mailbox.provider = "icloud"
    world.mia.mailbox.save()
    spans = []
    real = world.mia.calendar.event_page

    def note(*args, **more):
        spans.append(more["end"] - more["start"])
        return real(*args, **more)

    monkeypatch.setattr(world.mia.calendar, "event_page", note)
    world.to_do()
    world.to_do(starts_at=NOW + timedelta(days=380))
    world.synced()
    world.synced()
    assert max(spans) <= timedelta(days=366)
    assert not ActionItem.objects.exclude(unlinked_at=None).exists()


def test_a_pass_without_news_asks_a_fixed_number_of_questions(
    world: World, django_assert_max_num_queries
):
    for number in range(10):
        world.to_do(title=f"Number {number}")
    world.mia.calendar.page_size = 200
    world.synced()
    world.synced()
    world.synced()
    with django_assert_max_num_queries(24):
        world.synced()


# --- which calendar -------------------------------------------------------------------------------


def test_a_calendar_that_does_not_exist_is_named_and_nothing_is_touched(world: World):
    item = world.to_do()
    world.synced()
    world.mia.mailbox.calendar_name = "Team"
    world.mia.mailbox.save()
    report = world.sync()
    assert report.outcome == "partial"
    assert [problem.name for problem in report.result.problems] == ["Team"]
    assert state_of(world.row()) == State.PARTIAL
    assert is_shown(world, item)


@pytest.mark.parametrize(
    "error",
    [
        PermanentError("This provider has no calendars.", code="calendars-unsupported"),
        ReconnectRequired("The calendar was not allowed.", code="calendar-scopes-missing"),
    ],
)
def test_a_mailbox_without_leave_for_its_calendar_keeps_its_mail(world: World, error):
    world.mia.calendar.before = fails("calendars", error, times=100)
    report = world.sync()
    assert [problem.cause for problem in report.result.problems] == [str(error)]
    world.mia.mailbox.refresh_from_db()
    assert world.mia.mailbox.rejected_at is None


def test_to_dos_move_to_the_calendar_that_is_chosen_later(world: World):
    item = world.to_do()
    world.synced()
    calendar = world.mia.calendar
    calendar.calendar_list.append(Calendar("team", "Team"))
    world.mia.mailbox.calendar_name = "team"
    world.mia.mailbox.save()
    world.synced()
    assert not calendar.shown("cal")
    assert [event.title for event in calendar.shown("team").values()] == ["Call Ana"]
    assert world.cursor().calendar_id == "team"
    world.mia.mailbox.calendar_name = ""
    world.mia.mailbox.save()
    world.synced()
    assert [event.title for event in calendar.shown("cal").values()] == ["Call Ana"]
    assert not calendar.shown("team")
    assert fresh(item).unlinked_at is None


def test_a_former_calendar_that_is_gone_keeps_nothing_from_working(world: World):
    world.to_do()
    world.synced()
    world.mia.calendar.calendar_list = [Calendar("new", "Calendar")]
    world.mia.calendar.before = fails("delete", ItemGone("gone", status=404))
    report = world.sync()
    assert report.error is None
    assert len(world.mia.calendar.shown("new")) == 1


def test_a_read_only_calendar_gets_nothing_and_is_no_problem(world: World):
    world.mia.calendar.calendar_list = [Calendar("cal", "Calendar", is_read_only=True)]
    world.to_do()
    report = world.synced()
    assert report.result.problems == []
    assert state_of(world.row()) == State.RUNNING
    assert world.cursor().is_read_only
    assert not EventLink.objects.exists()
    world.mia.calendar.calendar_list = [Calendar("cal", "Calendar")]
    world.synced()
    assert len(world.mia.calendar.shown()) == 1


def test_the_states_on_the_way(world: World):
    assert state_of(world.row()) == State.INITIALIZING
    world.mia.calendar.before = fails("page", TransientError("away"))
    world.sync()
    assert world.row().listed_at is not None
    assert state_of(world.row()) == State.PARTIAL
    world.synced()
    assert state_of(world.row()) == State.RUNNING
    world.mia.calendar.before = fails("calendars", UnexpectedAnswer("odd"))
    world.sync()
    assert state_of(world.row()) == State.EXCEPTION


def test_another_mailbox_begins_anew_and_items_stay(world: World):
    item = world.to_do()
    world.synced()
    world.mia.user.email = "mia.berg@northsound.example"
    world.mia.calendar.events.clear()
    connect(world.mia.user)
    assert not EventLink.objects.exists()
    assert not CalendarCursor.objects.exists()
    world.synced()
    assert world.event_of(item).title == "Call Ana"


def test_a_pass_over_the_former_mailbox_stores_nothing_more(world: World):
    world.to_do()

    def replace_mailbox(kind: str, subject: str) -> None:
        if kind == "create":
            world.mia.user.email = "mia.berg@northsound.example"
            connect(world.mia.user)

    world.mia.calendar.after = replace_mailbox
    assert world.sync().outcome == "abandoned"
    assert not EventLink.objects.exists()
    assert not CalendarCursor.objects.exists()


def test_one_pass_speaks_of_one_users_items_only(world: World):
    world.to_do(title="Mia's")
    world.to_do(world.tom, title="Tom's")
    world.synced()
    assert shown(world) == {"Mia's"}
    assert not world.tom.calendar.shown()
