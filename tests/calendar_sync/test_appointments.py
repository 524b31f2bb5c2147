"""Appointments of people's own calendars: which come in, and what becomes of them."""

from datetime import UTC, date, datetime, timedelta

import pytest
from msgspec.structs import replace

from accounts.models import Contact, Customer, MyContact, User
from accounts.system_settings import Settings
from calendar_sync import changing
from calendar_sync.models import ActionItem, ActionItemChange, ActionType, EventFailure, EventLink
from calendar_sync.models.actions import IMPORTED
from crm_sync.providers.errors import ItemGone
from crm_sync.providers.types import Attendee, Calendar, EventTime, UnreadableEvent
from tests.calendar_sync.conftest import World, connect, history
from tests.calendar_sync.fake_calendar import NOW, at, days, meeting

ANA, KIM, MIA = "ana@lumen.example", "kim@harbor.example", "mia@northsound.example"
ANY_CONTACT = Settings(appointments="any-contact")


def imported() -> list[ActionItem]:
    return list(ActionItem.objects.filter(origin="imported").order_by("starts_at", "pk"))


def the_item() -> ActionItem:
    (item,) = imported()
    return item


def attendees(item: ActionItem) -> dict[str, list[str]]:
    return {
        row.address or row.name: [contact.first_name for contact in row.contacts.all()]
        for row in item.attendees.all()
    }


# --- which come in -------------------------------------------------------------------------------


def test_an_appointment_with_a_contact_is_imported_whole(world: World):
    world.mia.calendar.add(
        meeting(
            "e1",
            f"  {ANA.upper()} ",
            "x@other.example",
            title=" Review \n rates ",
            location="Their office",
            description="<p>See <b>offer</b></p><p>Bye</p>",
            time=at(24, 45, zone="Europe/London"),
        )
    )
    world.synced()
    item = the_item()
    assert (item.title, item.location) == ("Review rates", "Their office")
    assert item.note == "See offer\n\nBye"
    assert (item.type.name, item.owner, item.sync) == (IMPORTED, world.mia.user, False)
    assert item.ends_at - item.starts_at == timedelta(minutes=45)
    assert item.time_zone == "Europe/London"
    assert attendees(item) == {MIA: [], ANA: ["Ana"], "x@other.example": []}
    assert item.attendees.get(address=MIA).is_organiser
    assert list(ActionItem.objects.of_customer(world.ana.customer)) == [item]
    assert not ActionType.objects.get(name=IMPORTED).is_active


def test_the_contact_may_be_the_organiser(world: World):
    world.mia.calendar.add(meeting("e1", MIA, organiser=Attendee(ANA, "Ana")))
    world.synced()
    assert attendees(the_item()) == {ANA: ["Ana"], MIA: []}


@pytest.mark.parametrize(
    "event",
    [
        meeting("e1"),
        meeting("e1", "x@other.example"),
        meeting("e1", KIM),
        meeting("e1", ""),
        meeting("e1", ANA, status="cancelled"),
        meeting("e1", ANA, time=at(-24 * 40)),
        meeting("e1", ANA, marker="ours"),
        meeting("e1", organiser=None),
    ],
)
def test_what_does_not_concern_a_contact_of_the_rep_is_not_stored(world: World, event):
    world.mia.calendar.add(event)
    world.synced()
    world.synced(whole=True)
    assert not imported()
    assert not EventLink.objects.exists()


def test_the_setting_decides_whether_any_contact_counts(world: World):
    world.mia.calendar.add(meeting("e1", KIM))
    world.synced(settings=ANY_CONTACT)
    assert attendees(the_item()) == {MIA: [], KIM: ["Kim"]}


def test_only_contacts_that_count_are_linked(world: World):
    world.mia.calendar.add(meeting("e1", ANA, KIM))
    world.synced()
    assert attendees(the_item()) == {MIA: [], ANA: ["Ana"], KIM: []}
    assert not ActionItem.objects.of_customer(world.kim.customer)


