"""Random lives of a rep whose mail comes in four ways at once, against a simple model.

Messages arrive in the rep's mailbox, by BCC, forwarded in the text and as attachments, in any order
and more than once; passes over both mailboxes are cut off at any request or in the middle of a
transaction. At rest each message is one email with the sources it came by, counted once.
"""

from collections import defaultdict
from datetime import timedelta
from typing import Any
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

from accounts import leases
from accounts.models import MailboxSync
from crm_sync.providers.errors import PermanentError, TransientError
from email_sync import store
from email_sync.intake import sync_intake
from email_sync.models import DailyCount, Email, IntakeConnection, LedgerEntry
from email_sync.sync import sync_mailbox
from tests.email_sync.conftest import connect
from tests.email_sync.fake_gateway import NOW, FakeGateway, headers
from tests.email_sync.fake_gmail import ANA, CAPTURE, MIA, forward, mail
from tests.email_sync.intake_cast import ON, make_cast
from tests.email_sync.test_model import Crash

STRANGER = "x@other.example"


class IntakeLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.cast = make_cast()
        self.mailbox = connect(self.cast.mia, MIA)
        self.nylas, self.gmail = FakeGateway(), self.cast.gmail
        self.now = NOW
        self.count = 0
        #: By the number of a message: who wrote it, and by which sources it came in.
        self.sender: dict[int, str] = {}
        self.sources: dict[int, set[str]] = defaultdict(set)
        self.forwards = 0
        self.unproved = 0

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    @initialize(size=st.integers(1, 4), batch=st.integers(1, 4))
    def sizes(self, size, batch):
        self.nylas.page_size = self.gmail.page_size = size
        self.batch = batch

    # --- what arrives ---------------------------------------------------------------------------
    def written(self, number: int) -> dict[str, Any]:
        sender = self.sender[number]
        return {
            "from_": sender,
            "to": (ANA,) if sender == MIA else (MIA,),
            "subject": f"Subject {number}",
            "message_id": f"<m{number}@x.example>",
        }

    def text(self, number: int) -> str:
        return f"TEXT-{self.sender[number]} of the message with the number {number}."

    def sent_at(self, number: int):
        return NOW - timedelta(hours=1, minutes=number)

    def raw(self, number: int, **more: object) -> bytes:
        fields = self.written(number)
        fields["to"] = fields["to"][0]
        return mail(text=self.text(number), sent_at=self.sent_at(number), **fields | more)

    @rule(sender=st.sampled_from([MIA, ANA, ANA, STRANGER]))
    def a_message_is_written(self, sender):
        self.count += 1
        self.sender[self.count] = sender

    def any_number(self, data) -> int:
        return data.draw(st.sampled_from(sorted(self.sender)))

    @precondition(lambda self: self.sender)
    @rule(data=st.data())
    def it_is_in_the_reps_mailbox(self, data):
        number = self.any_number(data)
        folder = "SENT" if self.sender[number] == MIA else "INBOX"
        received_at = self.sent_at(number)
        self.nylas.add(
            headers(f"n{number}", folder=folder, received_at=received_at, **self.written(number))
        )
        self.nylas.bodies[f"n{number}"] = f"<p>{self.text(number)}</p>"
        self.sources[number].add("nylas")

    @precondition(lambda self: MIA in self.sender.values())
    @rule(data=st.data(), is_proved=st.sampled_from([True, True, False]))
    def it_is_sent_as_bcc_to_the_intake(self, data, is_proved):
        own = sorted(number for number, sender in self.sender.items() if sender == MIA)
        number = data.draw(st.sampled_from(own))
        more = {} if is_proved else {"results": None}
        self.deliver(self.raw(number, **more))
        if is_proved:
            self.sources[number].add("bcc")

    @precondition(lambda self: self.sender)
    @rule(data=st.data())
    def it_is_forwarded_in_the_text(self, data):
        number = self.any_number(data)
        fields = self.written(number)
        self.forwards += 1
        self.deliver(
            forward(
                original_from=f"Somebody <{fields['from_']}>",
                original_to=f"Somebody <{fields['to'][0]}>",
                original_subject=fields["subject"],
                original_date=self.sent_at(number),
                original_text=self.text(number),
                message_id=f"<f{self.forwards}@x.example>",
            )
        )
        self.sources[number].add("fwd")

    @precondition(lambda self: self.sender)
    @rule(data=st.data())
    def some_are_forwarded_as_attachments(self, data):
        numbers = data.draw(st.lists(st.sampled_from(sorted(self.sender)), min_size=1, max_size=3))
        self.forwards += 1
        self.deliver(
            mail(
                to=CAPTURE,
                subject="Fwd: some",
                message_id=f"<f{self.forwards}@x.example>",
                attached=[self.raw(number) for number in numbers],
            )
        )
        for number in numbers:
            self.sources[number].add("fwd")

    def deliver(self, raw: bytes) -> None:
        self.gmail.deliver(f"g{len(self.gmail.history)}", raw, received_at=self.now)

    @precondition(lambda self: self.gmail.messages)
    @rule(data=st.data())
    def gmail_gets_it_twice(self, data):
        id = data.draw(st.sampled_from(sorted(self.gmail.messages)))
        self.deliver(self.gmail.messages[id].raw)

    @rule(does=st.sampled_from([True, *[False] * 7]))
    def gmail_forgets_its_history(self, does):
        """Seldom: to list everything again would make good what a pass had lost."""
        if does:
            self.gmail.forgotten = len(self.gmail.history)

    # --- passes ---------------------------------------------------------------------------------
    def pass_over(self, which: str) -> None:
        with (
            mock.patch.object(timezone, "now", return_value=self.now),
            mock.patch("email_sync.intake.BATCH", self.batch),
        ):
            if which == "gmail":
                sync_intake(IntakeConnection.objects.get(), gateway=self.gmail, settings=ON)
            else:
                rows = MailboxSync.objects.select_related("mailbox__user")
                row = rows.get(mailbox=self.mailbox, kind="email")
                sync_mailbox(row, gateway=self.nylas, settings=ON)

    @rule(which=st.sampled_from(["gmail", "nylas"]))
    def a_pass(self, which):
        self.pass_over(which)

    @rule(
        which=st.sampled_from(["gmail", "nylas"]),
        asked_for=st.sampled_from(["message", "message", "page", "history", "label"]),
        request=st.integers(1, 3),
        error=st.sampled_from([Crash, TransientError, PermanentError]),
    )
    def a_pass_that_meets_trouble_at_a_request(self, which, asked_for, request, error):
        gateway = self.gmail if which == "gmail" else self.nylas
        left = [request]

        def before(kind, subject):
            left[0] -= kind == asked_for
            if left[0] == 0:
                left[0] = -1
                raise error("cut off")

        gateway.before = before
        try:
            self.pass_that_may_crash(which)
        finally:
            gateway.before = lambda kind, subject: None

    @rule(which=st.sampled_from(["gmail", "nylas"]), transactions=st.integers(1, 3))
    def a_pass_that_ends_in_the_middle_of_a_transaction(self, which, transactions):
        left = [transactions]
        real = store.store

        def cut(*args, **more):
            outcomes = real(*args, **more)
            left[0] -= 1
            if left[0] == 0:
                raise Crash
            return outcomes

        with mock.patch.object(store, "store", cut):
            self.pass_that_may_crash(which)

    def pass_that_may_crash(self, which: str) -> None:
        """What was committed before a crash stays; the dead reader's lease is there for taking."""
        try:
            self.pass_over(which)
        except Crash:
            pass
        for model in (IntakeConnection, MailboxSync):
            for holder in model.objects.exclude(lease_holder="").values_list(
                "lease_holder", flat=True
            ):
                host, _, rest = holder.split(":", 2)
                dead = f"{host}:999999999:{rest}"
                assert leases.is_dead_here(dead)
                model.objects.filter(lease_holder=holder).update(lease_holder=dead)

    # --- what must hold ---------------------------------------------------------------------------
    def come_to_rest(self) -> None:
        self.now += timedelta(minutes=5)
        for _ in range(4):
            self.pass_over("gmail")
            self.pass_over("nylas")
        wanted = {n: s for n, s in self.sources.items() if self.sender[n] != STRANGER and s}
        emails = {email.subject: email for email in Email.objects.all()}
        assert len(emails) == Email.objects.count(), "doubled"
        assert set(emails) == {f"Subject {number}" for number in wanted}
        for number, sources in wanted.items():
            email = emails[f"Subject {number}"]
            entries = LedgerEntry.objects.of_email(email)
            assert set(entries.values_list("source", flat=True)) == sources
            assert set(entries.values_list("outcome", flat=True)) == {"matched"}
            assert email.body_text == self.text(number)
            has_id = sources != {"fwd"} or not email.is_inline
            assert email.message_id == (f"<m{number}@x.example>" if has_id else "")
        self.counts_agree()
        assert f"TEXT-{STRANGER}" not in str(list(Email.objects.values("body_text")))
        assert "TEXT-" not in str(list(LedgerEntry.objects.values()))
        row = IntakeConnection.objects.get()
        assert row.history_id == self.gmail.mark
        assert row.unlabelled == []
        assert set(self.gmail.labelled) == set(self.gmail.messages), "a label is missing"

    def counts_agree(self) -> None:
        counted: dict[str, int] = defaultdict(int)
        for row in DailyCount.objects.all():
            counted[row.outcome] += row.count
        assert counted["matched"] == Email.objects.count()
        for outcome in ("unmatched", "excluded", "failed"):
            rows = LedgerEntry.objects.filter(outcome=outcome).exclude(user=None).count()
            assert counted[outcome] == rows


@pytest.mark.django_db
def test_a_reps_mail_survives_any_life():
    run_state_machine_as_test(
        IntakeLife,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
