"""One message that comes in several ways is one email, in whatever order they come."""

from datetime import timedelta
from itertools import permutations
from unittest import mock

import pytest
from django.utils import timezone

from accounts.models import MyContact
from email_sync.exporting import email_rows
from email_sync.models import DailyCount, Email, EmailParticipant, IntakeReview, LedgerEntry
from email_sync.queries import sources_of
from email_sync.sync import sync_mailbox
from tests.email_sync.conftest import connect
from tests.email_sync.fake_gateway import NOW, FakeGateway, headers
from tests.email_sync.fake_gmail import ANA, CAPTURE, MIA, forward, mail
from tests.email_sync.intake_cast import make_cast

SENT = NOW - timedelta(hours=2)
LOGO = "Dear Mia, please find our logo files attached, in three sizes."
LOGO_AT = NOW - timedelta(days=1)


@pytest.fixture
def cast(db):
    cast = make_cast()
    cast.mailbox = connect(cast.mia, MIA)
    cast.nylas = FakeGateway(page_size=50)
    return cast


def sync_mail(cast):
    row = cast.mailbox.syncs.select_related("mailbox__user").get(kind="email")
    with mock.patch.object(timezone, "now", return_value=cast.now):
        report = sync_mailbox(row, gateway=cast.nylas, settings=cast.settings)
    assert report.error is None


def nylas(cast, *, text: str, **fields):
    """A copy in the rep's own mailbox."""

    def arrive():
        message = headers(**fields)
        cast.nylas.add(message)
        cast.nylas.bodies[message.id] = f"<div>{text}</div>"
        sync_mail(cast)

    return arrive


def gmail(cast, id, raw):
    def arrive():
        cast.gmail.deliver(id, raw)
        assert cast.sync().error is None

    return arrive


def offer_ways(cast):
    """The rep's offer: its Sent copy with a Bcc list, and a BCC to the intake."""
    text = "Dear Ana, here is the offer of which we spoke."
    return {
        "nylas": nylas(
            cast, id="n1", from_=MIA, to=(ANA,), bcc=("kim@harbor.example", CAPTURE), text=text,
            subject="Offer", message_id="<offer@northsound.example>", folder="SENT",
            received_at=SENT + timedelta(seconds=3),
        ),
        "bcc": gmail(cast, "g1", mail(sent_at=SENT)),
        "fwd": gmail(
            cast, "g2", mail(to=CAPTURE, subject="Fwd: Offer", message_id="<f@x>",
                             attached=[mail(sent_at=SENT)])),
    }  # fmt: skip


def logo_ways(cast):
    """Ana's message: in the rep's inbox, forwarded in the text (twice), and as an attachment."""
    original = mail(
        from_=f"Ana Sato <{ANA}>", to=f"Mia Berg <{MIA}>", subject="Logo files", text=LOGO,
        message_id="<logo@lumen.example>", sent_at=LOGO_AT,
    )  # fmt: skip
    return {
        "nylas": nylas(
            cast, id="n2", from_=ANA, to=(MIA,), subject="Logo files", text=LOGO,
            message_id="<logo@lumen.example>", received_at=LOGO_AT + timedelta(seconds=2),
        ),
        "inline": gmail(cast, "g3", forward(message_id="<f1@x>")),
        "again": gmail(cast, "g4", forward(message_id="<f2@x>", note="Once more.")),
        "attached": gmail(
            cast, "g5", mail(to=CAPTURE, subject="Fwd: Logo files", message_id="<f3@x>",
                             attached=[original])),
    }  # fmt: skip


def outcome(cast):
    """All that a user could see of it, but for what says when it was stored."""
    sync_mail(cast)
    cast.sync()
    [email] = Email.objects.all()
    counts = DailyCount.objects.filter(outcome="matched").values_list("count", flat=True)
    entries = LedgerEntry.objects.filter(reason="matched")
    assert all(entry.email == email for entry in entries)
    return {
        "email": (email.message_id, email.message_key, email.subject, email.direction,
                  email.sent_at, email.body_text, email.is_inline, email.thread_key),
        "people": sorted(email.participants.values_list("role", "address")),
        "contacts": sorted(email.links.values_list("contact__first_name", flat=True)),
        "sources": sources_of(email),
        "entries": sorted(entries.values_list("source", "message_id", "direction")),
        "counted": sum(counts),
        "exported": next(iter(email_rows(Email.objects.all())))["sources"],
        "reviews": IntakeReview.objects.count(),
    }  # fmt: skip


