"""Random lives of two calendars against what must hold, whatever happens.

Edits, moves, deletions and completions on both sides, hand-overs, passes cut off at any request
(before or after it took effect) or in the middle of a transaction, replays, and providers whose
clocks are wrong follow each other in any order. Then both calendars come to rest. Both sides must
agree; nothing is doubled; no record of the CRM is deleted by the sync; no edit is lost without a
trace.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from unittest import mock

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts import leases
from accounts.models import Mailbox, MailboxSync
from accounts.system_settings import Settings
from calendar_sync import changing, descriptions, rules
from calendar_sync.contents import content_of, content_of_event, time_of
from calendar_sync.merging import Agreed, prints
from calendar_sync.models import ActionItem, ActionItemChange, EventLink
from calendar_sync.passing import Pass
from crm_sync.providers.errors import TransientError
from crm_sync.providers.types import Event, EventTime
from tests.calendar_sync.conftest import Rep, make_world
from tests.calendar_sync.fake_calendar import NOW, meeting

#: Without the brake, which would stop a calendar: it has tests of its own.
SETTINGS = Settings(deletion_limit=100_000, deletion_share=100)
FIELDS = ("title", "location", "note", "time")
#: Hours from NOW; the furthest lie outside a window of three days.
HOURS = st.integers(1, 200)


class Crash(BaseException):
    """The process ends here: nothing of ours gets to clean up."""


ERRORS = st.sampled_from([Crash, TransientError])
#: Seconds by which a provider's clock is ahead of ours.
SKEWS = st.one_of(st.sampled_from([-600, 600]), st.integers(-600, 600))


@dataclass
class Known:
    """What the model knows of an item: what became of it here, and in the mail app."""

    is_deleted: bool = False
    is_completed: bool = False
    #: Its event was deleted in the mail app, and nobody put it back since.
    is_unlinked: bool = False
    was_deleted_there: bool = False


@dataclass
class Meeting:
    """Somebody's own appointment, and whether a contact of the rep is invited."""

    has_contact: bool
    is_deleted_here: bool = False


@dataclass
class Edits:
    """The last thing that the mail app's user wrote into each field of an event of ours."""

    item: int
    tokens: dict[str, str] = field(default_factory=dict)


class CalendarLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.world = make_world()
        self.reps = {"mia": self.world.mia, "tom": self.world.tom}
        self.items: dict[int, Known] = {}
        self.meetings: dict[str, Meeting] = {}
        self.edits: dict[tuple[str, str], Edits] = {}
        self.count = 0
        self.has_bound = False
        #: Times that somebody wrote in the mail app, in words.
        self.times_there: set[str] = set()

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    # --- the world -----------------------------------------------------------------------------
    @initialize(
        page_size=st.integers(1, 4),
        skews=st.tuples(SKEWS, SKEWS),
        lists_cancelled=st.booleans(),
        tells_updates=st.booleans(),
        is_html=st.booleans(),
        days_after=st.sampled_from([None, None, 3]),
    )
    def providers(self, page_size, skews, lists_cancelled, tells_updates, is_html, days_after):
        self.has_bound = days_after is not None
        provider = "google" if tells_updates else "yahoo"
        Mailbox.objects.update(provider=provider, days_after=days_after)
        for rep, skew in zip(self.reps.values(), skews, strict=True):
            calendar = rep.calendar
            calendar.page_size = page_size
            calendar.travel = lambda: self.world.later(seconds=1)
            calendar.now = lambda skew=skew: self.world.now + timedelta(seconds=skew)
            calendar.lists_cancelled = lists_cancelled
            calendar.tells_updates = tells_updates
            if is_html:
                calendar.stored_as = as_html
        for name in self.reps:
            self.create(name, 20, True, False)
            self.a_pass(name, False, 1)

    @rule(seconds=st.one_of(st.integers(2, 60), st.integers(2, 60 * 100)))
    def time_passes(self, seconds):
        self.world.later(seconds=seconds)

    def token(self, word: str) -> str:
        self.count += 1
        return f"{word} {self.count}"

    def unique_time(self, hours: int) -> EventTime:
        """A time that no other edit gives."""
        self.count += 1
        start = NOW + timedelta(hours=hours, minutes=self.count % 60)
        return EventTime(start, start + timedelta(minutes=15 + self.count))

    # --- the CRM -------------------------------------------------------------------------------
    @rule(rep=st.sampled_from(["mia", "tom"]), hours=HOURS, sync=st.booleans(), day=st.booleans())
    def create(self, rep, hours, sync, day):
        values = {"contact": self.world.ana} if hours % 2 else {}
        item = self.world.to_do(
            self.reps[rep],
            title=self.token("made"),
            starts_at=NOW + timedelta(hours=hours),
            all_day=day,
            sync=sync or hours > 20,
            **values,
        )
        self.items[item.pk] = Known()

    def an_item(self, data) -> ActionItem:
        return ActionItem.objects.get(pk=data.draw(st.sampled_from(sorted(self.items))))

    def change(self, item: ActionItem, **changes) -> None:
        changing.edit_action(item, changes, by=None, now=self.world.now)

    @precondition(lambda self: self.items)
    @rule(data=st.data(), name=st.sampled_from(FIELDS), hours=HOURS)
    def edit(self, data, name, hours):
        self.write_here("", None, self.an_item(data), name, hours)

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def delete(self, data):
        item = self.an_item(data)
        changing.delete_action(item, by=None, now=self.world.now)
        self.items[item.pk].is_deleted = True

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def restore(self, data):
        item = self.an_item(data)
        changing.restore_action(item, by=None, now=self.world.now)
        self.items[item.pk].is_deleted = False

    @precondition(lambda self: self.items)
    @rule(data=st.data(), is_completed=st.booleans())
    def complete(self, data, is_completed):
        item = self.an_item(data)
        self.change(item, is_completed=is_completed)
        self.items[item.pk].is_completed = is_completed

    @precondition(lambda self: self.items)
    @rule(data=st.data(), sync=st.booleans())
    def switch(self, data, sync):
        item = self.an_item(data)
        if item.sync != sync:
            self.items[item.pk].is_unlinked = False
        self.change(item, sync=sync)

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def change_the_row_itself(self, data):
        """By hand, past every use case: a whole listing mends what that leaves behind."""
        item = self.an_item(data)
        ActionItem.objects.filter(pk=item.pk).update(sync=not item.sync)
        self.items[item.pk].is_unlinked = False

    @precondition(lambda self: self.items)
    @rule(data=st.data(), to=st.sampled_from(["mia", "tom"]))
    def hand_over(self, data, to):
        item = self.an_item(data)
        if item.owner != self.reps[to].user:
            self.items[item.pk].is_unlinked = False
        self.change(item, owner=self.reps[to].user)

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def put_back(self, data):
        item = self.an_item(data)
        changing.sync_again(item, by=None, now=self.world.now)
        if item.unlinked_at is not None:
            self.items[item.pk].is_unlinked = False

    @precondition(lambda self: self.meetings)
    @rule()
    def delete_an_appointment(self):
        item = ActionItem.objects.visible().filter(origin="imported").order_by("pk").first()
        if item is not None:
            changing.delete_action(item, by=None, now=self.world.now)
            self.meetings[item.ical_uid].is_deleted_here = True

    # --- the mail app --------------------------------------------------------------------------
    def own_events(self) -> list[tuple[str, Event]]:
        return [
            (name, event)
            for name, rep in sorted(self.reps.items())
            for _, event in sorted(rep.calendar.shown().items())
            if event.marker
        ]

    def item_of(self, name: str, event: Event) -> int:
        """By the marker: also where the event was made and the answer lost."""
        link = EventLink.objects.filter(mailbox=self.reps[name].mailbox, marker=event.marker)
        return link.values_list("item_id", flat=True).get()

    @precondition(lambda self: self.own_events())
    @rule(data=st.data(), name=st.sampled_from(FIELDS), hours=HOURS)
    def edit_there(self, data, name, hours):
        rep, event = data.draw(st.sampled_from(self.own_events()))
        item = ActionItem.objects.get(pk=self.item_of(rep, event))
        self.write_there(rep, event, item, name, hours)

    @precondition(lambda self: self.own_events())
    @rule(data=st.data())
    def delete_there(self, data):
        rep, event = data.draw(st.sampled_from(self.own_events()))
        pk = self.item_of(rep, event)
        self.items[pk].was_deleted_there = True
        links = EventLink.objects.live().filter(item=pk, event_id=event.id)
        if links.filter(mailbox=self.reps[rep].mailbox).exists():
            self.items[pk].is_unlinked = True
        self.reps[rep].calendar.delete(event.id)
        self.edits.pop((rep, event.id), None)

    @rule(hours=HOURS, has_contact=st.booleans())
    def invite(self, hours, has_contact):
        who = "ana@lumen.example" if has_contact else "x@other.example"
        self.count += 1
        event = meeting(
            f"e{self.count}",
            who,
            title=self.token("with contact" if has_contact else "nobody"),
            time=self.unique_time(hours),
            updated_at=self.world.mia.calendar._stamp(),
        )
        self.world.mia.calendar.add(event)
        self.meetings[event.ical_uid] = Meeting(has_contact)

    def appointments(self) -> list[Event]:
        shown = self.world.mia.calendar.shown().values()
        return [event for event in shown if not event.marker]

    @precondition(lambda self: self.appointments())
    @rule(data=st.data(), hours=HOURS)
    def move_an_appointment(self, data, hours):
        event = data.draw(st.sampled_from(self.appointments()))
        title = self.token(event.title.rstrip(" 0123456789"))
        self.world.mia.calendar.edit(event.id, time=self.unique_time(hours), title=title)

    @precondition(lambda self: self.appointments())
    @rule(data=st.data())
    def cancel_an_appointment(self, data):
        event = data.draw(st.sampled_from(self.appointments()))
        self.world.mia.calendar.delete(event.id)

    @precondition(lambda self: self.own_events() or self.appointments())
    @rule(data=st.data(), is_hidden=st.booleans())
    def listings_forget_an_event(self, data, is_hidden):
        """It is there all the same; or they show all of them again."""
        events = [*self.own_events(), *(("mia", event) for event in self.appointments())]
        name, event = data.draw(st.sampled_from(events))
        if is_hidden:
            self.reps[name].calendar.hidden.add(event.id)
        else:
            self.reps[name].calendar.hidden.clear()

    # --- passes --------------------------------------------------------------------------------
    @rule(rep=st.sampled_from(["mia", "tom"]), whole=st.booleans(), times=st.integers(1, 2))
    def a_pass(self, rep, whole, times):
        for _ in range(times):
            outside = self.pairs_outside(rep)
            links = set(EventLink.objects.values_list("pk", flat=True))
            self.passes(rep, whole, 1)
            self.each_change_is_carried_over(rep)
            self.no_edit_is_lost_without_a_trace(rep)
            self.nothing_is_carried_outside_the_window(rep, outside, links)

    def passes(self, rep: str, whole: bool, times: int) -> None:
        for _ in range(times):
            with transaction.atomic():
                report = self.world.sync(self.reps[rep], whole=whole, settings=SETTINGS)
            assert report.error is None, report.error
            assert report.outcome == "complete", report
            self.world.later(seconds=1)

    @precondition(lambda self: self.own_events())
    @rule(
        data=st.data(),
        name=st.sampled_from(FIELDS),
        hours=HOURS,
        gap=st.integers(-900, 900).filter(lambda seconds: abs(seconds) > 5),
    )
    def both_sides_edit_the_same_field(self, data, name, hours, gap):
        """The newer one wins, however wrong the provider's clock is."""
        rep, event = data.draw(st.sampled_from(self.own_events()))
        self.a_pass(rep, True, 2)
        event = self.reps[rep].calendar.shown().get(event.id, event)
        link = EventLink.objects.live().filter(
            event_id=event.id, mailbox=self.reps[rep].mailbox, item__origin="crm"
        )
        cursor = self.world.cursor(self.reps[rep])
        if not link.exists() or cursor.clock_offset is None:
            return
        item = link.get().item
        if not self.is_within(item, event, self.reps[rep]):
            return
        first, second = (self.write_here, self.write_there)[:: 1 if gap < 0 else -1]
        self.world.later(minutes=1)
        first(rep, event, item, name, hours)
        self.world.later(seconds=abs(gap))
        value = second(rep, event, item, name, hours)
        self.world.later(seconds=5)
        self.a_pass(rep, False, 1)
        item = ActionItem.objects.get(pk=item.pk)
        if self.is_within(item, self.reps[rep].calendar.shown().get(event.id), self.reps[rep]):
            found = item.starts_at if name == "time" else getattr(item, name)
            is_dated = self.reps[rep].calendar.tells_updates
            assert (found == value) is (is_dated or second == self.write_here), "the older won"

    def write_here(self, rep, event, item, name, hours):
        if name == "time":
            when = self.unique_time(hours)
            self.change(item, starts_at=when.starts_at, ends_at=when.ends_at, all_day=False)
            return when.starts_at
        token = self.token("CRM")
        self.change(item, **{name: token})
        return token

    def write_there(self, rep, event, item, name, hours):
        calendar = self.reps[rep].calendar
        edits = self.edits.setdefault((rep, event.id), Edits(item.pk))
        if name == "time":
            when = self.unique_time(hours)
            edits.tokens["time"] = rules.describe_time(when, self.reps[rep].user.zone)
            self.times_there.add(edits.tokens["time"])
            calendar.edit(event.id, time=when)
            return when.starts_at
        token = edits.tokens[name] = self.token("mail app")
        if name == "note":
            _, card = descriptions.split(event.description)
            calendar.edit(event.id, description=descriptions.compose(token, card))
        else:
            calendar.edit(event.id, **{name: token})
        return token

    @rule(
        rep=st.sampled_from(["mia", "tom"]),
        whole=st.booleans(),
        request=st.integers(1, 12),
        error=ERRORS,
        moment=st.sampled_from(["before", "after"]),
    )
    def a_pass_that_is_cut_off_at_a_request(self, rep, whole, request, error, moment):
        """`after` are writes that took effect, and whose answer never came."""
        calendar = self.reps[rep].calendar
        left = [request if moment == "before" else 1 + request % 3]

        def cut(kind: str, subject: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise error("cut off")

        setattr(calendar, moment, cut)
        try:
            self.a_pass_that_may_crash(self.reps[rep], whole)
        finally:
            setattr(calendar, moment, lambda kind, subject: None)

    @rule(rep=st.sampled_from(["mia", "tom"]), whole=st.booleans(), number=st.integers(1, 10))
    def a_pass_that_ends_in_the_middle_of_a_transaction(self, rep, whole, number):
        left = [number]
        real = Pass.storing

        @contextmanager
        def storing(run: Pass) -> Iterator[None]:
            with real(run):
                yield
                left[0] -= 1
                if left[0] == 0:
                    raise Crash

        with mock.patch.object(Pass, "storing", storing):
            self.a_pass_that_may_crash(self.reps[rep], whole)

    @precondition(lambda self: self.own_events())
    @rule(data=st.data(), rep=st.sampled_from(["mia", "tom"]), request=st.integers(3, 9))
    def somebody_edits_during_a_pass(self, data, rep, request):
        """On one of the two sides, between two requests."""
        is_here, left = data.draw(st.booleans()), [request]
        known = data.draw(st.sampled_from(sorted(self.items)))

        def edit(kind: str, subject: str) -> None:
            left[0] -= 1
            if left[0] == 0 and is_here:
                self.change(ActionItem.objects.get(pk=known), location=self.token("CRM"))
            elif left[0] == 0 and (events := self.own_events()):
                name, event = events[0]
                item = ActionItem.objects.get(pk=self.item_of(name, event))
                # Who changes the very field, or removes the event, at this instant goes first.
                if kind != "delete" and not self.is_pending(item, "location"):
                    self.write_there(name, event, item, "location", 1)

        calendar = self.reps[rep].calendar
        calendar.before = edit
        try:
            self.passes(rep, False, 1)
        finally:
            calendar.before = lambda kind, subject: None

    @precondition(lambda self: self.items)
    @rule(data=st.data(), name=st.sampled_from(FIELDS), hours=HOURS)
    def an_edit_during_a_write_whose_answer_is_lost(self, data, name, hours):
        """What the write left behind is younger than the edit, and yet nobody's change."""
        item = self.an_item(data)
        rep = self.reps[item.owner.username]
        self.write_here("", None, item, name, hours)

        def edit(kind: str, subject: str) -> None:
            if kind == "update":
                self.write_here("", None, item, name, hours)

        def cut(kind: str, subject: str) -> None:
            if kind == "update":
                raise TransientError("cut off")

        rep.calendar.before, rep.calendar.after = edit, cut
        try:
            self.a_pass_that_may_crash(rep, False)
        finally:
            rep.calendar.before = rep.calendar.after = lambda kind, subject: None

    @rule(rep=st.sampled_from(["mia", "tom"]), hours=st.integers(1, 60), error=ERRORS)
    def an_event_is_made_whose_answer_is_lost_and_which_is_late_in_listings(
        self, rep, hours, error
    ):
        self.create(rep, hours, True, False)
        calendar = self.reps[rep].calendar

        def cut(kind: str, subject: str) -> None:
            if kind == "create":
                calendar.hidden.add(subject)
                raise error("cut off")

        calendar.after = cut
        try:
            self.a_pass_that_may_crash(self.reps[rep], False)
        finally:
            calendar.after = lambda kind, subject: None

    def is_pending(self, item: ActionItem, name: str) -> bool:
        """Whether the CRM has a change of this field that is not written yet."""
        here = prints(content_of(item))[name]
        links = EventLink.objects.filter(item=item)
        return any(Agreed.read(link.agreed).here.get(name) != here for link in links)

    def a_pass_that_may_crash(self, rep: Rep, whole: bool) -> None:
        """What was committed before a crash stays; the dead reader's lease is there for taking."""
        try:
            self.world.sync(rep, whole=whole, settings=SETTINGS)
        except Crash:
            pass
        holder = self.world.row(rep).lease_holder
        if holder:
            host, _, rest = holder.split(":", 2)
            dead = f"{host}:999999999:{rest}"
            assert leases.is_dead_here(dead)
            MailboxSync.objects.filter(lease_holder=holder).update(lease_holder=dead)

    # --- what must hold ------------------------------------------------------------------------
    def come_to_rest(self) -> None:
        for rep in self.reps.values():
            rep.calendar.hidden.clear()
        for _ in range(4):
            self.world.later(hours=2)
            for name in self.reps:
                self.passes(name, True, 1)
        written = [rep.calendar.asked[kind] for rep in self.reps.values() for kind in WRITES]
        for name in self.reps:
            self.passes(name, True, 1)
        again = [rep.calendar.asked[kind] for rep in self.reps.values() for kind in WRITES]
        assert written == again, "it never comes to rest"
        for name, rep in self.reps.items():
            self.each_item_is_one_event(name, rep)
        self.items_are_what_people_made_of_them()
        self.each_appointment_is_one_item()
        for name in self.reps:
            self.no_edit_is_lost_without_a_trace(name)
        self.only_the_mail_app_changed_what_it_is_said_to_have()

    def window(self, rep: Rep) -> rules.Window:
        mailbox = Mailbox.objects.get(pk=rep.mailbox.pk)
        return rules.window_of(
            now=self.world.now,
            sync_from=mailbox.sync_from,
            days_after=mailbox.days_after,
            zone=rep.user.zone,
        )

    def each_item_is_one_event(self, name: str, rep: Rep) -> None:
        shown = {i: e for i, e in rep.calendar.shown().items() if e.marker}
        links = EventLink.objects.filter(mailbox=rep.mailbox, item__origin="crm")
        assert not links.filter(is_leaving=True).exists(), "an event was never removed"
        linked = {link.event_id: link.item for link in links.select_related("item")}
        assert len(linked) == links.count()
        assert set(shown) == set(linked), "an event too many or too few"
        window = self.window(rep)
        wanted = ActionItem.objects.wanted_in_calendar_of(rep.user)
        assert {item.pk for item in wanted.within(window)} <= {i.pk for i in linked.values()}
        assert {item.pk for item in linked.values()} <= {item.pk for item in wanted}
        for event_id, event in shown.items():
            item = ActionItem.objects.get(pk=linked[event_id].pk)
            assert event.attendees == ()
            if window.holds(time_of(item)) and window.holds(event.time):
                assert prints(content_of(item)) == prints(content_of_event(event)), name

    def items_are_what_people_made_of_them(self) -> None:
        for pk, known in self.items.items():
            item = ActionItem.objects.get(pk=pk)
            assert (item.deleted_at is not None) == known.is_deleted
            assert (item.completed_at is not None) == known.is_completed
            if item.unlinked_at is not None:
                assert known.was_deleted_there, "unlinked by itself"
            if known.is_unlinked and item.sync and item.deleted_at is None:
                in_window = self.window(self.reps[item.owner.username]).holds(time_of(item))
                assert item.unlinked_at is not None or not in_window, "made again by itself"

    def each_appointment_is_one_item(self) -> None:
        events = {event.ical_uid: event for event in self.appointments()}
        imported = list(ActionItem.objects.filter(origin="imported"))
        assert len(imported) == len({item.ical_uid for item in imported}), "doubled"
        by_uid = {item.ical_uid: item for item in imported}
        window = self.window(self.world.mia)
        for uid, known in self.meetings.items():
            item, event = by_uid.get(uid), events.get(uid)
            assert known.has_contact or item is None, "nobody's business was stored"
            if item is not None:
                assert (item.deleted_at is not None) == known.is_deleted_here
            if event is None:
                self.is_cancelled_or_unknown(item, window)
            elif known.has_contact and window.holds(event.time):
                assert item is not None, "lost"
                assert item.cancelled_at is None
                shown = (item.title, item.starts_at, item.ends_at)
                assert shown == (event.title, event.time.starts_at, event.time.ends_at)
                assert [row.address for row in item.attendees.all() if not row.is_organiser]

    def is_cancelled_or_unknown(self, item: ActionItem | None, window: rules.Window) -> None:
        if item is not None and item.deleted_at is None and window.holds(time_of(item)):
            assert item.cancelled_at is not None

    def each_change_is_carried_over(self, name: str) -> None:
        """At once, not only in the end: an uninterrupted pass leaves nothing undone."""
        rep = self.reps[name]
        events = {i: e for i, e in rep.calendar.shown().items() if i not in rep.calendar.hidden}
        for link in EventLink.objects.live().filter(mailbox=rep.mailbox, event_id__in=events):
            item, event = link.item, events[link.event_id]
            if self.is_within(item, event, rep) and not item.is_imported:
                assert prints(content_of(item)) == prints(content_of_event(event)), "not carried"
            elif self.is_within(item, event, rep):
                assert (item.title, time_of(item)) == (event.title, event.time), "not followed"

    def pairs_outside(self, name: str) -> dict[int, tuple[object, ...]]:
        """What both sides show of items that are dated outside the window on either side."""
        rep = self.reps[name]
        events = rep.calendar.shown()
        found = {}
        for link in EventLink.objects.live().filter(mailbox=rep.mailbox, event_id__in=events):
            item, event = link.item, events[link.event_id]
            if not self.is_within(item, event, rep) and item.deleted_at is None:
                found[item.pk] = self.shown_of(item, event)
        return found

    def shown_of(self, item: ActionItem, event: Event | None) -> tuple[object, ...]:
        here = (item.title, item.location, item.note, item.starts_at)
        return (*here, event and (event.title, event.location, event.time, event.description))

    def nothing_is_carried_outside_the_window(
        self, name: str, outside: dict[int, tuple[object, ...]], links: set[int]
    ) -> None:
        rep, window = self.reps[name], self.window(self.reps[name])
        for link in EventLink.objects.live().filter(mailbox=rep.mailbox):
            event = rep.calendar.shown().get(link.event_id)
            if link.pk not in links:
                assert window.holds(time_of(link.item)), "made outside the window"
            elif link.item_id in outside and event and not self.is_within(link.item, event, rep):
                assert self.shown_of(link.item, event) == outside[link.item_id], "carried outside"

    def only_the_mail_app_changed_what_it_is_said_to_have(self) -> None:
        """Our own writes that come back are nobody's change."""
        rows = ActionItemChange.objects.filter(item__origin="crm")
        taken = [
            (label, after)
            for row in rows.filter(origin="calendar")
            for label, (_, after) in row.fields.items()
        ]
        replaced = [
            (label, before)
            for row in rows.filter(summary__startswith="A change in the mail app")
            for label, (before, _) in row.fields.items()
        ]
        for label, value in [*taken, *replaced]:
            known = value in self.times_there or value.startswith("mail app")
            assert known, f"{label} was never {value} in the mail app"

    def no_edit_is_lost_without_a_trace(self, of: str) -> None:
        """What the mail app's user wrote last into a field stands in the item or in its history."""
        for (name, event_id), edits in self.edits.items():
            item = ActionItem.objects.get(pk=edits.item)
            event = self.reps[name].calendar.shown().get(event_id)
            if name != of or event_id in self.reps[name].calendar.hidden:
                continue
            if self.has_bound and not self.is_within(item, event, self.reps[name]):
                continue
            zone = self.reps[name].user.zone
            values = [
                item.title,
                item.location,
                item.note,
                rules.describe_time(time_of(item), zone),
            ]
            rows = ActionItemChange.objects.filter(item=item).values_list("fields", flat=True)
            known = " | ".join([*values, *(str(row) for row in rows)])
            for token in edits.tokens.values():
                assert token in known, f"lost: {token}"

    def is_within(self, item: ActionItem, event: Event | None, rep: Rep) -> bool:
        window = self.window(rep)
        return event is not None and window.holds(event.time) and window.holds(time_of(item))


WRITES = ("create", "update", "delete")


def as_html(text: str) -> str:
    """As Microsoft keeps it: blocks for lines, blanks inside, and an odd head."""
    lines = "".join(f"<div>{line}&nbsp;</div>\n" for line in text.splitlines())
    return f"<html><head><style>p {{}}</style></head><body>{lines}</body></html>"


@pytest.mark.django_db
def test_two_calendars_survive_any_life():
    run_state_machine_as_test(
        CalendarLife,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