@pytest.mark.parametrize("settings", [Settings(), ANY_CONTACT])
def test_the_rep_and_colleagues_are_no_contacts_whatever_the_records_say(world: World, settings):
    world.mia.user.aliases.create(address="m.berg@northsound.example")
    User.objects.create(username="eva", email="Eva@northsound.example")
    world.tom.user.aliases.create(address="t.berg@northsound.example")
    own = [MIA, "m.berg@northsound.example", "eva@northsound.example", "tom@northsound.example"]
    odd = Contact.objects.create(customer=world.ana.customer, first_name="Odd")
    odd.set_addresses([*own, "t.berg@northsound.example"])
    MyContact.objects.flag(world.mia.user, [odd])
    world.mia.calendar.add(meeting("e1", *own, "t.berg@northsound.example"))
    world.synced(settings=settings)
    assert not imported()


def test_an_address_that_two_customers_share_is_on_both_calendars(world: World):
    twin = Contact.objects.create(customer=world.kim.customer, first_name="Ana too")
    twin.set_addresses([ANA])
    MyContact.objects.flag(world.mia.user, [twin])
    world.mia.calendar.add(meeting("e1", ANA))
    world.synced()
    assert sorted(attendees(the_item())[ANA]) == ["Ana", "Ana too"]
    for customer in Customer.objects.all():
        assert list(ActionItem.objects.of_customer(customer)) == [the_item()]


def test_a_contact_flagged_later_brings_the_appointment_with_the_next_whole_listing(world: World):
    world.mia.calendar.add(meeting("e1", KIM))
    world.synced()
    MyContact.objects.flag(world.mia.user, [world.kim])
    world.later(minutes=61)
    world.synced()
    assert attendees(the_item())[KIM] == ["Kim"]


def test_an_attendee_who_becomes_a_contact_later_is_linked(world: World):
    world.mia.calendar.add(meeting("e1", ANA, "new@lumen.example"))
    world.synced()
    new = Contact.objects.create(customer=world.ana.customer, first_name="New")
    new.set_addresses(["new@lumen.example"])
    MyContact.objects.flag(world.mia.user, [new])
    world.synced(whole=True)
    assert attendees(the_item())["new@lumen.example"] == ["New"]


def test_a_contact_that_is_no_longer_flagged_stays_linked(world: World):
    world.mia.calendar.add(meeting("e1", ANA))
    world.synced()
    MyContact.objects.filter(contact=world.ana).delete()
    world.mia.calendar.edit("e1", title="Later")
    world.later(minutes=10)
    world.synced(whole=True)
    assert the_item().title == "Later"
    assert attendees(the_item())[ANA] == ["Ana"]


def test_the_window_bounds_imports_too(world: World):
    world.mia.mailbox.days_after = 0
    world.mia.mailbox.save()
    world.mia.calendar.add(
        meeting("today", ANA, time=at(10)), meeting("tomorrow", ANA, time=at(12))
    )
    world.synced()
    assert [item.ical_uid for item in imported()] == ["today@calendar.example"]
    world.later(hours=12)
    world.synced(whole=True)
    assert len(imported()) == 2


def test_nothing_of_an_import_is_ever_written_out(world: World):
    world.mia.calendar.add(meeting("e1", ANA))
    world.synced()
    changing.complete(the_item(), note="Went well", by=world.mia.user, now=world.now)
    world.synced(whole=True)
    changing.delete_action(the_item(), by=world.mia.user, now=world.now)
    world.synced(whole=True)
    assert not {"create", "update", "delete"} & set(world.mia.calendar.asked)


def test_an_import_cannot_be_changed_here(world: World):
    world.mia.calendar.add(meeting("e1", ANA))
    world.synced()
    for changes in ({"title": "x"}, {"owner": world.tom.user}, {"sync": True}, {"all_day": True}):
        with pytest.raises(changing.ChangeRefused):
            changing.edit_action(the_item(), changes, by=None, now=world.now)


