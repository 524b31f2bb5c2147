"""What people decide about messages of the intake, and what comes of it."""

from datetime import timedelta
from unittest import mock

import pytest
from django.db import connection as database

from crm_sync.providers.errors import ReconnectRequired, TransientError
from email_sync import reviewing
from email_sync.models import DailyCount, Email, IntakeReview, LedgerEntry, TrustedSender
from tests.email_sync.fake_gateway import NOW, FakeGateway
from tests.email_sync.fake_gmail import ANA, CAPTURE, MIA, forward, mail
from tests.email_sync.intake_cast import IntakeCast, make_cast
from tests.email_sync.test_one_email import LOGO_AT, connect, copies

LATER = NOW + timedelta(hours=1)
UNPROVED = mail(results="mx.google.com; dmarc=fail")
UNSURE = forward(original_from="Ana Sato")


@pytest.fixture
def cast(db, monkeypatch) -> IntakeCast:
    cast = make_cast()
    monkeypatch.setattr(reviewing, "gmail", lambda connection: cast.gmail)
    monkeypatch.setattr("accounts.system_settings.current", lambda: cast.settings)
    return cast


def decide(cast, action, **said):
    """The decision about the one open review, by the admin; the review afterwards."""
    review = cast.review()
    action(review, by=cast.admin, now=LATER, **said)
    review.refresh_from_db()
    return review


def refused(cast, action, review=None, **said) -> str:
    """The sentence with which a decision is refused, and that nothing was changed."""
    before = snapshot()
    with pytest.raises(reviewing.Refused) as refusal:
        action(review or cast.review(), by=cast.admin, now=LATER, **said)
    assert snapshot() == before
    return str(refusal.value)


def snapshot():
    models = (LedgerEntry, IntakeReview, Email, TrustedSender, DailyCount)
    return [list(model.objects.order_by("pk").values()) for model in models]


# --- who sent it ----------------------------------------------------------------------------------
def test_an_approved_message_is_the_reps(cast):
    cast.deliver(UNPROVED)
    review = decide(cast, reviewing.approve)
    entry = LedgerEntry.objects.get()
    assert (entry.user, entry.outcome, entry.reason) == (cast.mia, "matched", "matched")
    assert cast.email().user == cast.mia
    assert (review.decision, review.decided_by, review.decided_at) == (
        "approved", cast.admin, LATER,
    )  # fmt: skip
    assert entry.trace["decided"] == "Ada: approved."
    assert entry.trace["intake"]["steps"][1]["words"] == "Ada approved the sender."
    assert DailyCount.objects.get().count == 1
    assert not IntakeReview.objects.open().exists()


def test_approval_is_for_that_message_only(cast):
    cast.deliver(UNPROVED)
    decide(cast, reviewing.approve)
    entry = cast.deliver(mail(results=None, message_id="<2@x>"), "g2")
    assert entry.reason == "sender-not-authenticated"
    assert not TrustedSender.objects.exists()


def test_a_trusted_address_needs_no_proof_any_more(cast):
    cast.deliver(UNPROVED)
    review = decide(cast, reviewing.trust)
    assert review.decision == "trusted"
    trusted = TrustedSender.objects.get()
    assert (trusted.user, trusted.address, trusted.trusted_by) == (cast.mia, MIA, cast.admin)
    entry = cast.deliver(mail(results=None, message_id="<2@x>"), "g2")
    assert (entry.user, entry.reason) == (cast.mia, "matched")


def test_an_approved_forward_may_raise_the_next_question(cast):
    cast.deliver(forward(original_from="Ana Sato", results=None))
    first = decide(cast, reviewing.approve)
    entry = LedgerEntry.objects.get()
    assert (entry.user, entry.reason) == (cast.mia, "forward-unsure")
    second = cast.review()
    assert (second.kind, second.entry, second.pk != first.pk) == ("forward", entry, True)
    decide(cast, reviewing.correct, sender=ANA)
    entry.refresh_from_db()
    assert (entry.reason, cast.email().direction) == ("matched", "received")


