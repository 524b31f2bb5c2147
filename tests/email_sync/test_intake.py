"""The intake, from Gmail to the ledger and the emails."""

import logging
from datetime import timedelta
from unittest import mock

import pytest
from django.core import mail as outbox
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from accounts import leases
from accounts.models import MyContact
from accounts.system_settings import Settings
from crm_sync.providers.errors import (
    ApplicationRejected,
    PermanentError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from email_sync import intake, intake_reading
from email_sync.connecting_intake import deselect, select, state_of
from email_sync.models import (
    DailyCount,
    Email,
    Exclusion,
    IntakeConnection,
    IntakeReview,
    LedgerEntry,
    TrustedSender,
)
from email_sync.tasks import expire_ledger
from tests.email_sync.fake_gateway import NOW
from tests.email_sync.fake_gmail import ANA, CAPTURE, MIA, forward, mail
from tests.email_sync.intake_cast import IntakeCast, make_cast

STRANGER = "x@other.example"


@pytest.fixture
def cast(db) -> IntakeCast:
    return make_cast()


def bccs(cast: IntakeCast, count: int, *, start: int = 1) -> None:
    for n in range(start, start + count):
        cast.gmail.deliver(f"g{n}", mail(message_id=f"<{n}@x.example>", subject=f"Offer {n}"))


def failing(cast: IntakeCast, kind: str, error: Exception, *, only: str = "") -> None:
    def before(asked: str, subject: str) -> None:
        if asked == kind and only in {"", subject}:
            raise error

    cast.gmail.before = before


# --- what becomes of a message --------------------------------------------------------------------
def test_a_bcc_becomes_an_email_of_the_rep(cast):
    entry = cast.deliver(mail())
    assert (entry.user, entry.source, entry.outcome) == (cast.mia, "bcc", "matched")
    assert (entry.direction, entry.reason, entry.intake) == ("sent", "matched", cast.connection)
    assert (entry.contacts, entry.customers) == ([ANA], ["1001"])
    assert (entry.from_address, entry.to, entry.mailbox) == (MIA, [ANA], None)
    email = cast.email()
    assert (entry.email, email.user, email.direction) == (email, cast.mia, "sent")
    assert email.body_text == "Dear Ana, here is the offer of which we spoke."
    assert email.message_id == "<offer@northsound.example>"
    assert email.sent_at == NOW - timedelta(hours=2)
    assert email.provider_thread_id == ""
    assert [link.contact for link in email.links.all()] == [cast.ana]
    assert sorted(email.participants.values_list("role", "address")) == [("from", MIA), ("to", ANA)]
    assert DailyCount.objects.get().count == 1
    assert entry.trace["addresses"][0]["address"] == ANA
    assert [step["rule"] for step in entry.trace["intake"]["steps"]] == [
        "sender",
        "authentication",
        "kind",
    ]


def test_a_forward_becomes_an_email_from_the_original_sender(cast):
    entry = cast.deliver(forward())
    assert (entry.user, entry.source, entry.outcome) == (cast.mia, "fwd", "matched")
    # The entry is the forward's, the email is the original's.
    assert (entry.message_id, entry.subject) == ("<fwd@x.example>", "Fwd: Logo files")
    assert (entry.from_address, entry.direction) == (MIA, "received")
    email = cast.email()
    assert (email.direction, email.subject, email.message_id) == ("received", "Logo files", "")
    assert email.sent_at == NOW - timedelta(days=1)
    assert email.body_text.startswith("Dear Mia, please find our logo files")
    assert "For the record" not in email.body_text
    assert sorted(email.participants.values_list("role", "address")) == [("from", ANA), ("to", MIA)]
    assert entry.trace["intake"]["confidence"] >= 0.6
    assert entry.trace["intake"]["originals"] == 1


def test_a_forward_of_what_the_rep_had_sent_goes_to_its_recipients(cast):
    entry = cast.deliver(forward(original_from=f"Mia Berg <{MIA}>", original_to=f"Ana <{ANA}>"))
    assert (entry.direction, entry.contacts) == ("sent", [ANA])
    assert cast.email().direction == "sent"


def test_forwards_as_attachment_become_an_email_each(cast):
    originals = [
        mail(from_=ANA, to=MIA, subject="Logo files", message_id="<1@lumen.example>", text="One."),
        mail(from_="kim@harbor.example", to=MIA, subject="Dates", message_id="<2@harbor.example>"),
        mail(from_=STRANGER, to=MIA, subject="Prize", message_id="<3@other.example>"),
    ]
    entry = cast.deliver(mail(to=CAPTURE, subject="Fwd: three", attached=originals))
    assert (entry.outcome, sorted(entry.contacts)) == ("matched", [ANA, "kim@harbor.example"])
    assert entry.customers == ["1001", "1002"]
    emails = {e.message_id for e in Email.objects.all()}
    assert emails == {"<1@lumen.example>", "<2@harbor.example>"}
    further = set(entry.further_emails.values_list("message_id", flat=True))
    assert {entry.email.message_id, *further} == emails
    assert DailyCount.objects.get().count == 2
    assert LedgerEntry.objects.count() == 1


@pytest.mark.parametrize(
    ("raw", "outcome", "reason"),
    [
        (mail(to="lee@harbor.example"), "unmatched", "not-my-contact"),
        (mail(to=STRANGER), "unmatched", "unknown-address"),
        (mail(to=STRANGER, cc=CAPTURE), "unmatched", "unknown-address"),
        (mail(to="sam@northsound.example"), "excluded", "internal-only"),
        (forward(original_from=f"X <{STRANGER}>"), "unmatched", "unknown-address"),
        # Only who wrote it is looked for.
        (forward(original_from=f"X <{STRANGER}>", original_to=f"A <{ANA}>"), "unmatched",
         "unknown-address"),
        (forward(original_from="Lee <lee@harbor.example>"), "unmatched", "not-my-contact"),
        (mail(to=CAPTURE, subject="A note", text="Please log this."), "unmatched",
         "forward-unparsed"),
        (forward(original_from="Ana Sato"), "unmatched", "forward-unsure"),
    ],
)  # fmt: skip
def test_what_does_not_match_is_explained_and_leaves_no_text(cast, raw, outcome, reason):
    entry = cast.deliver(raw)
    assert (entry.user, entry.outcome, entry.reason) == (cast.mia, outcome, reason)
    assert Email.objects.count() == 0
    everything = str(list(LedgerEntry.objects.values())) + str(list(IntakeReview.objects.values()))
    for text in ("here is the offer", "please find our logo", "Please log this", "For the record"):
        assert text not in everything


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"return_path": "<>", "results": None}, "automated-mail"),
        ({"from_": CAPTURE}, "loop"),
        ({"from_": STRANGER}, "sender-not-registered"),
        ({"results": None}, "sender-not-authenticated"),
        ({"x_forwarded_to": CAPTURE, "x_forwarded_for": f"{MIA} {CAPTURE}"}, "automatic-forward"),
    ],
)
def test_mail_that_is_not_proved_to_be_a_reps_is_nobodys(cast, fields, reason):
    entry = cast.deliver(mail(**fields))
    assert (entry.user, entry.intake) == (None, cast.connection)
    assert (entry.outcome, entry.reason, entry.source) == (
        "unmatched", reason, "fwd" if "forward" in reason else "bcc",
    )  # fmt: skip
    assert entry.subject == "Offer"
    assert Email.objects.count() == DailyCount.objects.count() == 0
    assert cast.gmail.labelled == {"g1": {"CRM logged"}}


