"""Random lives of a mailbox against a simple model: nothing lost, doubled or leaked.

Deliveries, moves, deletions, passes cut off at any request or in the middle of a transaction,
replays, notifications that come twice, flags and deletions in the CRM follow each other in any
order. Then the mailbox comes to rest, and the ledger must be what the model says.
"""

import dataclasses
from dataclasses import dataclass
from datetime import timedelta
from unittest import mock

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from accounts import leases
from accounts.models import Customer, MailboxSync, MyContact, User
from accounts.system_settings import Settings
from crm_sync.providers.errors import TransientError
from email_sync import hints, store
from email_sync.coverage import check_mailbox
from email_sync.models import DailyCount, Email, LedgerEntry
from email_sync.sync import sync_mailbox
from tests.email_sync.conftest import connect, make_contact
from tests.email_sync.fake_gateway import NOW, FakeGateway, headers

MIA = "mia@northsound.example"
SENDERS = {
    "mine": "ana@lumen.example",
    "later": "lee@harbor.example",
    "nobody": "x@other.example",
}
SYNCED = {"INBOX", "SENT"}
FOLDERS = ["INBOX", "SENT", "F1", "TRASH"]


class Crash(BaseException):
    """The process ends here: nothing of ours gets to clean up."""


@dataclass
class Delivered:
    """What the model knows of a message, whatever ids the provider gives it."""

    sender: str
    is_old: bool
    #: Whether passes alone must find it: it appeared in a synced folder less than a day late.
    is_polled: bool


class MailboxLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.mia = User.objects.create(username="mia", email=MIA)
        lumen = Customer.objects.create(number="1001", name="Lumen")
        MyContact.objects.flag(self.mia, [make_contact(lumen, "Ana", SENDERS["mine"])])
        self.lee = make_contact(lumen, "Lee", SENDERS["later"])
        self.mailbox = connect(self.mia, MIA)
        self.gateway = FakeGateway()
        self.now = NOW
        self.count = 0
        self.delivered: dict[str, Delivered] = {}
        #: Keys that lay in a synced folder at some time, and whether Lee was flagged by then.
        self.is_flagged = False
        self.hidden: set[str] = set()

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    # --- the world --------------------------------------------------------------------------
    @initialize(size=st.integers(1, 4))
    def page_size(self, size):
        self.gateway.page_size = size

    @rule(
        sender=st.sampled_from(sorted(SENDERS)),
        folder=st.sampled_from(FOLDERS),
        hours_ago=st.one_of(st.integers(0, 48), st.integers(0, 24 * 40)),
        has_message_id=st.booleans(),
    )
    def deliver(self, sender, folder, hours_ago, has_message_id):
        self.count += 1
        id = f"m{self.count}"
        message = headers(
            id,
            from_=SENDERS[sender],
            folder=folder,
            received_at=self.now - timedelta(hours=hours_ago),
            subject=f"Subject {self.count}",
            message_id=None if has_message_id else "",
        )
        self.gateway.add(message)
        self.gateway.bodies[id] = f"<p>TEXT-{sender}-{self.count}</p>"
        is_polled = folder in SYNCED and hours_ago < 24
        self.delivered[id] = Delivered(sender, hours_ago > 24 * 30, is_polled)

    @precondition(lambda self: self.gateway.messages)
    @rule(data=st.data(), folder=st.sampled_from(FOLDERS), gets_new_id=st.booleans())
    def move(self, data, folder, gets_new_id):
        id = data.draw(st.sampled_from(sorted(self.gateway.messages)))
        message = self.gateway.messages.pop(id)
        # Without a Message-ID only an id that stays tells that it is the same message.
        if gets_new_id and message.message_id:
            self.count += 1
            new = f"m{self.count}"
            self.gateway.bodies[new] = self.gateway.bodies[id]
            self.delivered[new] = self.delivered[id]
            id = new
        self.delivered[id] = dataclasses.replace(self.delivered[id], is_polled=False)
        self.gateway.add(replace(message, id=id, folder_ids=(folder,)))

    @precondition(lambda self: self.gateway.messages)
    @rule(data=st.data())
    def delete(self, data):
        del self.gateway.messages[data.draw(st.sampled_from(sorted(self.gateway.messages)))]

    @precondition(lambda self: len(self.gateway.messages) > 1)
    @rule(data=st.data())
    def a_sender_uses_a_message_id_again(self, data):
        id = data.draw(st.sampled_from(sorted(self.gateway.messages)))
        if used := self.gateway.messages[id].message_id:
            self.deliver("mine", "INBOX", 1, True)
            new = f"m{self.count}"
            self.gateway.add(replace(self.gateway.messages[new], message_id=used))

    @rule(minutes=st.integers(1, 60 * 30))
    def time_passes(self, minutes):
        self.now += timedelta(minutes=minutes)

    # --- the CRM ----------------------------------------------------------------------------
    @rule()
    def flag(self):
        MyContact.objects.flag(self.mia, [self.lee])
        self.is_flagged = True

    @rule()
    def hide(self):
        email = Email.objects.filter(hidden_at=None).order_by("pk").first()
        if email is not None:
            Email.objects.filter(pk=email.pk).update(hidden_at=self.now)
            self.hidden.add(email.message_key)

    def row(self) -> MailboxSync:
        return MailboxSync.objects.select_related("mailbox__user").get(
            mailbox=self.mailbox, kind="email"
        )

    def run_pass(self):
        with mock.patch.object(timezone, "now", return_value=self.now), transaction.atomic():
            return sync_mailbox(self.row(), gateway=self.gateway, settings=Settings())

    @rule()
    def a_pass(self):
        assert self.run_pass().outcome == "complete"

    @rule(request=st.integers(1, 12), error=st.sampled_from([Crash, TransientError]))
    def a_pass_that_is_cut_off_at_a_request(self, request, error):
        left = [request]

        def before(kind, subject):
            left[0] -= 1
            if left[0] == 0:
                raise error("cut off")

        self.gateway.before = before
        try:
            self.a_pass_that_may_crash()
        finally:
            self.gateway.before = lambda kind, subject: None

    @rule(transactions=st.integers(1, 4))
    def a_pass_that_ends_in_the_middle_of_a_transaction(self, transactions):
        left = [transactions]
        real = store.store

        def cut(*args, **more):
            outcomes = real(*args, **more)
            left[0] -= 1
            if left[0] == 0:
                raise Crash
            return outcomes

        with mock.patch.object(store, "store", cut):
            self.a_pass_that_may_crash()

    def a_pass_that_may_crash(self) -> None:
        """What was committed before a crash stays; the dead reader's lease is there for taking."""
        try:
            with mock.patch.object(timezone, "now", return_value=self.now):
                sync_mailbox(self.row(), gateway=self.gateway, settings=Settings())
        except Crash:
            pass
        holder = self.row().lease_holder
        if holder:
            host, _, rest = holder.split(":", 2)
            dead = f"{host}:999999999:{rest}"
            assert leases.is_dead_here(dead)
            MailboxSync.objects.filter(lease_holder=holder).update(lease_holder=dead)

    @precondition(lambda self: self.gateway.messages)
    @rule(data=st.data(), times=st.integers(1, 2))
    def a_notification(self, data, times):
        """Also of messages in folders that are not synced, and of some that were here before."""
        id = data.draw(st.sampled_from(sorted(self.delivered)))
        for _ in range(times):
            with mock.patch.object(timezone, "now", return_value=self.now):
                hints.read_message(self.row(), id, gateway=self.gateway, settings=Settings())

    # --- what must hold ------------------------------------------------------------------------
    def come_to_rest(self) -> None:
        self.now += timedelta(minutes=5)
        with mock.patch.object(timezone, "now", return_value=self.now):
            for _ in range(4):
                sync_mailbox(self.row(), gateway=self.gateway, settings=Settings())
            self.passes_alone_found_what_they_must()
            check = check_mailbox(self.row(), gateway=self.gateway, settings=Settings())
            assert check.is_complete, check.problems
        self.each_message_is_in_the_ledger_once()
        self.each_match_is_an_email_once()
        self.nothing_is_leaked()
        self.counts_agree()

    def passes_alone_found_what_they_must(self) -> None:
        subjects = set(LedgerEntry.objects.values_list("subject", flat=True))
        for id, message in self.gateway.messages.items():
            if self.delivered[id].is_polled:
                assert message.subject in subjects, "lost by polling"

    def each_message_is_in_the_ledger_once(self) -> None:
        subjects = list(LedgerEntry.objects.values_list("subject", flat=True))
        assert len(subjects) == len(set(subjects)), "doubled"
        reasons = dict(LedgerEntry.objects.values_list("subject", "reason"))
        for id, message in self.gateway.messages.items():
            if not SYNCED.intersection(message.folder_ids):
                continue
            known = self.delivered[id]
            if known.is_old:
                assert reasons.get(message.subject, "before-sync-start") == "before-sync-start"
                continue
            assert message.subject in reasons, "lost"
            assert reasons[message.subject] in self.expected(known)

    def expected(self, known: Delivered) -> set[str]:
        if known.sender == "nobody":
            return {"unknown-address"}
        if known.sender == "mine":
            # Gone or moved just when its text was asked for, and not found again.
            return {"matched", "deleted-in-crm"}
        return {"not-my-contact", "matched"} if self.is_flagged else {"not-my-contact"}

    def each_match_is_an_email_once(self) -> None:
        matched = set(
            LedgerEntry.objects.filter(outcome="matched").values_list("message_key", flat=True)
        )
        emails = list(Email.objects.values_list("message_key", flat=True))
        assert len(emails) == len(set(emails))
        assert matched <= set(emails)
        still_hidden = Email.objects.exclude(hidden_at=None).values_list("message_key", flat=True)
        assert set(still_hidden) == self.hidden, "a deleted email came back"

    def nothing_is_leaked(self) -> None:
        assert "TEXT-" not in str(list(LedgerEntry.objects.values()))
        texts = " ".join(Email.objects.values_list("body_text", flat=True))
        assert "TEXT-nobody" not in texts
        assert self.is_flagged or "TEXT-later" not in texts

    def counts_agree(self) -> None:
        counted: dict[str, int] = {}
        for row in DailyCount.objects.all():
            counted[row.outcome] = counted.get(row.outcome, 0) + row.count
        for outcome in LedgerEntry.Outcome.values:
            rows = LedgerEntry.objects.filter(outcome=outcome).count()
            assert counted.get(outcome, 0) == rows


@pytest.mark.django_db
def test_a_mailbox_survives_any_life():
    run_state_machine_as_test(
        MailboxLife,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