def test_approving_what_matches_nobody_says_so(cast):
    cast.deliver(mail(results=None, to="x@other.example"))
    decide(cast, reviewing.approve)
    entry = LedgerEntry.objects.get()
    assert (entry.user, entry.outcome, entry.reason) == (
        cast.mia, "unmatched", "unknown-address",
    )  # fmt: skip
    assert Email.objects.count() == 0
    assert DailyCount.objects.get().outcome == "unmatched"


def test_a_sender_who_is_no_user_any_more_cannot_be_approved(cast):
    cast.deliver(UNPROVED)
    cast.mia.is_active = False
    cast.mia.save()
    assert "not a user's address" in refused(cast, reviewing.approve)


def test_an_alias_that_was_added_since_makes_it_the_users(cast):
    cast.deliver(mail(from_="mia@old.example", results=mail_proof("old.example")))
    assert "Add it to the aliases" in refused(cast, reviewing.retry)
    cast.mia.aliases.create(address="mia@old.example")
    review = decide(cast, reviewing.retry)
    assert review.decision == "tried-again"
    entry = LedgerEntry.objects.get()
    assert (entry.user, entry.reason) == (cast.mia, "matched")


def mail_proof(domain):
    from tests.email_sync.fake_gmail import proof

    return proof(domain)


# --- what was forwarded ---------------------------------------------------------------------------
def test_a_person_names_the_sender_of_what_was_forwarded(cast):
    cast.deliver(UNSURE)
    review = decide(cast, reviewing.correct, sender=" ANA@Lumen.example ")
    assert (review.decision, review.correction) == ("corrected", {"from": ANA, "date": ""})
    email = cast.email()
    assert (email.subject, email.sent_at) == ("Logo files", LOGO_AT)
    assert email.body_text.startswith("Dear Mia, please find")
    assert [link.contact for link in email.links.all()] == [cast.ana]
    trace = LedgerEntry.objects.get().trace
    assert (trace["intake"]["method"], trace["decided"]) == ("person", "Ada: corrected.")


def test_and_the_date(cast):
    cast.deliver(UNSURE)
    decide(cast, reviewing.correct, sender=ANA, date=NOW - timedelta(days=9))
    assert cast.email().sent_at == NOW - timedelta(days=9)


def test_where_no_forward_was_found_the_whole_text_is_taken_for_it(cast):
    cast.deliver(mail(to=CAPTURE, subject="Ana called", text="She wants the logo files."))
    decide(cast, reviewing.correct, sender=ANA)
    email = cast.email()
    assert (email.subject, email.body_text) == ("Ana called", "She wants the logo files.")


def test_naming_somebody_who_is_no_contact_stores_nothing(cast):
    cast.deliver(UNSURE)
    decide(cast, reviewing.correct, sender="x@other.example")
    assert LedgerEntry.objects.get().reason == "unknown-address"
    assert Email.objects.count() == 0


def test_a_sender_that_is_no_address_is_refused(cast):
    cast.deliver(UNSURE)
    assert "is not an email address" in refused(cast, reviewing.correct, sender="Ana")


# --- which email it is ----------------------------------------------------------------------------
@pytest.fixture
def doubtful(cast):
    """A forward in the text of what Ana wrote twice."""
    cast.mailbox = connect(cast.mia, MIA)
    cast.nylas = FakeGateway(page_size=50)
    copies(cast, 0, 3)
    cast.deliver(forward())
    return cast


def test_a_person_chooses_the_original(doubtful):
    review = doubtful.review()
    offered = reviewing.originals(review)
    assert {email.subject for email in offered} == {"Logo files"}
    chosen = decide(doubtful, reviewing.choose_original, email_id=offered[1].pk)
    entry = LedgerEntry.objects.get(source="fwd")
    assert (chosen.decision, entry.email, entry.reason) == ("chosen", offered[1], "matched")
    assert Email.objects.count() == 2
    assert DailyCount.objects.get(source="nylas", outcome="matched").count == 2
    assert not DailyCount.objects.filter(source="fwd", outcome="matched", count__gt=0).exists()


def test_or_none_of_them(doubtful):
    decide(doubtful, reviewing.choose_original, email_id=None)
    entry = LedgerEntry.objects.get(source="fwd")
    assert (entry.outcome, entry.email.is_inline) == ("matched", True)
    assert Email.objects.count() == 3