def test_a_machines_mail_in_the_reps_name_is_in_the_reps_history(cast):
    entry = cast.deliver(mail(subject="Automatic reply: Offer"))
    assert (entry.user, entry.outcome, entry.reason) == (cast.mia, "unmatched", "automated-mail")
    assert Email.objects.count() == IntakeReview.objects.count() == 0


def test_who_it_claims_to_be_is_in_the_trace(cast):
    entry = cast.deliver(mail(results=None))
    assert entry.trace["intake"]["claimed"] == {"id": cast.mia.pk, "name": "Mia Berg"}


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (mail(results=None), "sender"),
        (mail(from_=STRANGER), "unregistered"),
        (forward(original_from="Ana Sato"), "forward"),
        (mail(to=CAPTURE), "forward"),
        (mail(), None),
        (mail(return_path="<>"), None),
        (mail(from_=CAPTURE), None),
        (mail(to=STRANGER), None),
        (mail(from_=STRANGER, x_forwarded_to=CAPTURE), None),
    ],
)
def test_what_only_a_person_can_decide_is_put_to_people(cast, raw, kind):
    entry = cast.deliver(raw)
    found = list(IntakeReview.objects.open())
    assert [(review.kind, review.entry) for review in found] == ([(kind, entry)] if kind else [])