# --- what becomes of them ------------------------------------------------------------------------


def test_later_changes_are_followed_and_stand_in_the_history(world: World):
    world.mia.calendar.add(meeting("e1", ANA))
    world.synced()
    changing.complete(the_item(), note="Mine", by=world.mia.user, now=world.now)
    world.mia.calendar.edit("e1", title="Other title", time=at(30), location="Room 2")
    world.later(minutes=10)
    world.synced()
    item = the_item()
    assert (item.title, item.location) == ("Other title", "Room 2")
    assert item.starts_at == NOW + timedelta(hours=30)
    assert item.completion_note == "Mine"
    assert history(item) == ["Completed", "Changed in the mail app"]
    row = ActionItemChange.objects.get(summary="Changed in the mail app")
    assert row.fields["Short description"] == ["Review rates", "Other title"]
    assert row.origin == "calendar"


def test_people_come_and_go_and_answer(world: World):
    MyContact.objects.flag(world.mia.user, [world.kim])
    world.mia.calendar.add(meeting("e1", ANA, "x@other.example"))
    world.synced()
    people = (Attendee(ANA, "Ana", "yes"), Attendee(KIM, "Kim"), Attendee("", "Room 2"))
    world.mia.calendar.edit("e1", attendees=people)
    world.later(minutes=10)
    world.synced()
    assert attendees(the_item()) == {MIA: [], ANA: ["Ana"], KIM: ["Kim"], "Room 2": []}
    assert the_item().attendees.get(address=ANA).status == "yes"
    assert history(the_item()) == ["Changed in the mail app"]
    world.mia.calendar.edit("e1", attendees=(replace(people[0], status="no"), *people[1:]))
    world.later(minutes=10)
    world.synced()
    assert the_item().attendees.get(address=ANA).status == "no"
    assert len(history(the_item())) == 1, "an answer is no change of the appointment"


def test_an_appointment_whose_last_contact_left_stays(world: World):
    world.mia.calendar.add(meeting("e1", ANA))
    world.synced()
    world.mia.calendar.edit("e1", attendees=(), title="Without Ana")
    world.later(minutes=10)
    world.synced()
    assert the_item().title == "Without Ana"
    assert the_item().cancelled_at is None
    assert not ActionItem.objects.of_customer(world.ana.customer)


@pytest.mark.parametrize("lists_cancelled", [True, False])
def test_a_cancelled_appointment_stays_marked(world: World, lists_cancelled):
    world.mia.calendar.lists_cancelled = lists_cancelled
    world.mia.calendar.add(meeting("e1", ANA))
    world.synced()
    world.mia.calendar.delete("e1")
    world.later(hours=2)
    world.synced()
    assert the_item().cancelled_at == world.now
    assert history(the_item()) == ["Cancelled in the mail app"]
    world.later(hours=2)
    world.synced()
    assert history(the_item()) == ["Cancelled in the mail app"]


def test_a_cancelled_event_may_lack_everything(world: World):
    world.mia.calendar.add(meeting("e1", ANA))
    world.synced()
    world.mia.calendar.edit("e1", status="cancelled", time=None, title="", attendees=())
    world.later(minutes=10)
    world.synced()
    assert (the_item().title, the_item().cancelled_at) == ("Review rates", world.now)
    assert not EventFailure.objects.exists()


def test_an_appointment_that_takes_place_after_all(world: World):
    world.mia.calendar.add(meeting("e1", ANA))
    world.synced()
    world.mia.calendar.edit("e1", status="cancelled")
    world.later(minutes=10)
    world.synced()
    world.mia.calendar.edit("e1", status="maybe")
    world.later(minutes=10)
    world.synced()
    assert the_item().cancelled_at is None
    assert history(the_item())[-1] == "No longer cancelled in the mail app"