def test_but_no_other_email(doubtful):
    other = Email.objects.create(
        user=doubtful.sam, message_key="x", thread_key="x", direction="sent", sent_at=NOW
    )
    words = refused(doubtful, reviewing.choose_original, email_id=other.pk)
    assert words.startswith("That email is not one of those")


# --- once, and only what can be done --------------------------------------------------------------
def test_what_is_dismissed_stays_as_it_is(cast):
    cast.deliver(UNPROVED)
    cast.gmail.fetched.clear()
    before = list(LedgerEntry.objects.values())
    review = decide(cast, reviewing.dismiss)
    assert (review.decision, review.decided_by) == ("dismissed", cast.admin)
    assert list(LedgerEntry.objects.values()) == before
    assert cast.gmail.fetched == []


@pytest.mark.parametrize("action", [reviewing.approve, reviewing.trust, reviewing.dismiss])
def test_a_decision_is_made_once(cast, action):
    cast.deliver(UNPROVED)
    stale = IntakeReview.objects.get()
    decide(cast, reviewing.approve)
    for review in (stale, IntakeReview.objects.get()):
        assert "already" in refused(cast, action, review=review)


def test_of_two_at_the_same_moment_one_decides(cast):
    cast.deliver(UNPROVED)
    mine, theirs = IntakeReview.objects.get(), IntakeReview.objects.get()

    def faster(kind, subject):
        cast.gmail.before = lambda kind, subject: None
        reviewing.dismiss(theirs, by=cast.admin, now=LATER)

    cast.gmail.before = faster
    with pytest.raises(reviewing.Refused, match="already"):
        reviewing.approve(mine, by=cast.admin, now=LATER)
    assert LedgerEntry.objects.get().reason == "sender-not-authenticated"
    assert Email.objects.count() == 0


@pytest.mark.parametrize(
    ("raw", "allowed"),
    [
        (UNPROVED, {"approve", "trust"}),
        (mail(from_="x@other.example"), {"retry"}),
        (UNSURE, {"correct"}),
    ],
)
def test_each_kind_has_its_own_decisions(cast, raw, allowed):
    cast.deliver(raw)
    said = {"correct": {"sender": ANA}, "choose_original": {"email_id": None}}
    for name in {"approve", "trust", "retry", "correct", "choose_original"} - allowed:
        words = refused(cast, getattr(reviewing, name), **said.get(name, {}))
        assert words == "This cannot be decided about a message of this kind."


def test_a_message_that_is_gone_can_only_be_dismissed(cast):
    cast.deliver(UNPROVED)
    cast.gmail.messages.clear()
    assert "can only be dismissed" in refused(cast, reviewing.approve)
    decide(cast, reviewing.dismiss)


@pytest.mark.parametrize("error", [TransientError("Later."), ReconnectRequired("Authorise.")])
def test_while_google_is_away_nothing_is_decided(cast, error):
    cast.deliver(UNPROVED)

    def away(kind, subject):
        raise error

    cast.gmail.before = away
    assert refused(cast, reviewing.approve) == str(error)


def test_nor_where_the_mailbox_is_no_longer_connected(cast):
    from email_sync.connecting_intake import disconnect

    cast.deliver(UNPROVED)
    disconnect(cast.row)
    assert "no longer connected" in refused(cast, reviewing.approve)


def test_nor_where_the_same_message_is_there_already(cast):
    cast.deliver(UNPROVED)
    cast.deliver(mail(), "g2")
    assert "in the history already" in refused(cast, reviewing.approve)
    assert Email.objects.count() == 1


def test_gmail_is_never_asked_inside_a_transaction(cast):
    cast.deliver(UNPROVED)
    depth = len(database.savepoint_ids)
    seen = []
    cast.gmail.before = lambda kind, subject: seen.append(len(database.savepoint_ids))
    decide(cast, reviewing.trust)
    assert seen == [depth]


def test_a_crash_in_the_middle_leaves_the_question_open(cast):
    cast.deliver(UNPROVED)
    with (
        mock.patch.object(reviewing.store, "settle", side_effect=RuntimeError),
        pytest.raises(RuntimeError),
    ):
        reviewing.approve(cast.review(), by=cast.admin, now=LATER)
    assert cast.review().decided_at is None
    decide(cast, reviewing.approve)
    assert Email.objects.count() == 1