def test_a_review_shows_what_was_read_and_no_text(cast):
    cast.deliver(forward(original_from="Ana Sato", original_cc="Kim <kim@harbor.example>"))
    extracted = cast.review().extracted
    assert (extracted["subject"], extracted["cc"]) == ("Logo files", ["kim@harbor.example"])
    assert extracted["from"] == ""
    assert "please find" not in str(extracted)


def test_exclusions_hold_for_the_intake_too(cast):
    Exclusion.objects.create(kind="address", value=ANA)
    entry = cast.deliver(mail(to="kim@harbor.example", cc=ANA))
    assert (entry.outcome, entry.reason, entry.subject) == ("excluded", "excluded-address", "")
    entry = cast.deliver(forward(original_cc=ANA, original_from="K <kim@harbor.example>"), "g2")
    assert (entry.outcome, entry.reason) == ("excluded", "excluded-address")
    assert Email.objects.count() == 0


def test_the_domain_of_the_intake_may_be_excluded_without_harm(cast):
    cast.gmail.address = cast.connection.address = "crm@gmail.com"
    cast.connection.save()
    Exclusion.objects.create(kind="domain", value="gmail.com")
    assert cast.deliver(mail(to=f"{ANA}, crm@gmail.com")).reason == "matched"


def test_another_reps_contact_is_not_this_reps(cast):
    MyContact.objects.all().delete()
    MyContact.objects.flag(cast.sam, [cast.ana])
    assert cast.deliver(mail()).reason == "not-my-contact"
    assert cast.deliver(mail(from_="sam@northsound.example"), "g2").reason == "matched"


def test_former_users_are_nobody(cast):
    cast.mia.is_active = False
    cast.mia.save()
    assert cast.deliver(mail()).reason == "sender-not-registered"


def test_a_trusted_sender_is_known_without_proof(cast):
    TrustedSender.objects.create(user=cast.mia, address="Mia@Old.Example")
    assert cast.deliver(mail(from_="mia@old.example", results=None)).user == cast.mia


def test_an_address_that_a_user_only_typed_is_not_verified(cast):
    from tests.factories import MailboxFactory

    MailboxFactory(user=cast.mia, address="typed@other.example", authorised_address="")
    assert cast.deliver(mail(from_="typed@other.example")).reason == "sender-not-registered"


@pytest.mark.parametrize(("raw", "kind"), [(mail(), "bcc"), (forward(), "fwd")])
def test_a_kind_that_is_off_is_recorded_and_goes_no_further(cast, raw, kind):
    settings = Settings(bcc=kind != "bcc", fwd=kind != "fwd")
    cast.gmail.deliver("g1", raw)
    cast.sync(settings)
    entry = LedgerEntry.objects.get()
    assert (entry.user, entry.outcome, entry.reason) == (cast.mia, "unmatched", "source-off")
    assert Email.objects.count() == IntakeReview.objects.count() == 0


def test_automatic_forwarding_where_an_admin_allows_it(cast):
    cast.settings = Settings(fwd=True, automatic_forwarding=True)
    raw = mail(from_=ANA, to=MIA, results=None, subject="Logo files",
               x_forwarded_to=CAPTURE, x_forwarded_for=f"{MIA} {CAPTURE}")  # fmt: skip
    entry = cast.deliver(raw)
    assert (entry.user, entry.source, entry.reason) == (cast.mia, "fwd", "matched")
    assert (cast.email().direction, cast.email().subject) == ("received", "Logo files")


@pytest.mark.parametrize(
    ("sent_at", "expected"),
    [
        (NOW - timedelta(days=3), NOW - timedelta(days=3)),
        (NOW - timedelta(days=900), NOW - timedelta(hours=1)),
        (NOW + timedelta(days=900), NOW - timedelta(hours=1)),
        (None, NOW - timedelta(hours=1)),
    ],
)
def test_an_email_has_the_date_of_its_header_if_that_is_likely(cast, sent_at, expected):
    cast.deliver(mail(sent_at=sent_at))
    assert cast.email().sent_at == expected


