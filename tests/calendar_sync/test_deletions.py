"""What vanished, and the brake that holds too many deletions."""

import pytest
from django.core import mail

from accounts.models import AuditEntry, MailboxSync, User
from accounts.outcomes import state_of
from accounts.rules import State
from accounts.system_settings import Settings
from calendar_sync import changing
from calendar_sync.brake import release_brake
from calendar_sync.models import ActionItem, EventLink
from crm_sync.providers.errors import PermanentError, TransientError
from crm_sync.providers.types import Calendar
from tests.calendar_sync.conftest import World, history, is_shown
from tests.calendar_sync.fake_calendar import at, meeting

ANA = "ana@lumen.example"
#: Five deletions pass, six wait.
STRICT = Settings(deletion_limit=5, deletion_share=100)


def fresh(item: ActionItem) -> ActionItem:
    return ActionItem.objects.get(pk=item.pk)


@pytest.fixture
def admin(db) -> User:
    return User.objects.create(username="ada", email="ada@northsound.example", role="admin")


@pytest.fixture
def many(world: World, admin: User) -> list[ActionItem]:
    """Twelve to-dos that are in the calendar, beside nothing else."""
    items = [world.to_do(title=f"Number {number}") for number in range(12)]
    world.synced()
    world.later(minutes=20)
    return items


# --- one by one ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lists_cancelled", [True, False])
def test_an_event_deleted_in_the_mail_app_unlinks_its_item_and_says_so(
    world: World, lists_cancelled
):
    world.mia.calendar.lists_cancelled = lists_cancelled
    item = world.to_do()
    world.synced()
    world.mia.calendar.delete(world.event_of(item).id)
    world.later(hours=2)
    world.synced()
    assert fresh(item).unlinked_at == world.now
    assert fresh(item).deleted_at is None
    assert history(item)[-1] == "Deleted in the mail app; kept here"
    assert not EventLink.objects.exists()


def test_an_unlinked_item_is_not_sent_again_until_somebody_says_so(world: World):
    item = world.to_do()
    world.synced()
    world.mia.calendar.delete(world.event_of(item).id)
    world.later(minutes=10)
    world.synced()
    world.edit(item, title="Edited meanwhile")
    world.synced(whole=True)
    assert not world.mia.calendar.shown()
    changing.sync_again(item, by=world.mia.user, now=world.now)
    world.synced()
    assert world.event_of(item).title == "Edited meanwhile"
    assert len(world.mia.calendar.shown()) == 1


def test_switching_sync_off_and_on_says_so_too(world: World):
    item = world.to_do()
    world.synced()
    world.mia.calendar.delete(world.event_of(item).id)
    world.later(minutes=10)
    world.synced()
    world.edit(item, sync=False)
    world.edit(item, sync=True)
    world.synced()
    assert len(world.mia.calendar.shown()) == 1


def test_a_listing_of_changes_alone_never_finds_anything_vanished(world: World):
    item = world.to_do()
    world.synced()
    world.synced()
    del world.mia.calendar.events[world.event_of(item).id]
    world.later(minutes=10)
    world.synced()
    assert fresh(item).unlinked_at is None
    world.synced(whole=True)
    assert fresh(item).unlinked_at is not None


def test_a_listing_that_did_not_reach_its_end_never_does_either(world: World):
    for number in range(4):
        world.to_do(title=f"Number {number}")
    world.synced()
    world.later(hours=2)
    del world.mia.calendar.events["made0001"]
    pages = [0]

    def cut(kind: str, subject: str) -> None:
        pages[0] += kind == "page"
        if pages[0] == 2:
            raise TransientError("away")

    world.mia.calendar.before = cut
    assert world.sync().error is not None
    assert not ActionItem.objects.exclude(unlinked_at=None).exists()
    assert world.mia.calendar.asked["event"] == 0


def test_an_event_that_reappears_before_the_deletion_is_carried_out(world: World, many):
    """Held by the brake meanwhile."""
    for event_id in list(world.mia.calendar.shown()):
        world.mia.calendar.edit(event_id, status="cancelled")
    assert world.sync(settings=STRICT).error is not None
    for event_id in list(world.mia.calendar.events):
        world.mia.calendar.edit(event_id, status="confirmed")
    world.later(minutes=10)
    world.synced(settings=STRICT)
    assert not EventLink.objects.exclude(gone_at=None).exists()
    assert not ActionItem.objects.exclude(unlinked_at=None).exists()
    assert world.cursor().held_at is None