@pytest.mark.parametrize("order", list(permutations(["nylas", "bcc", "fwd"])))
def test_the_reps_offer_is_one_email_in_any_order(cast, order):
    ways = offer_ways(cast)
    for way in order:
        ways[way]()
    found = outcome(cast)
    assert found["sources"] == ["Nylas", "BCC", "FWD"]
    assert (found["counted"], found["reviews"]) == (1, 0)
    # The copy in the rep's mailbox owns the time, the thread and the Bcc list.
    assert found["email"][4] == SENT + timedelta(seconds=3)
    assert ("bcc", "kim@harbor.example") in found["people"]
    assert Email.objects.get().provider_thread_id == "thread-n1"
    assert found["contacts"] == ["Ana", "Kim"]


@pytest.mark.parametrize("order", list(permutations(["nylas", "inline", "again", "attached"])))
def test_the_customers_message_is_one_email_in_any_order(cast, order):
    ways = logo_ways(cast)
    for way in order:
        ways[way]()
    found = outcome(cast)
    assert (found["sources"], found["exported"]) == (["Nylas", "FWD"], ["fwd", "nylas"])
    assert (found["counted"], found["reviews"]) == (1, 0)
    assert found["email"][0] == "<logo@lumen.example>"
    assert found["email"][4] == LOGO_AT + timedelta(seconds=2)
    assert not found["email"][6]
    assert found["people"] == [("from", ANA), ("to", MIA)]
    assert len(found["entries"]) == 4


def test_all_in_one_pass_are_one_too(cast):
    ways = logo_ways(cast)
    with mock.patch.object(type(cast), "sync", return_value=mock.Mock(error=None)):
        for way in ("inline", "attached", "again"):
            ways[way]()
    cast.sync()
    ways["nylas"]()
    assert outcome(cast)["counted"] == 1


def test_a_forward_in_the_text_is_an_email_of_its_own_until_the_message_is_there(cast):
    ways = logo_ways(cast)
    ways["inline"]()
    assert Email.objects.get().is_inline
    assert Email.objects.get().message_id == ""
    key = Email.objects.get().pk
    ways["nylas"]()
    email = Email.objects.get()
    assert (email.pk, email.is_inline, email.message_id) == (key, False, "<logo@lumen.example>")
    entry = LedgerEntry.objects.get(source="fwd")
    assert (entry.email, entry.message_id) == (email, "<f1@x>")


def test_one_deleted_in_the_crm_stays_deleted_whichever_way_it_comes(cast):
    ways = logo_ways(cast)
    ways["inline"]()
    Email.objects.all().hide(now=NOW)
    for way in ("nylas", "again", "attached"):
        ways[way]()
    assert Email.objects.filter(hidden_at=None).count() == 0
    assert Email.objects.count() == 1
    later = LedgerEntry.objects.exclude(message_id="<f1@x>")
    assert set(later.values_list("reason", flat=True)) == {"deleted-in-crm"}


def copies(cast, *hours, **fields):
    """Messages from Ana that say the same, so many hours before the one that is forwarded."""
    for number, before in enumerate(hours):
        nylas(
            cast, id=f"c{number}", message_id=f"<c{number}@lumen.example>", to=(MIA,),
            **{"from_": ANA, "subject": "Logo files", "text": LOGO,
               "received_at": LOGO_AT - timedelta(hours=before)} | fields,
        )()  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "is_same"),
    [
        ({}, True),
        ({"subject": "Re: Logo files"}, True),
        ({"text": f"{LOGO}<br>--<br>Ana Sato"}, False),
        ({"subject": "Logo file"}, False),
        ({"from_": "kim@harbor.example"}, False),
        ({"received_at": LOGO_AT + timedelta(hours=13, minutes=59)}, True),
        ({"received_at": LOGO_AT - timedelta(hours=13, minutes=59)}, True),
        ({"received_at": LOGO_AT + timedelta(hours=14, minutes=1)}, False),
        ({"received_at": LOGO_AT - timedelta(hours=14, minutes=1)}, False),
    ],
)
@pytest.mark.parametrize("is_forward_first", [True, False])
def test_what_makes_a_forward_in_the_text_a_certain_message(
    cast, fields, is_same, is_forward_first
):
    ways = logo_ways(cast)
    if is_forward_first:
        ways["inline"]()
    copies(cast, 0, **fields)
    if not is_forward_first:
        ways["inline"]()
    assert Email.objects.count() == (1 if is_same else 2)


def test_several_that_it_could_be_are_a_question(cast):
    copies(cast, 0, 3)
    logo_ways(cast)["inline"]()
    entry = LedgerEntry.objects.get(source="fwd")
    assert (entry.user, entry.outcome, entry.reason) == (cast.mia, "unmatched", "several-originals")
    assert (entry.email, entry.contacts) == (None, [ANA])
    review = IntakeReview.objects.get()
    assert (review.kind, review.entry) == ("duplicate", entry)
    assert sorted(review.extracted["emails"]) == sorted(Email.objects.values_list("pk", flat=True))
    assert Email.objects.count() == 2