def test_one_that_was_deleted_here_does_not_come_back(world: World):
    world.mia.calendar.add(meeting("e1", ANA))
    world.synced()
    changing.delete_action(the_item(), by=world.mia.user, now=world.now)
    world.mia.calendar.edit("e1", title="Changed meanwhile")
    world.later(hours=2)
    world.synced()
    assert not ActionItem.objects.visible().exists()
    restored = changing.restore_action(the_item(), by=world.mia.user, now=world.now)
    assert restored.title == "Changed meanwhile", "followed out of sight"


def test_a_private_appointment_keeps_only_its_time(world: World):
    world.mia.calendar.add(
        meeting("e1", ANA, is_private=True, title="SECRET", description="SECRET", location="SECRET")
    )
    world.synced()
    item = the_item()
    assert (item.title, item.note, item.location) == ("Private appointment", "", "")
    assert item.starts_at == NOW + timedelta(hours=24)
    assert not item.attendees.exists()
    assert not ActionItem.objects.of_customer(world.ana.customer)


def test_one_that_is_made_private_later_leaves_nothing_behind_in_the_history_neither(world: World):
    world.mia.calendar.add(meeting("e1", ANA, title="SECRET 1"))
    world.synced()
    world.mia.calendar.edit("e1", title="SECRET 2", location="SECRET 3", description="SECRET 4")
    world.later(minutes=10)
    world.synced()
    world.mia.calendar.edit("e1", is_private=True)
    world.later(minutes=10)
    world.synced()
    assert not the_item().attendees.exists()
    kept = [*ActionItem.objects.values(), *ActionItemChange.objects.values()]
    assert "SECRET" not in str([*kept, *EventLink.objects.values()])
    world.mia.calendar.edit("e1", is_private=False)
    world.later(minutes=10)
    world.synced()
    assert the_item().title == "SECRET 2"
    assert attendees(the_item())[ANA] == ["Ana"]


# --- several calendars ---------------------------------------------------------------------------


def test_a_meeting_in_two_reps_calendars_is_an_item_of_each_and_shown_once(world: World):
    for rep in (world.mia, world.tom):
        rep.calendar.add(meeting("same-id", ANA, organiser=None))
        world.synced(rep)
    mine, toms = imported()
    assert {mine.owner, toms.owner} == {world.mia.user, world.tom.user}
    on_calendar = ActionItem.objects.of_customer(world.ana.customer)
    assert list(on_calendar.once_per_meeting()) == [mine]
    changing.delete_action(mine, by=None, now=world.now)
    assert list(on_calendar.visible().once_per_meeting()) == [toms]


def test_meetings_without_an_identity_are_not_taken_for_one(world: World):
    world.mia.calendar.add(meeting("e1", ANA, ical_uid=""), meeting("e2", ANA, ical_uid=""))
    world.synced()
    assert ActionItem.objects.once_per_meeting().count() == 2


def test_occurrences_share_an_identity_and_are_different_meetings(world: World):
    for number in range(3):
        event = meeting(f"s_{number}", ANA, time=at(24 * number), ical_uid="s@x.example")
        world.mia.calendar.add(replace(event, master_event_id="s"))
    world.synced()
    assert len(imported()) == 3
    assert ActionItem.objects.once_per_meeting().count() == 3


def test_a_meeting_that_is_in_both_of_a_reps_calendars_is_not_doubled_by_choosing_the_other(
    world: World,
):
    calendar = world.mia.calendar
    calendar.add(meeting("e1", ANA), replace(meeting("e2", ANA), id="e2"))
    world.synced()
    calendar.calendar_list.append(Calendar("team", "Team"))
    calendar.add(replace(meeting("e1", ANA, title="In the team's"), id="t1", calendar_id="team"))
    world.mia.mailbox.calendar_name = "Team"
    world.mia.mailbox.save()
    world.synced()
    assert sorted(item.title for item in imported()) == ["In the team's", "Review rates"]
    world.mia.mailbox.calendar_name = ""
    world.mia.mailbox.save()
    calendar.edit("e2", title="Followed again")
    world.later(minutes=10)
    world.synced()
    assert sorted(item.title for item in imported()) == ["Followed again", "Review rates"]
    assert all(item.cancelled_at is None for item in imported())