def test_an_event_that_both_sides_deleted(world: World):
    item = world.to_do()
    world.synced()
    world.mia.calendar.delete(world.event_of(item).id)
    changing.delete_action(item, by=None, now=world.now)
    world.later(minutes=10)
    world.synced()
    assert not EventLink.objects.exists()
    assert fresh(item).unlinked_at is None


def test_an_event_that_cannot_be_removed_is_named_and_not_tried_for_ever(world: World):
    item = world.to_do()
    world.synced()
    changing.delete_action(item, by=None, now=world.now)

    def refuse(kind: str, subject: str) -> None:
        if kind == "delete":
            raise PermanentError("This event can only be read.", status=403)

    world.mia.calendar.before = refuse
    for _ in range(5):
        report = world.sync()
    assert [problem.cause for problem in report.result.problems] == ["This event can only be read."]
    assert world.mia.calendar.asked["delete"] == 3


# --- the brake -----------------------------------------------------------------------------------


def test_a_few_deletions_pass(world: World, many):
    for item in many[:5]:
        changing.delete_action(item, by=None, now=world.now)
    world.synced(settings=STRICT)
    assert len(world.mia.calendar.shown()) == 7


def test_too_many_wait_and_all_else_is_done(world: World, many, admin):
    for item in many[:4]:
        changing.delete_action(item, by=None, now=world.now)
    for event_id in sorted(world.mia.calendar.shown())[-2:]:
        world.mia.calendar.delete(event_id)
    world.mia.calendar.add(meeting("e1", ANA, updated_at=world.now))
    world.edit(many[5], title="Changed")
    new = world.to_do(title="New")
    report = world.sync(settings=STRICT)
    assert report.error.code == "deletion-brake"
    assert world.mia.calendar.asked["delete"] == 0
    assert not ActionItem.objects.exclude(unlinked_at=None).exists()
    assert world.event_of(many[5]).title == "Changed"
    assert is_shown(world, new)
    assert ActionItem.objects.filter(origin="imported").count() == 1

    assert world.cursor().held_deletions == {"there": 4, "here": 2}
    assert world.cursor().held_at == world.now
    row = world.row()
    assert row.stopped_at == world.now
    assert state_of(row) == State.STOPPED
    assert row.failure_text.startswith("4 events would be removed from the mail app's calendar and")
    assert "2 events have disappeared" in row.failure_text
    assert not MailboxSync.objects.due(world.now).filter(pk=row.pk).exists()


def test_admins_are_told_once(world: World, many, admin):
    User.objects.create(username="gone", email="gone@x.example", role="admin", is_active=False)
    for item in many[:6]:
        changing.delete_action(item, by=None, now=world.now)
    for _ in range(3):
        world.sync(settings=STRICT)
    (letter,) = mail.outbox
    assert letter.recipients() == ["ada@northsound.example"]
    assert "Mia Berg" in letter.body
    assert "6 events would be removed" in letter.body


def test_a_letter_that_cannot_be_sent_changes_nothing(world: World, many, monkeypatch):
    monkeypatch.setattr(
        "django.core.mail.EmailMessage.send", lambda self: (_ for _ in ()).throw(OSError())
    )
    for item in many[:6]:
        changing.delete_action(item, by=None, now=world.now)
    assert world.sync(settings=STRICT).error.code == "deletion-brake"


def test_an_admin_allows_exactly_the_next_pass(
    world: World, many, admin, django_capture_on_commit_callbacks
):
    for item in many[:6]:
        changing.delete_action(item, by=None, now=world.now)
    world.sync(settings=STRICT)
    release_brake(world.cursor(), by=admin, now=world.now)
    row = world.row()
    assert (row.stopped_at, row.next_due_at) == (None, world.now)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_name, entry.owner_name) == (
        "released-brake", "ada", "Mia Berg",
    )  # fmt: skip
    world.synced(settings=STRICT)
    assert len(world.mia.calendar.shown()) == 6
    cursor = world.cursor()
    assert (cursor.held_at, cursor.released_at, cursor.held_deletions) == (None, None, {})
    for item in many[6:]:
        changing.delete_action(item, by=None, now=world.now)
    assert world.sync(settings=STRICT).error.code == "deletion-brake"
    assert len(world.mia.calendar.shown()) == 6