def test_a_forward_without_a_zone_is_read_by_the_reps_clock(cast):
    cast.mia.time_zone = "Europe/Berlin"
    cast.mia.save()
    cast.deliver(forward(original_date=NOW - timedelta(days=1)))
    assert cast.email().sent_at == NOW - timedelta(days=1, hours=1)


def test_a_forward_without_a_date_has_its_own_and_says_so(cast):
    entry = cast.deliver(forward(original_date=None))
    assert cast.email().sent_at == entry.sent_at == NOW - timedelta(hours=2)
    assert entry.trace["intake"]["without_date"] == 1


def test_nul_and_odd_bytes_are_no_obstacle(cast):
    raw = mail().replace(b"Subject: Offer", b"Subject: O\x00f")
    assert cast.deliver(raw.replace(b"here is", b"here\x00 is")).reason == "matched"
    assert "\x00" not in cast.email().body_text + cast.email().subject


# --- nothing twice --------------------------------------------------------------------------------
def test_a_second_pass_changes_nothing_and_fetches_nothing(cast):
    bccs(cast, 5)
    cast.sync()
    before = list(LedgerEntry.objects.values())
    cast.gmail.fetched.clear()
    cast.now += timedelta(minutes=5)
    report = cast.sync()
    assert (report.outcome, report.result.matched, report.result.seen) == ("complete", 0, 0)
    assert list(LedgerEntry.objects.values()) == before
    assert cast.gmail.fetched == []


def test_the_same_message_under_two_ids_is_one(cast):
    cast.gmail.deliver("g1", mail())
    cast.gmail.deliver("g2", mail())
    cast.gmail.deliver("g3", mail(results=None))
    cast.gmail.deliver("g4", mail(results=None))
    cast.sync()
    cast.sync()
    assert Email.objects.count() == 1
    assert LedgerEntry.objects.count() == 2
    assert DailyCount.objects.get().count == 1
    assert set(cast.gmail.labelled) == {"g1", "g2", "g3", "g4"}


def test_a_message_id_that_was_used_before_by_another_message_hides_nothing(cast):
    cast.gmail.deliver("g1", mail(message_id="<same@x>", subject="One"))
    cast.gmail.deliver("g2", mail(message_id="<same@x>", subject="Two"))
    cast.gmail.deliver("g3", mail(message_id="", subject="Two"))
    cast.gmail.deliver("g4", mail(message_id="", subject="Two"))
    cast.sync()
    assert Email.objects.count() == LedgerEntry.objects.count() == 4


def test_what_was_deleted_in_the_crm_does_not_come_back(cast):
    cast.deliver(mail())
    Email.objects.all().hide(now=NOW)
    raw = mail(to=CAPTURE, subject="Fwd: Offer", message_id="<f@x>", attached=[mail()])
    entry = cast.deliver(raw, "g2")
    assert (entry.outcome, entry.reason) == ("excluded", "deleted-in-crm")
    assert Email.objects.filter(hidden_at=None).count() == 0


# --- listing --------------------------------------------------------------------------------------
def test_the_first_pass_reads_all_pages_and_later_ones_only_the_history(cast):
    bccs(cast, 8)
    report = cast.sync()
    assert (report.outcome, report.result.seen, report.result.matched) == ("complete", 8, 8)
    row = cast.row
    assert (row.history_id, row.listed_at, row.backfilled_at) == ("1008", NOW, NOW)
    assert state_of(row) == "running"
    cast.gmail.asked.clear()
    bccs(cast, 4, start=9)
    assert cast.sync().result.matched == 4
    assert cast.row.history_id == "1012"
    assert (cast.gmail.asked["history"], cast.gmail.asked["page"]) == (2, 0)


def test_messages_are_stored_in_the_order_in_which_they_came(cast):
    bccs(cast, 7)
    cast.sync()
    ids = LedgerEntry.objects.order_by("pk").values_list("provider_id", flat=True)
    assert list(ids) == [f"g{n}" for n in range(1, 8)]


