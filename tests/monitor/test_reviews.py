"""The review list: each decision by the browser, what it says came of it, and who decided."""

from datetime import UTC, datetime

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry, User
from crm_sync.providers.errors import TransientError
from email_sync import reviewing
from email_sync.models import Email, IntakeReview, LedgerEntry, TrustedSender
from monitor.review_views import REVIEWS_PER_PAGE
from tests.accounts.cast import HTMX
from tests.email_factories import LedgerEntryFactory
from tests.email_sync.fake_gateway import NOW
from tests.email_sync.fake_gmail import ANA, MIA, forward, mail
from tests.email_sync.intake_cast import IntakeCast, make_cast

LIST = "/integration/intake-reviews/"
TRUSTED = "/integration/trusted-senders/"
SECRET_WORDS = "the shade of grey that nobody may see"
UNPROVED = mail(results="mx.google.com; dmarc=fail", text=SECRET_WORDS)
UNSURE = forward(original_from="Ana Sato", original_text=SECRET_WORDS)
UNKNOWN = mail(from_="mia@home.example", results="mx.google.com; dmarc=fail", text=SECRET_WORDS)


@pytest.fixture
def cast(db, monkeypatch) -> IntakeCast:
    cast = make_cast()
    monkeypatch.setattr(reviewing, "gmail", lambda connection: cast.gmail)
    monkeypatch.setattr("accounts.system_settings.current", lambda: cast.settings)
    return cast


@pytest.fixture
def ada(cast, client: Client) -> Client:
    client.force_login(cast.admin)
    return client


def page_of(review: IntakeReview) -> str:
    return f"{LIST}{review.pk}/"


def decide(cast: IntakeCast, client: Client, decision: str, **values: object) -> str:
    """Decide about the one open review; what the next page says."""
    review = cast.review()
    response = client.post(page_of(review), {"decision": decision, **values}, follow=True)
    return " ".join(str(message) for message in response.context["messages"])


def words_of(client: Client, url: str) -> str:
    return " ".join(client.get(url).content.decode().replace("&#x27;", "'").split())


# --- who ------------------------------------------------------------------------------------------
def test_only_admins_see_and_decide(cast, client):
    cast.deliver(UNPROVED)
    review = cast.review()
    for user in (cast.mia, User.objects.create(username="lena", role=User.Role.MANAGER)):
        client.force_login(user)
        for url in (LIST, page_of(review), TRUSTED):
            assert client.get(url).status_code == 404
        for url in (page_of(review), page_of(review) + "reopen/", TRUSTED + "1/remove/"):
            assert client.post(url, {"decision": "approve"}).status_code == 404
    assert cast.review() == review
    assert not Email.objects.exists()


def test_a_get_decides_nothing(cast, ada):
    cast.deliver(UNPROVED)
    review = cast.review()
    ada.get(page_of(review), {"decision": "approve"})
    assert ada.get(page_of(review) + "reopen/").status_code == 405
    assert ada.get(TRUSTED + "1/remove/").status_code == 405
    assert cast.review() == review


# --- the list -------------------------------------------------------------------------------------
def test_an_empty_list_says_what_it_will_show(ada):
    assert "Nothing waits for a decision" in words_of(ada, LIST)
    assert "Nothing was decided yet" in words_of(ada, LIST + "?tab=decided")
    assert "Nothing of this kind" in words_of(ada, LIST + "?kind=forward")
    assert "No address is trusted without proof" in words_of(ada, TRUSTED)


def test_it_shows_what_was_read_and_never_the_text(cast, ada):
    for number, raw in enumerate((UNPROVED, UNSURE, UNKNOWN)):
        cast.deliver(raw, f"g{number}")
    page = words_of(ada, LIST)
    for words in ("Sender not proved", "Forward not understood", "Sender not registered"):
        assert page.count(words) == 2  # the row, and the filter
    assert "mia@home.example" in page
    assert SECRET_WORDS not in page
    for review in IntakeReview.objects.all():
        assert SECRET_WORDS not in words_of(ada, page_of(review))


def test_it_is_narrowed_to_a_kind(cast, ada):
    cast.deliver(UNPROVED, "g1")
    cast.deliver(UNSURE, "g2")
    found = ada.get(LIST, {"kind": "forward"}).context["page"].object_list
    assert [review.kind for review in found] == ["forward"]
    assert len(ada.get(LIST, {"kind": "nonsense"}).context["page"].object_list) == 2


def test_pages_and_a_fixed_number_of_queries(cast, ada):
    def make(number: int) -> None:
        for _ in range(number):
            entry = LedgerEntryFactory(user=cast.mia, source="fwd", intake=cast.connection)
            IntakeReview.objects.create(entry=entry, kind="forward", extracted={"subject": "S"})

    make(2)
    with CaptureQueriesContext(database) as few:
        ada.get(LIST)
    make(REVIEWS_PER_PAGE)
    with CaptureQueriesContext(database) as many:
        first = ada.get(LIST)
    assert len(many) == len(few)
    assert len(first.context["page"].object_list) == REVIEWS_PER_PAGE
    assert len(ada.get(LIST, {"page": 2}).context["page"].object_list) == 2