def test_a_release_lasts_until_a_pass_carried_the_deletions_out(world: World, many, admin):
    for item in many[:6]:
        changing.delete_action(item, by=None, now=world.now)
    world.sync(settings=STRICT)
    release_brake(world.cursor(), by=admin, now=world.now)
    left = [3]

    def cut(kind: str, subject: str) -> None:
        left[0] -= kind == "delete"
        if left[0] == 0:
            raise TransientError("slow down", status=429)

    world.mia.calendar.before = cut
    assert world.sync(settings=STRICT).error.status == 429
    world.mia.calendar.before = lambda kind, subject: None
    world.synced(settings=STRICT)
    assert len(world.mia.calendar.shown()) == 6


def test_a_calendar_that_looks_empty_is_not_asked_for_every_event(world: World, many, admin):
    world.mia.calendar.lists_cancelled = False
    world.mia.calendar.events.clear()
    world.later(hours=2)
    assert world.sync(settings=STRICT).error.code == "deletion-brake"
    assert world.mia.calendar.asked["event"] == 6
    assert world.cursor().held_deletions == {"there": 0, "here": 12}
    release_brake(world.cursor(), by=admin, now=world.now)
    world.synced(settings=STRICT)
    assert ActionItem.objects.exclude(unlinked_at=None).count() == 12
    assert not ActionItem.objects.exclude(deleted_at=None).exists()


def test_a_share_holds_where_enough_is_linked(world: World, many):
    for item in many[:6]:
        changing.delete_action(item, by=None, now=world.now)
    assert world.sync(settings=Settings(deletion_share=49)).error.code == "deletion-brake"
    world.synced(settings=Settings(deletion_share=50))


def test_cancelled_appointments_count(world: World, admin):
    world.mia.calendar.add(*(meeting(f"e{n}", ANA, time=at(n)) for n in range(6)))
    world.synced()
    for number in range(6):
        world.mia.calendar.edit(f"e{number}", status="cancelled")
    world.later(minutes=10)
    assert world.sync(settings=STRICT).error.code == "deletion-brake"
    assert not ActionItem.objects.exclude(cancelled_at=None).exists()


def test_a_hand_over_of_many_counts(world: World, many):
    for item in many[:6]:
        changing.reassign(item, to=world.tom.user, by=None, now=world.now)
    assert world.sync(settings=STRICT).error.code == "deletion-brake"
    world.synced(world.tom, settings=STRICT)
    assert len(world.tom.calendar.shown()) == 6
    assert len(world.mia.calendar.shown()) == 12


def test_choosing_another_calendar_is_no_deletion(world: World, many):
    world.mia.calendar.calendar_list.append(Calendar("team", "Team"))
    world.mia.mailbox.calendar_name = "Team"
    world.mia.mailbox.save()
    world.synced(settings=STRICT)
    assert len(world.mia.calendar.shown("team")) == 12
    assert not world.mia.calendar.shown("cal")


def test_what_is_held_can_be_taken_back(world: World, many):
    for item in many[:6]:
        changing.delete_action(item, by=None, now=world.now)
    assert world.sync(settings=STRICT).error is not None
    for item in many[:6]:
        changing.restore_action(item, by=None, now=world.now)
    world.synced(settings=STRICT)
    assert world.cursor().held_at is None
    assert len(world.mia.calendar.shown()) == 12
    assert world.mia.calendar.asked["create"] == 12


def test_a_row_that_was_changed_past_every_use_case_is_put_right_by_a_whole_listing(world: World):
    off, handed = world.to_do(title="Off"), world.to_do(title="Handed over")
    world.synced()
    ActionItem.objects.filter(pk=off.pk).update(sync=False)
    ActionItem.objects.filter(pk=handed.pk).update(owner=world.tom.user)
    world.later(hours=2)
    world.synced()
    world.synced(world.tom)
    assert not world.mia.calendar.shown()
    assert [event.title for event in world.tom.calendar.shown().values()] == ["Handed over"]