def test_history_that_gmail_forgot_is_made_good_without_fetching_what_is_known(cast):
    bccs(cast, 3)
    cast.sync()
    bccs(cast, 2, start=4)
    cast.gmail.forgotten = 100
    cast.gmail.fetched.clear()
    assert cast.sync().outcome == "complete"
    assert cast.gmail.fetched == ["g4", "g5"]
    assert LedgerEntry.objects.count() == 5
    cast.gmail.forgotten = 0
    cast.sync()
    assert cast.row.history_id == "1005"


def test_what_arrives_while_the_mailbox_is_listed_is_read_next_time(cast):
    bccs(cast, 4)

    def arrives(kind, subject):
        if kind == "page" and subject == "3":
            cast.gmail.before = lambda kind, subject: None
            bccs(cast, 1, start=9)

    cast.gmail.before = arrives
    cast.sync()
    assert cast.row.history_id == "1004"
    cast.sync()
    assert LedgerEntry.objects.count() == 5


def test_what_arrives_while_the_history_is_read_is_not_passed_over(cast):
    cast.sync()
    bccs(cast, 4)

    def arrives(kind, subject):
        if kind == "history" and subject == "3":
            cast.gmail.before = lambda kind, subject: None
            bccs(cast, 1, start=9)

    cast.gmail.before = arrives
    cast.sync()
    assert cast.row.history_id == "1004"
    cast.sync()
    assert LedgerEntry.objects.count() == 5


def test_where_gmail_tells_no_mark_nothing_is_passed_over(cast):
    bccs(cast, 2)
    cast.gmail.tells_marks = False
    cast.sync()
    assert cast.row.history_id == ""
    bccs(cast, 1, start=3)
    cast.sync()
    assert LedgerEntry.objects.count() == 3
    cast.gmail.tells_marks = True
    cast.sync()
    assert cast.row.history_id == "1003"
    cast.gmail.tells_marks = False
    bccs(cast, 1, start=4)
    cast.sync()
    assert cast.row.history_id == "1003"
    assert LedgerEntry.objects.count() == 4


def test_a_listing_that_goes_in_circles_is_an_error_and_moves_no_mark(cast):
    bccs(cast, 4)
    with mock.patch.object(type(cast.gmail), "_page", lambda s, ids, token, mark: _circle(ids)):
        report = cast.sync()
    assert (report.outcome, report.error.code) == ("failed", "repeated-cursor")
    assert cast.row.history_id == ""
    assert LedgerEntry.objects.count() == 0


def _circle(ids):
    from crm_sync.providers.types import IntakePage

    return IntakePage(tuple(ids[:1]), "again", "")


def test_a_page_that_is_refused_is_a_passing_failure(cast):
    bccs(cast, 4)
    refused = PermanentError("This page is no longer there.", code="page-token-refused")
    failing(cast, "page", refused, only="3")
    report = cast.sync()
    assert isinstance(report.error, TransientError)
    cast.gmail.before = lambda kind, subject: None
    assert cast.sync().result.matched == 4


def test_spam_and_trash_are_read_once_somebody_takes_them_out(cast):
    cast.sync()
    cast.gmail.deliver("g1", mail(), labels=("SPAM",))
    cast.gmail.deliver("g2", mail(message_id="<2@x>"), labels=("TRASH",))
    cast.sync()
    assert LedgerEntry.objects.count() == 0
    assert cast.gmail.labelled == {}
    cast.gmail.deliver("g1", mail())
    cast.sync()
    assert cast.ledger() == {"g1": "matched"}


# --- what can go wrong ----------------------------------------------------------------------------
def test_a_message_that_is_gone_is_passed_over(cast):
    bccs(cast, 3)
    del cast.gmail.messages["g2"]
    cast.gmail.history = ["g1", "g2", "g3"]
    cast.connection.history_id = "1000"
    cast.connection.save()
    assert cast.sync().outcome == "complete"
    assert cast.ledger() == {"g1": "matched", "g3": "matched"}


@pytest.mark.parametrize("error", [PermanentError("No."), UnexpectedAnswer("What?")])
def test_a_message_that_cannot_be_read_is_tried_three_times(cast, error):
    bccs(cast, 3)
    failing(cast, "message", error, only="g2")
    report = cast.sync()
    assert (report.outcome, report.result.matched, report.result.failed) == ("complete", 2, 1)
    for attempts in (2, 3, 3):
        cast.sync()
        entry = LedgerEntry.objects.get(provider_id="g2")
        assert (entry.outcome, entry.reason) == ("failed", "processing-error")
        assert (entry.attempts, entry.trace["cause"]) == (attempts, str(error))
    assert cast.gmail.fetched.count("g2") == 3
    assert "g2" not in cast.gmail.labelled