# --- a sender that is not proved ------------------------------------------------------------------
def test_approving_says_what_came_of_it(cast, ada):
    cast.deliver(UNPROVED)
    page = words_of(ada, page_of(cast.review()))
    assert "It says that it is from Mia Berg, but Gmail could not prove it." in page
    assert decide(cast, ada, "approve") == "Matched: Lumen · Ana."
    assert Email.objects.get().user == cast.mia
    assert not TrustedSender.objects.exists()
    audit = AuditEntry.objects.get()
    assert (audit.actor, audit.owner) == (cast.admin, cast.mia)
    assert audit.about == "Sender not proved: Approved"


def test_trusting_is_on_record_and_can_be_taken_back(cast, ada):
    cast.deliver(UNPROVED)
    decide(cast, ada, "trust")
    trusted = TrustedSender.objects.get()
    assert (trusted.address, trusted.user, trusted.trusted_by) == (MIA, cast.mia, cast.admin)
    assert MIA in words_of(ada, TRUSTED)
    decided = words_of(ada, LIST + "?tab=decided")
    assert "Approved, and trusted from now on" in decided
    assert "Ada" in decided

    response = ada.post(f"{TRUSTED}{trusted.pk}/remove/", follow=True)
    assert f"{MIA} is no longer trusted" in response.content.decode()
    assert not TrustedSender.objects.exists()
    cast.deliver(mail(results="mx.google.com; dmarc=fail", message_id="<2@x.example>"), "g2")
    assert cast.ledger()["g2"] == "sender-not-authenticated"


# --- a forward that was not understood ------------------------------------------------------------
def test_a_forward_shows_how_it_was_read_and_how_sure_it_is(cast, ada):
    cast.deliver(UNSURE)
    page = words_of(ada, page_of(cast.review()))
    assert "By the lines From, To, Date and Subject below a separator." in page
    assert "not sure (" in page


def test_a_correction_matches_again(cast, ada):
    cast.deliver(UNSURE)
    assert decide(cast, ada, "correct", sender=ANA, date="") == "Matched: Lumen · Ana."
    review = IntakeReview.objects.get()
    assert review.correction == {"from": ANA, "date": ""}
    assert "The sender was put right: ana@lumen.example." in words_of(ada, page_of(review))


def test_a_correction_that_matches_nobody_says_why(cast, ada):
    cast.deliver(UNSURE)
    words = decide(cast, ada, "correct", sender="nobody@elsewhere.example", date="")
    assert words == "Not matched: No contact has the address nobody@elsewhere.example."
    assert not Email.objects.exists()


def test_a_date_is_in_the_readers_zone(cast, ada):
    User.objects.filter(pk=cast.admin.pk).update(time_zone="America/New_York")
    cast.deliver(UNSURE)
    decide(cast, ada, "correct", sender=ANA, date="2026-11-18T09:30")
    assert Email.objects.get().sent_at == datetime(2026, 11, 18, 14, 30, tzinfo=UTC)


def test_a_date_that_was_left_alone_is_no_correction(cast, ada):
    cast.deliver(UNSURE)
    review = cast.review()
    response = ada.get(page_of(review))
    shown = response.context["form"]["date"].value()
    assert shown is not None
    decide(cast, ada, "correct", sender=ANA, date=f"{shown:%Y-%m-%dT%H:%M}")
    review.refresh_from_db()
    assert review.correction == {"from": ANA, "date": ""}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"sender": ""}, "Type the address of the person who wrote the original."),
        ({"sender": "Ana"}, "This is not an email address."),
        ({"sender": ANA, "date": "soon"}, "This is not a date and time."),
    ],
)
def test_a_slip_is_named_in_the_dialog_and_decides_nothing(cast, ada, values, sentence):
    cast.deliver(UNSURE)
    review = cast.review()
    response = ada.post(page_of(review), {"decision": "correct", **values}, headers=HTMX)
    assert sentence in response.content.decode()
    assert cast.review() == review


# --- an address that nobody has -------------------------------------------------------------------
def test_an_alias_is_added_and_the_next_question_is_named(cast, ada):
    cast.deliver(UNKNOWN)
    words = decide(cast, ada, "alias", user=cast.mia.pk)
    assert words == "Decided, and there is one more question: sender not proved."
    assert [alias.address for alias in cast.mia.aliases.all()] == ["mia@home.example"]
    assert decide(cast, ada, "approve") == "Matched: Lumen · Ana."
    about = set(AuditEntry.objects.values_list("about", flat=True))
    assert "Added an alias from the intake's review" in about


def test_somebody_must_be_chosen(cast, ada):
    cast.deliver(UNKNOWN)
    response = ada.post(page_of(cast.review()), {"decision": "alias"})
    assert "Choose whose address it is." in response.content.decode()
    assert cast.review()