def test_another_mailbox_of_the_same_rep_takes_its_meetings_up_again(world: World):
    world.mia.calendar.add(meeting("e1", ANA), meeting("e2", ANA, time=at(30)))
    world.synced()
    changing.delete_action(imported()[1], by=None, now=world.now)
    world.mia.user.email = "mia.berg@northsound.example"
    connect(world.mia.user)
    events = list(world.mia.calendar.events.values())
    world.mia.calendar.events.clear()
    world.mia.calendar.add(*(replace(event, id=f"new {event.id}") for event in events))
    world.synced()
    assert len(imported()) == 2
    assert ActionItem.objects.visible().count() == 1, "deleted ones stay deleted"
    world.mia.calendar.edit("new e1", title="Followed")
    world.later(minutes=10)
    world.synced()
    assert imported()[0].title == "Followed"


# --- series --------------------------------------------------------------------------------------


def series(*rules: str, **more: object):
    return meeting("m", ANA, recurrence=rules or ("RRULE:FREQ=DAILY;COUNT=3",), **more)


def occurrence(id: str, hours: float, original: float | None = None, **more: object):
    start = NOW + timedelta(hours=original if original is not None else hours)
    values = {"time": at(hours), "ical_uid": "m@calendar.example", **more}
    return replace(meeting(id, ANA, **values), master_event_id="m", original_start=start)


def test_occurrences_are_appointments_of_their_own(world: World):
    world.mia.calendar.add(*(occurrence(f"m_{n}", 24 * n) for n in (1, 2, 3)))
    world.synced()
    assert len(imported()) == 3
    world.mia.calendar.edit("m_2", time=at(50))
    world.mia.calendar.edit("m_3", status="cancelled")
    world.later(minutes=10)
    world.synced()
    starts = [(item.starts_at - NOW) / timedelta(hours=1) for item in imported()]
    assert starts == [24, 50, 72]
    assert [item.cancelled_at is not None for item in imported()] == [False, False, True]


def test_an_occurrence_that_gets_another_id_is_the_same(world: World):
    world.mia.calendar.add(occurrence("m_1", 24), occurrence("m_2", 48))
    world.synced()
    kept = [item.pk for item in imported()]
    del world.mia.calendar.events["m_2"]
    world.mia.calendar.add(occurrence("exception-7", 50, original=48, title="Moved"))
    world.later(minutes=10)
    world.synced(whole=True)
    assert [item.pk for item in imported()] == kept
    assert imported()[1].title == "Moved"
    assert all(item.cancelled_at is None for item in imported())


def test_a_master_beside_its_occurrences_is_left_alone(world: World):
    world.mia.calendar.add(
        series(), *(occurrence(f"m_{n}", 24 * n) for n in (1, 2)), occurrence("z_3", 72)
    )
    world.synced()
    assert len(imported()) == 3


def test_a_master_without_occurrences_is_expanded(world: World):
    world.mia.calendar.add(series())
    world.synced()
    assert [item.starts_at for item in imported()] == [NOW + timedelta(days=n) for n in (1, 2, 3)]
    world.synced(whole=True)
    assert [item.cancelled_at for item in imported()] == [None] * 3
    world.mia.calendar.edit("m", recurrence=("RRULE:FREQ=DAILY;COUNT=2",), title="Shorter")
    world.later(hours=2)
    world.synced()
    assert [item.title for item in imported()] == ["Shorter", "Shorter", "Review rates"]
    assert imported()[2].cancelled_at is not None