def test_one_that_can_be_read_later_is_made_good(cast):
    bccs(cast, 2)
    failing(cast, "message", PermanentError("No."), only="g2")
    cast.sync()
    cast.gmail.before = lambda kind, subject: None
    report = cast.sync()
    assert report.result.matched == 1
    entry = LedgerEntry.objects.get(provider_id="g2")
    assert (entry.user, entry.source, entry.reason) == (cast.mia, "bcc", "matched")
    assert entry.message_id == "<2@x.example>"
    assert DailyCount.objects.get().count == 2
    assert "g2" in cast.gmail.labelled


def test_one_that_turns_out_to_be_known_or_gone_is_no_trouble(cast):
    cast.gmail.deliver("g1", mail())
    cast.gmail.deliver("g2", mail())
    cast.gmail.deliver("g3", mail(message_id="<3@x>"))
    failing(cast, "message", PermanentError("No."), only="g2")
    cast.sync()
    failing(cast, "message", PermanentError("No."), only="g3")
    cast.sync()
    assert LedgerEntry.objects.count() == 2
    assert Email.objects.count() == 2


def test_a_fault_of_ours_in_one_message_stops_nothing_and_logs_no_mail(cast, caplog):
    bccs(cast, 3)
    real = intake_reading.read_message

    def faulty(message, **more):
        if message.id == "g2":
            raise ValueError(message.raw.decode())
        return real(message, **more)

    with mock.patch.object(intake_reading, "read_message", faulty), caplog.at_level(logging.DEBUG):
        report = cast.sync()
    assert (report.outcome, report.result.matched, report.result.failed) == ("complete", 2, 1)
    assert "ValueError" in caplog.text
    assert "here is the offer" not in caplog.text
    assert MIA not in caplog.text
    cast.sync()
    assert cast.ledger()["g2"] == "matched"


@pytest.mark.parametrize(
    "error",
    [TransientError("Later."), ApplicationRejected("Which client?"), ReconnectRequired("No.")],
)
def test_what_concerns_the_whole_mailbox_ends_the_pass_but_keeps_what_was_read(cast, error):
    bccs(cast, 6)
    failing(cast, "message", error, only="g3")
    report = cast.sync()
    assert (report.outcome, report.error) == ("failed", error)
    assert "g3" not in cast.ledger()
    assert set(cast.ledger()) == {"g1", "g2", "g4", "g5", "g6"}
    assert (cast.row.history_id, cast.row.failure_text) == ("", str(error))
    cast.gmail.before = lambda kind, subject: None
    cast.gmail.fetched.clear()
    assert cast.sync().outcome == "complete"
    assert cast.gmail.fetched == ["g3"]
    assert cast.row.history_id == "1006"


def test_a_refused_token_is_told_to_the_admins_once(cast):
    failing(cast, "profile", ReconnectRequired("Google no longer accepts our access."))
    cast.sync()
    cast.sync()
    row = cast.row
    assert (row.rejected_at, row.rejection) == (NOW, "Google no longer accepts our access.")
    assert state_of(row) == "invalid-credentials"
    assert not IntakeConnection.objects.due(NOW + timedelta(days=1)).exists()
    [letter] = outbox.outbox
    assert letter.bcc == ["ada@northsound.example"]
    assert "token" not in letter.body
    cast.gmail.before = lambda kind, subject: None
    cast.sync()
    assert (cast.row.rejected_at, cast.row.rejection) == (None, "")


def test_an_authorisation_that_came_meanwhile_is_not_refused(cast):
    def authorised(kind, subject):
        IntakeConnection.objects.update(authorised_at=NOW + timedelta(seconds=1))
        raise ReconnectRequired("No.")

    cast.gmail.before = authorised
    cast.sync()
    assert cast.row.rejected_at is None
    assert outbox.outbox == []


def test_a_pass_begins_only_where_nobody_else_reads(cast):
    leases.claim(cast.row)
    bccs(cast, 1)
    assert cast.sync().outcome is None
    assert not cast.gmail.asked