def test_a_copy_that_takes_an_email_over_is_only_one_of_those_that_say_the_same(cast):
    logo_ways(cast)["inline"]()
    copies(cast, 1, 2)
    assert Email.objects.count() == 2
    assert not Email.objects.filter(is_inline=True).exists()


def test_nothing_is_ever_shared_between_users(cast):
    MyContact.objects.flag(cast.sam, [cast.ana])
    ways = logo_ways(cast)
    ways["nylas"]()
    ways["inline"]()
    gmail(cast, "s1", forward(from_="sam@northsound.example", message_id="<s1@x>"))()
    assert Email.objects.filter(user=cast.mia).count() == 1
    assert Email.objects.filter(user=cast.sam).count() == 1
    raw = mail(from_="sam@northsound.example", to=CAPTURE, message_id="<s2@x>", subject="Fwd: x",
               attached=[mail(from_=ANA, to=MIA, subject="Logo files", text=LOGO,
                              message_id="<logo@lumen.example>", sent_at=LOGO_AT)])  # fmt: skip
    gmail(cast, "s2", raw)()
    assert Email.objects.filter(user=cast.mia).count() == 1
    # Sam's own forward in the text became that message.
    assert Email.objects.get(user=cast.sam).message_id == "<logo@lumen.example>"


def test_nor_where_two_users_forward_the_same_in_one_pass(cast):
    MyContact.objects.flag(cast.sam, [cast.ana])
    original = mail(from_=ANA, to=MIA, subject="Logo files", text=LOGO, sent_at=LOGO_AT,
                    message_id="<logo@lumen.example>")  # fmt: skip
    for number, sender in enumerate(("sam@northsound.example", MIA)):
        raw = forward(from_=sender, message_id=f"<i{number}@x>")
        cast.gmail.deliver(f"i{number}", raw)
        raw = mail(from_=sender, to=CAPTURE, message_id=f"<a{number}@x>", attached=[original])
        cast.gmail.deliver(f"a{number}", raw)
    assert cast.sync().error is None
    assert [e.user for e in Email.objects.order_by("user_id")] == [cast.mia, cast.sam]
    assert set(Email.objects.values_list("message_id", flat=True)) == {"<logo@lumen.example>"}
    for entry in LedgerEntry.objects.all():
        assert entry.email.user == entry.user


def test_a_known_conversation_of_the_provider_is_that_of_the_bcc_too(cast):
    nylas(cast, id="n0", from_=ANA, to=(MIA,), subject="Enquiry", text="Hello.",
          message_id="<q@lumen.example>", thread_id="T")()  # fmt: skip
    gmail(cast, "g1", mail())()
    bcc = Email.objects.get(message_id="<offer@northsound.example>")
    assert bcc.thread_key != Email.objects.get(subject="Enquiry").thread_key
    nylas(cast, id="n1", from_=MIA, to=(ANA,), subject="Offer", text="Dear Ana", thread_id="T",
          message_id="<offer@northsound.example>", folder="SENT")()  # fmt: skip
    assert len(set(Email.objects.values_list("thread_key", flat=True))) == 1


def test_a_forward_belongs_to_the_conversation_that_it_refers_to(cast):
    raw = forward(references="<root@lumen.example> <logo@lumen.example>",
                  in_reply_to="<logo@lumen.example>")  # fmt: skip
    gmail(cast, "g3", raw)()
    key = Email.objects.get().thread_key
    nylas(cast, id="r", from_=ANA, to=(MIA,), subject="Re: Logo files", text="And?",
          message_id="<r@lumen.example>", references=("<root@lumen.example>",))()  # fmt: skip
    assert Email.objects.get(subject="Re: Logo files").thread_key == key


def test_the_own_copy_of_a_forward_is_just_another_message(cast):
    """The rep's Sent folder has the forward too: it is to the intake, so it matches nobody."""
    nylas(cast, id="n9", from_=MIA, to=(CAPTURE,), subject="Fwd: Logo files", text="x",
          message_id="<f1@x>", folder="SENT")()  # fmt: skip
    logo_ways(cast)["inline"]()
    assert Email.objects.count() == 1
    assert not EmailParticipant.objects.filter(address=CAPTURE).exists()
    reasons = dict(LedgerEntry.objects.values_list("source", "reason"))
    assert reasons["fwd"] == "matched"
    assert reasons["nylas"] in {"unknown-address", "internal-only"}


def test_names_of_the_mailbox_copy_do_not_double_people(cast):
    offer_ways(cast)["bcc"]()
    nylas(cast, id="n1", from_=MIA, to=(), subject="Offer", text="x", folder="SENT",
          message_id="<offer@northsound.example>")()  # fmt: skip
    email = Email.objects.get()
    assert sorted(email.participants.values_list("role", "address")) == [("from", MIA), ("to", ANA)]