def test_a_provider_that_expands_it_later_makes_no_doubles(world: World):
    world.mia.calendar.add(series())
    world.synced()
    kept = [item.pk for item in imported()]
    del world.mia.calendar.events["m"]
    world.mia.calendar.add(*(occurrence(f"AAMk{n}", 24 * n) for n in (1, 2, 3)))
    world.later(minutes=10)
    world.synced(whole=True)
    assert [item.pk for item in imported()] == kept
    assert [item.cancelled_at for item in imported()] == [None] * 3


def test_a_moved_occurrence_of_an_unexpanded_series_is_there_once(world: World):
    world.mia.calendar.add(series(), occurrence("x", 60, original=48, title="Moved"))
    world.synced()
    assert [(item.title, item.starts_at) for item in imported()] == [
        ("Review rates", NOW + timedelta(hours=24)),
        ("Moved", NOW + timedelta(hours=60)),
        ("Review rates", NOW + timedelta(hours=72)),
    ]


def test_a_series_without_end_is_taken_in_as_far_as_the_window_reaches(world: World):
    world.mia.mailbox.days_after = 9
    world.mia.mailbox.save()
    world.mia.calendar.add(series("RRULE:FREQ=DAILY"))
    world.synced()
    assert len(imported()) == 9


def test_a_series_at_nine_stays_at_nine_when_the_clocks_change(world: World):
    nine = datetime(2027, 3, 27, 8, tzinfo=UTC)
    when = EventTime(nine, nine + timedelta(hours=1), time_zone="Europe/Berlin")
    world.mia.calendar.add(series("RRULE:FREQ=DAILY;COUNT=2", time=when))
    world.synced()
    assert [item.starts_at.hour for item in imported()] == [8, 7]


def test_a_series_whose_rules_make_no_sense_is_one_entry(world: World):
    world.mia.calendar.add(series("RRULE:FREQ=SECONDLY"), meeting("e2", ANA, time=at(30)))
    report = world.sync(whole=True)
    assert report.outcome == "complete"
    assert [row.event_id for row in EventFailure.objects.all()] == ["m"]
    assert len(imported()) == 1


# --- bad input -----------------------------------------------------------------------------------


def test_an_event_without_a_time_is_one_entry_until_it_can_be_read(world: World):
    world.mia.calendar.add(meeting("bad", ANA, time=None), meeting("good", ANA))
    report = world.synced()
    assert report.result.failed == 1
    for _ in range(2):
        assert world.synced(whole=True).result.failed == 0
    (failure,) = EventFailure.objects.all()
    assert (failure.event_id, failure.cause) == ("bad", "The event has no usable time.")
    assert len(imported()) == 1
    world.mia.calendar.edit("bad", time=at(3))
    world.later(minutes=10)
    world.synced()
    assert not EventFailure.objects.exists()
    assert len(imported()) == 2


def test_our_own_event_that_lost_its_time_keeps_its_item(world: World):
    item = world.to_do()
    world.synced()
    event = world.event_of(item)
    world.mia.calendar.edit(event.id, time=None)
    world.later(minutes=10)
    assert world.synced().result.failed == 1
    item.refresh_from_db()
    assert (item.starts_at, item.unlinked_at) == (NOW + timedelta(hours=24), None)


def test_what_could_not_be_understood_at_all_is_one_entry(world: World):
    world.mia.calendar.unreadable = [UnreadableEvent("", "No id."), UnreadableEvent("u" * 900, "x")]
    assert world.synced().result.failed == 2
    world.mia.calendar.unreadable = [UnreadableEvent("", "No id.")]
    assert world.synced(whole=True).result.failed == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"title": ""}, {"title": "(no title)"}),
        ({"title": "x" * 2000}, {"title": "x" * 300}),
        ({"location": "y" * 2000}, {"location": "y" * 300}),
        ({"status": "something else"}, {"cancelled_at": None}),
        ({"time": replace(at(24), time_zone="")}, {"time_zone": ""}),
        ({"time": EventTime(NOW, NOW - timedelta(days=1))}, {"ends_at": NOW}),
        ({"description": "a < b"}, {"note": "a < b"}),
        ({"ical_uid": "u" * 600}, {"ical_uid": "u" * 500}),
        ({"updated_at": None}, {"title": "Review rates"}),
    ],
)
def test_odd_events_come_in_as_well_as_they_can(world: World, changes, expected):
    world.mia.calendar.add(meeting("e1", ANA, **changes))
    world.synced()
    item = the_item()
    assert {name: getattr(item, name) for name in expected} == expected