def test_an_alias_of_somebody_else_stays_theirs(cast, ada):
    cast.deliver(UNKNOWN)
    cast.sam.aliases.create(address="mia@home.example")
    assert "another user's alias already" in decide(cast, ada, "alias", user=cast.mia.pk)
    assert not cast.mia.aliases.exists()


def test_trying_again_without_an_alias_says_what_is_missing(cast, ada):
    cast.deliver(UNKNOWN)
    assert "Add it to the aliases" in decide(cast, ada, "retry")
    assert cast.review()


def test_that_the_alias_stays_although_google_is_away_is_said(cast, ada):
    cast.deliver(UNKNOWN)

    def away(kind: str, subject: str) -> None:
        raise TransientError("Google is away.")

    cast.gmail.before = away
    assert decide(cast, ada, "alias", user=cast.mia.pk) == "The alias is added. Google is away."
    assert cast.mia.aliases.exists()
    assert cast.review()


# --- several that it could be ---------------------------------------------------------------------
def test_the_original_is_chosen_among_those_there_are(cast, ada):
    first, second = (
        Email.objects.create(
            user=cast.mia, message_key=f"k{number}", thread_key="t", direction="received",
            subject="Logo files", sent_at=NOW,
        )
        for number in (1, 2)
    )  # fmt: skip
    entry = cast.deliver(forward())
    IntakeReview.objects.create(
        entry=entry, kind="duplicate", extracted={"emails": [first.pk, second.pk]}
    )
    page = ada.get(page_of(cast.review()))
    assert len(page.context["form"]["original"]) == 3
    response = ada.post(page_of(cast.review()), {"decision": "choose", "original": "99999"})
    assert "no longer there" in response.content.decode()
    decide(cast, ada, "choose", original=str(second.pk))
    review = IntakeReview.objects.get()
    assert (review.decision, review.correction) == ("chosen", {"email": second.pk})


# --- dismissing -----------------------------------------------------------------------------------
def test_dismissing_can_be_undone(cast, ada):
    cast.deliver(UNPROVED)
    review = cast.review()
    assert "/reopen/" in decide(cast, ada, "dismiss")
    assert not IntakeReview.objects.open().exists()
    response = ada.post(page_of(review) + "reopen/", follow=True)
    assert "waits for a decision again" in response.content.decode()
    assert cast.review() == review
    assert cast.review().decided_by is None


@pytest.mark.parametrize("decision", ["approve", "trust"])
def test_only_a_dismissal_can_be_undone(cast, ada, decision):
    cast.deliver(UNPROVED)
    review = cast.review()
    decide(cast, ada, decision)
    response = ada.post(page_of(review) + "reopen/", follow=True)
    assert "can no longer be undone" in response.content.decode()
    assert not IntakeReview.objects.open().exists()


def test_what_was_emptied_meanwhile_stays_dismissed(cast, ada):
    cast.deliver(UNPROVED)
    review = cast.review()
    decide(cast, ada, "dismiss")
    IntakeReview.objects.all().empty(now=NOW)
    ada.post(page_of(review) + "reopen/")
    assert not IntakeReview.objects.open().exists()
    assert "was removed when the time to keep it was over" in words_of(ada, page_of(review))


def test_a_dismissal_with_a_newer_question_stays(cast, ada):
    entry = cast.deliver(UNPROVED)
    review = cast.review()
    decide(cast, ada, "dismiss")
    newer = IntakeReview.objects.create(entry=entry, kind="forward", extracted={"subject": "S"})
    ada.post(page_of(review) + "reopen/")
    assert cast.review() == newer


# --- once -----------------------------------------------------------------------------------------
def test_a_decision_is_made_once(cast, ada):
    cast.deliver(UNPROVED)
    review = cast.review()
    decide(cast, ada, "approve")
    for decision in ("approve", "trust", "dismiss", "retry", "correct", "nonsense"):
        ada.post(page_of(review), {"decision": decision, "sender": ANA})
    assert IntakeReview.objects.get().decision == "approved"
    assert not TrustedSender.objects.exists()
    assert AuditEntry.objects.count() == 1


@pytest.mark.parametrize("decision", ["", "correct", "choose", "alias", "nonsense"])
def test_what_does_not_fit_the_kind_decides_nothing(cast, ada, decision):
    cast.deliver(UNPROVED)
    review = cast.review()
    response = ada.post(page_of(review), {"decision": decision, "sender": ANA, "user": "1"})
    assert response.status_code == 200
    assert cast.review() == review


def test_a_refusal_is_said_on_the_page_and_changes_nothing(cast, ada):
    cast.deliver(UNPROVED)
    cast.gmail.messages.clear()
    assert "no longer in the Gmail mailbox" in decide(cast, ada, "approve")
    assert LedgerEntry.objects.get().reason == "sender-not-authenticated"
    assert not AuditEntry.objects.exists()
    assert cast.review().extracted["to"] == [ANA]