@pytest.mark.parametrize("is_first", [True, False])
def test_a_pass_gives_way_to_another_reader(cast, is_first):
    if not is_first:
        cast.sync()

    def taken(kind, subject):
        if kind in {"page", "history"}:
            IntakeConnection.objects.update(lease_holder="elsewhere:1:2:3")

    bccs(cast, 2)
    cast.gmail.before = taken
    assert cast.sync().outcome == "abandoned"
    assert LedgerEntry.objects.count() == Email.objects.count() == 0


def test_a_connection_that_is_deselected_meanwhile_stores_nothing_more(cast):
    cast.sync()
    bccs(cast, 2)

    def deselected(kind: str, subject: str) -> None:
        if kind == "history":
            deselect(cast.row)

    cast.gmail.before = deselected
    assert cast.sync().outcome == "abandoned"
    assert LedgerEntry.objects.count() == 0
    cast.gmail.before = lambda kind, subject: None
    select(cast.row, now=NOW)
    assert cast.sync().result.matched == 2


def test_when_its_time_is_up_the_rest_is_left_to_the_next_pass(cast, settings):
    bccs(cast, intake.BATCH + 5)
    settings.LONGEST_TASK_SECONDS = -1
    report = cast.sync()
    assert (report.outcome, report.result.is_finished) == ("partial", False)
    assert cast.row.history_id == ""
    settings.LONGEST_TASK_SECONDS = 60
    assert cast.sync().outcome == "complete"
    assert LedgerEntry.objects.count() == intake.BATCH + 5


# --- the label ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "error", [TransientError("Later."), PermanentError("No."), ReconnectRequired("No scope.")]
)
def test_a_label_that_cannot_be_put_on_is_no_failure_and_is_tried_again(cast, error):
    bccs(cast, 3)
    failing(cast, "label", error)
    assert cast.sync().outcome == "complete"
    row = cast.row
    assert (row.unlabelled, row.label_failure) == (["g1", "g2", "g3"], str(error))
    assert row.rejected_at is None
    cast.gmail.before = lambda kind, subject: None
    cast.sync()
    assert set(cast.gmail.labelled) == {"g1", "g2", "g3"}
    assert (cast.row.unlabelled, cast.row.label_failure) == ([], "")


def test_labels_are_put_on_many_at_once(cast):
    bccs(cast, 40)
    cast.sync()
    assert cast.gmail.asked["label"] == 1
    assert len(cast.gmail.labelled) == 40


# --- cost -----------------------------------------------------------------------------------------
def test_a_batch_costs_the_same_number_of_queries_whatever_its_size(cast):
    cast.gmail.page_size = 500

    def cost(count: int, start: int) -> int:
        for n in range(start, start + count):
            who = (MIA, "sam@northsound.example")[n % 2]
            fields = {"from_": who, "message_id": f"<{n}@x>", "subject": f"S {n}"}
            kinds = (mail(**fields), forward(**fields), mail(**fields | {"to": STRANGER}))
            cast.gmail.deliver(f"g{n}", kinds[n % 3])
        with CaptureQueriesContext(
            database,
        ) as captured:
            assert cast.sync().outcome == "complete"
        return len(captured)

    cost(6, 1)
    assert cost(30, 100) == cost(6, 200)


def test_an_idle_pass_loads_nobody(cast, django_assert_max_num_queries):
    bccs(cast, 2)
    cast.sync()
    with django_assert_max_num_queries(16), mock.patch.object(intake, "all_people") as people:
        cast.sync()
    people.assert_not_called()


# --- retention ------------------------------------------------------------------------------------
def test_what_expires_takes_its_question_along(cast):
    entry = cast.deliver(mail(results=None))
    LedgerEntry.objects.update(processed_at=NOW - timedelta(days=4000))
    assert expire_ledger() == 1
    entry.refresh_from_db()
    assert (entry.subject, entry.from_address, entry.trace) == ("", "", {})
    review = IntakeReview.objects.get()
    assert (review.extracted, review.decision, review.decided_by) == ({}, "dismissed", None)
    cast.gmail.fetched.clear()
    cast.connection.history_id = ""
    IntakeConnection.objects.update(history_id="")
    cast.sync()
    assert cast.gmail.fetched == []