def test_an_identifier_too_long_to_be_stored_is_one_entry(world: World):
    world.mia.calendar.add(meeting("e" * 501, ANA))
    assert world.synced().result.failed == 1
    assert not imported()


def test_five_hundred_attendees_are_kept_and_a_crowd_is_cut(
    world: World, django_assert_max_num_queries
):
    crowd = [f"p{number}@other.example" for number in range(500)]
    world.mia.calendar.add(meeting("e1", *crowd, ANA))
    with django_assert_max_num_queries(56):
        world.synced()
    assert the_item().attendees.count() == 502
    world.mia.calendar.edit("e1", attendees=tuple(Attendee(f"q{n}@x.example") for n in range(3000)))
    world.later(minutes=10)
    world.synced()
    assert the_item().attendees.count() == 1001


def test_the_same_person_twice_is_one_attendee(world: World):
    people = (
        Attendee(ANA),
        Attendee(f"Ana <{ANA.upper()}>", "Ana S.", "yes"),
        Attendee(MIA, "", "yes"),
    )
    world.mia.calendar.add(meeting("e1", attendees=people))
    world.synced()
    assert attendees(the_item()) == {MIA: [], ANA: ["Ana"]}
    row = the_item().attendees.get(address=ANA)
    assert (row.name, row.status) == ("Ana S.", "yes")
    organiser = the_item().attendees.get(address=MIA)
    assert (organiser.is_organiser, organiser.status) == (True, "yes")


def test_days_and_several_days(world: World):
    world.mia.calendar.add(
        meeting("e1", ANA, time=days(date(2026, 11, 24), date(2026, 11, 26))),
        meeting("e2", ANA, time=at(40, 60 * 30)),
    )
    world.synced()
    whole, long = sorted(imported(), key=lambda item: not item.all_day)
    assert (whole.first_day, whole.last_day) == (date(2026, 11, 24), date(2026, 11, 26))
    assert long.ends_at - long.starts_at == timedelta(hours=30)


def test_the_same_event_twice_in_a_listing_is_one(world: World, monkeypatch):
    world.mia.calendar.add(meeting("e1", ANA))
    real = world.mia.calendar.event_page

    def doubled(*args, **more):
        page = real(*args, **more)
        return type(page)(page.events * 2, page.unreadable, page.next_page)

    monkeypatch.setattr(world.mia.calendar, "event_page", doubled)
    world.synced()
    world.synced(whole=True)
    assert len(imported()) == 1


def test_a_page_costs_the_same_however_many_events_are_on_it(
    world: World, django_assert_max_num_queries
):
    world.mia.calendar.page_size = 200
    world.mia.calendar.add(*(meeting(f"e{n:03}", ANA, time=at(n)) for n in range(150)))
    with django_assert_max_num_queries(60):
        world.synced()
    assert len(imported()) == 150


def test_a_vanished_event_that_is_there_when_asked_for_is_not_cancelled(world: World, monkeypatch):
    world.mia.calendar.add(meeting("e1", ANA))
    world.synced()
    monkeypatch.setattr(world.mia.calendar, "_is_listed", lambda *args: False)
    world.mia.calendar.edit("e1", title="Still there")
    world.later(hours=2)
    world.synced()
    assert (the_item().title, the_item().cancelled_at) == ("Still there", None)
    monkeypatch.setattr(
        world.mia.calendar, "event", lambda *args, **more: (_ for _ in ()).throw(ItemGone("gone"))
    )
    world.later(hours=2)
    world.synced()
    assert the_item().cancelled_at is not None
