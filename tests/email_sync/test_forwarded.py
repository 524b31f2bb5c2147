"""What `email_sync.forwarded` decides. How mail programs write is in `tests/data/forwarded`."""

import logging
import time
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_sync.providers.types import Address
from email_sync import forwarded
from email_sync.forwarded import UNSURE
from tests.fuzz import fuzz_forwarded

MAILBOX = "crm.intake@northsound.example"
ANA = Address("ana@lumen.example", "Ana Li")
MIA = Address("mia@northsound.example", "Mia Berg")
HEADER = """From: Ana Li <ana@lumen.example>
Sent: Wednesday, 19 April 2023 16:42
To: Mia Berg <mia@northsound.example>
Subject: Spring
"""
BELOW = "\nWe take the back cover.\n\nBest, Ana\n"


def mail(
    text: str = "", *, html: str = "", subject: str = "FW: Spring", to: str = MAILBOX
) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = "Mia Berg <mia@northsound.example>"
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = "Thu, 20 Apr 2023 10:00:00 +0200"
    if text or not html:
        message.set_content(text)
        if html:
            message.add_alternative(html, subtype="html")
    else:
        message.set_content(html, subtype="html")
    return message


def as_quoted(text: str) -> str:
    return "".join(f"> {line}\n" for line in text.splitlines())


def parse(message: EmailMessage | bytes) -> forwarded.Forwarded:
    raw = message if isinstance(message, bytes) else message.as_bytes()
    return forwarded.parse(raw, mailbox=MAILBOX)


def only(found: forwarded.Forwarded) -> forwarded.Original:
    [original] = found.originals
    return original


# --- what is found --------------------------------------------------------------------------------


def test_everything_the_header_says_is_read():
    found = parse(mail(f"FYI, Ana wants it.\n\n-- \nMia\n\n{HEADER}{BELOW}"))
    assert found.message == "FYI, Ana wants it.\n\n--\nMia"
    assert only(found) == forwarded.Original(
        from_=ANA,
        to=(MIA,),
        subject="Spring",
        date=datetime(2023, 4, 19, 14, 42, tzinfo=UTC),
        date_text="Wednesday, 19 April 2023 16:42",
        has_zone=False,
        body="We take the back cover.\n\nBest, Ana",
    )


def test_a_date_without_a_zone_is_in_that_of_the_forwards_own_date():
    date = only(parse(mail(HEADER + BELOW))).date
    assert date is not None
    assert date.utcoffset() == timedelta(hours=2)


def test_a_date_without_a_zone_is_utc_where_the_forward_has_no_date():
    message = mail(HEADER + BELOW)
    del message["Date"]
    assert only(parse(message)).date == datetime(2023, 4, 19, 16, 42, tzinfo=UTC)


def test_a_subject_that_the_header_lacks_is_that_of_the_forward():
    header = HEADER.replace("Subject: Spring\n", "")
    assert only(parse(mail(header + BELOW, subject="Fwd: RE: Offer"))).subject == "RE: Offer"


def test_attachments_of_an_inline_forward_are_the_originals():
    message = mail(HEADER + BELOW)
    message.add_attachment(b"abc", maintype="application", subtype="pdf", filename="a.pdf")
    assert [one.name for one in only(parse(message)).attachments] == ["a.pdf"]


def test_the_html_of_the_original_begins_below_its_header():
    html = (
        "<div>FYI</div><hr><div id='divRplyFwdMsg'>"
        "<b>From:</b> Ana Li &lt;ana@lumen.example&gt;<br>"
        "<b>Sent:</b> Wednesday, 19 April 2023 16:42<br><b>To:</b> Mia Berg<br>"
        "<b>Subject:</b> Spring</div><div><p>We take <b>the</b> back cover.</p></div>"
    )
    found = parse(mail(html=html))
    assert (found.method, found.confidence) == ("outlook-html", forwarded.IN_MARKUP)
    assert found.message == "FYI"
    assert only(found).body == "We take the back cover."
    assert only(found).body_html.strip() == "</div><div><p>We take <b>the</b> back cover.</p></div>"


def test_what_the_rep_wrote_below_a_quoted_original_is_not_the_originals():
    quoted = as_quoted(f"Begin forwarded message:\n\n{HEADER}{BELOW}")
    original = only(parse(mail(f"FYI\n\n{quoted}\n\nMia, from her phone")))
    assert original.body == "We take the back cover.\n\nBest, Ana"


# --- whose it is ----------------------------------------------------------------------------------


def test_the_outermost_of_nested_forwards_wins_and_keeps_the_inner_one():
    inner = (
        "---------- Forwarded message ---------\nFrom: Kim Doe <kim@harbor.example>\n"
        "Date: Tue, 18 Apr 2023 at 09:00\nSubject: Spring\nTo: Ana Li <ana@lumen.example>\n"
        "\nHello Ana"
    )
    original = only(parse(mail(f"{HEADER}\nSee below\n\n{inner}")))
    assert original.from_ == ANA
    assert original.body == f"See below\n\n{inner}"


def test_an_outer_sender_without_an_address_is_not_replaced_by_an_inner_one():
    outer = HEADER.replace(" <ana@lumen.example>", "")
    found = parse(mail(f"{outer}\nSee below\n\n{HEADER.replace('ana@', 'kim@')}{BELOW}"))
    assert only(found).from_ == Address("", "Ana Li")
    assert found.confidence <= UNSURE


def test_an_inner_header_below_the_remains_of_another_credits_nobody():
    remains = "".join(HEADER.splitlines(keepends=True)[1:])
    found = parse(mail(f"{remains}\nSee below\n\n{HEADER.replace('ana@', 'kim@')}{BELOW}"))
    assert found.confidence <= UNSURE


def test_an_unreadable_header_below_a_separator_is_not_replaced_by_an_inner_one():
    found = parse(mail(f"---------- Forwarded message ---------\n???\n\nHi\n\n{HEADER}{BELOW}"))
    assert found.forwarded
    assert only(found).from_ is None
    assert found.confidence <= UNSURE


def test_text_and_html_that_name_different_senders_credit_nobody():
    html = f"<pre>{HEADER.replace('ana@', 'kim@').replace('<', '&lt;')}</pre><p>Hi</p>"
    assert parse(mail(HEADER + BELOW, html=html)).confidence <= UNSURE
    same = f"<pre>{HEADER.replace('<', '&lt;')}</pre><p>Hi</p>"
    assert parse(mail(HEADER + BELOW, html=same)).confidence > UNSURE


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "Ana Li",
        "Ana Li <ana@lumen>",
        "Ana Li <an=a@lumen.example>",
        "ana@lumen.example, kim@harbor.example",
        f"Intake <{MAILBOX}>",
    ],
)
def test_a_sender_who_may_be_nobody_or_two_is_unsure(sender):
    header = HEADER.replace("Ana Li <ana@lumen.example>", sender)
    assert (
        parse(mail(f"---------- Forwarded message ---------\n{header}{BELOW}")).confidence <= UNSURE
    )


def test_the_forwards_own_header_is_not_the_originals():
    # A line without a colon broke the header, and the rest of it fell into the body.
    spilled = (
        f"From: Mia Berg <mia@northsound.example>\nTo: {MAILBOX}\nSubject: FW: Spring\n"
        "Date: Thu, 20 Apr 2023 10:00:00 +0200\n"
    )
    found = parse(mail(f"{spilled}\nFYI\n\n{HEADER}{BELOW}"))
    assert only(found).from_ == ANA
    assert not parse(mail(f"{spilled}\nFYI\n")).forwarded


def test_a_lost_line_end_does_not_move_the_sender():
    found = parse(mail(HEADER.replace("\nSent", " Sent").replace("\nTo", " To") + BELOW))
    assert only(found).from_ == ANA
    joined = HEADER.replace("Sent: Wednesday, 19 April 2023 16:42\n", "").replace("\nTo", " To")
    original = only(parse(mail(f"-------- Forwarded Message --------\n{joined}{BELOW}")))
    assert (original.from_, original.to) == (ANA, (MIA,))


def test_a_forwarded_conversation_is_its_first_message():
    text = (
        "---------- Forwarded Conversation ----------\nSubject: Spring\n"
        "------------------------\n\nFrom: Ana Li <ana@lumen.example>\nDate: Wed, Apr 19, 2023 at "
        "4:42 PM\nTo: Mia Berg <mia@northsound.example>\n\nHi Mia\n\n----------\n"
        "From: Kim Doe <kim@harbor.example>\nDate: Wed, Apr 19, 2023 at 5:00 PM\n"
        "To: Ana Li <ana@lumen.example>\n\nHi both"
    )
    original = only(parse(mail(text)))
    assert (original.from_, original.subject) == (ANA, "Spring")
    assert original.body.startswith("Hi Mia")


# --- what is a forward ----------------------------------------------------------------------------


@pytest.mark.parametrize("subject", ["FW: Spring", "Spring", "WG: Spring", "[EXT] Fwd: Spring"])
def test_a_header_is_a_forward_with_and_without_a_prefix(subject):
    assert only(parse(mail(HEADER + BELOW, subject=subject))).from_ == ANA


@pytest.mark.parametrize("subject", ["Re: Spring", "SV: Spring", "RE: FW: Spring", "Re[2]: Spring"])
def test_the_same_header_below_a_reply_is_a_quotation(subject):
    assert parse(mail(f"Thanks!\n\n{HEADER}{BELOW}", subject=subject)) == forwarded.Forwarded(False)


def test_a_prefix_with_two_meanings_is_read_in_the_language_of_the_header():
    finnish = (
        "Lähettäjä: Ana <ana@lumen.example>\nLähetetty: 19.4.2023 16.42\n"
        "Vastaanottaja: Mia\nAihe: x\n"
    )
    danish = "Fra: Ana <ana@lumen.example>\nSendt: 19. april 2023 16:42\nTil: Mia\nEmne: x\n"
    assert not parse(mail(finnish + BELOW, subject="VS: x")).forwarded
    assert parse(mail(danish + BELOW, subject="VS: x")).forwarded


def test_a_separator_that_only_forwards_have_outweighs_a_reply_prefix():
    text = f"---------- Forwarded message ---------\n{HEADER}{BELOW}"
    assert parse(mail(text, subject="Re: Spring")).forwarded
    assert not parse(
        mail(f"-----Original Message-----\n{HEADER}{BELOW}", subject="Re: Spring")
    ).forwarded


def test_an_attribution_is_a_forward_only_with_a_prefix_and_then_unsure():
    text = "FYI\n\nOn 19 April 2023 at 16:42, Ana Li <ana@lumen.example> wrote:\n\n> Hi\n"
    found = parse(mail(text, subject="Fwd: Spring"))
    assert (found.method, found.confidence) == ("attribution", forwarded.IN_SENTENCE)
    assert (only(found).from_, only(found).subject, only(found).body) == (ANA, "Spring", "Hi")
    assert not parse(mail(text, subject="Spring")).forwarded
    assert not parse(mail(text, subject="Re: Spring")).forwarded


def test_a_forward_inside_what_is_replied_to_is_not_forwarded():
    quoted = as_quoted(f"---------- Forwarded message ---------\n{HEADER}")
    text = f"Thanks!\n\nOn 19 April 2023 at 16:42, Kim <kim@harbor.example> wrote:\n\n{quoted}"
    assert not parse(mail(text, subject="Re: Spring")).forwarded
    assert not parse(mail(text, subject="Spring")).forwarded


@pytest.mark.parametrize(
    "text",
    [
        "From: the harbour To: the station",
        "From: the harbour\nTo: the station\nDate: Monday",
        "From: Monday\nTo: Friday\nSubject: training\nDate: every week",
        "To: ana@lumen.example\nSubject: please call her",
        "Von: 9 Uhr\nBis: 17 Uhr",
        "-----\nFrom: Oslo\nTo: Bergen\n-----",
        "",
    ],
)
def test_lines_that_look_like_labels_are_no_forward(text):
    assert parse(mail(f"Hello,\n\n{text}\n\nMia", subject="Spring")) == forwarded.Forwarded(False)


# --- attached -------------------------------------------------------------------------------------


def original_message(sender: str = "Ana Li <ana@lumen.example>") -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = "Mia Berg <mia@northsound.example>"
    message["Subject"] = "Spring"
    message["Date"] = "Wed, 19 Apr 2023 09:42:00 -0500"
    message["Message-ID"] = "<1@lumen.example>"
    message["In-Reply-To"] = "<0@northsound.example>"
    message["References"] = "<0@northsound.example>"
    message.set_content("We take the back cover.")
    return message


def test_an_attached_message_is_read_as_what_it_is():
    message = mail("FYI")
    attached = original_message()
    attached.add_attachment(b"abc", maintype="application", subtype="pdf", filename="a.pdf")
    message.add_attachment(attached)
    found = parse(message)
    assert (found.method, found.confidence, found.message) == ("attachment", 1.0, "FYI")
    original = only(found)
    assert (original.from_, original.to, original.subject) == (ANA, (MIA,), "Spring")
    assert original.date == datetime(2023, 4, 19, 14, 42, tzinfo=UTC)
    assert original.has_zone
    assert original.message_id == "<1@lumen.example>"
    assert original.in_reply_to == "<0@northsound.example>"
    assert original.references == ("<0@northsound.example>",)
    assert original.body == "We take the back cover."
    assert [one.name for one in original.attachments] == ["a.pdf"]


def test_each_attached_message_is_an_original():
    message = mail("FYI")
    message.add_attachment(original_message())
    message.add_attachment(original_message("Kim Doe <kim@harbor.example>"))
    assert [one.from_ for one in parse(message).originals] == [
        ANA,
        Address("kim@harbor.example", "Kim Doe"),
    ]


def test_a_reply_may_carry_an_attached_message_too():
    message = mail("See attached", subject="Re: Spring")
    message.add_attachment(original_message())
    assert parse(message).method == "attachment"


def test_a_message_that_was_attached_to_an_inline_original_is_only_its_attachment():
    message = mail(f"---------- Forwarded message ---------\n{HEADER}{BELOW}")
    message.add_attachment(original_message("Kim Doe <kim@harbor.example>"), filename="kim.eml")
    found = parse(message)
    assert only(found).from_ == ANA
    assert [one.name for one in only(found).attachments] == ["kim.eml"]


def test_an_attached_message_without_a_sender_is_unsure():
    message = mail("FYI")
    attached = original_message()
    del attached["From"]
    message.add_attachment(attached)
    found = parse(message)
    assert (only(found).from_, found.confidence) == (None, UNSURE)


# --- confidence -----------------------------------------------------------------------------------


def test_confidence_grows_with_the_evidence():
    bare = parse(mail(HEADER + BELOW))
    announced = parse(mail(f"-------- Forwarded Message --------\n{HEADER}{BELOW}"))
    short = "From: Ana Li <ana@lumen.example>\nSubject: Spring\n"
    few = parse(mail(f"-------- Forwarded Message --------\n{short}{BELOW}"))
    assert [bare.method, announced.method] == ["labels-without-separator", "labels"]
    assert UNSURE < bare.confidence < few.confidence < announced.confidence < forwarded.IN_MARKUP


def test_labels_of_an_unknown_language_are_told_by_what_they_hold():
    text = (
        "Xa: Ana Li <ana@lumen.example>\nXb: 19.04.2023 16:42\nXc: Spring\n"
        "Xd: Mia Berg <mia@northsound.example>\n"
    )
    found = parse(mail(f"---------- Forwarded message ---------\n{text}{BELOW}"))
    original = only(found)
    assert (original.from_, original.to, original.subject) == (ANA, (MIA,), "Spring")
    assert original.date == datetime(2023, 4, 19, 14, 42, tzinfo=UTC)
    assert UNSURE < found.confidence <= forwarded.NO_SEPARATOR
    assert not parse(mail(text + BELOW)).forwarded


# --- any bytes, and time --------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *HEADER.splitlines(keepends=True),
        "---------- Forwarded message ---------\n",
        "-----Original Message-----\n",
        "> ",
        "\n",
        "\n\n",
        "From:",
        "Von: ",
        "Cc: a@x.example, ",
        "<a@x.example>",
        "On 19 April 2023 16:42, ",
        " wrote:\n",
        "________________________________\n",
        "<div class='gmail_attr'>",
        "<blockquote type=cite>",
        "<table class=moz-email-headers-table><tr><th>",
        "</td></tr>",
        "<a href='mailto:a@x.example'>",
        "&#0;",
        "\0",
        "\N{RIGHT-TO-LEFT MARK}",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=40).map("".join), st.booleans())
def test_any_text_keeps_the_rules(text, is_html):
    kind = "html" if is_html else "plain"
    head = f"From: mia@n.example\nSubject: FW: x\nContent-Type: text/{kind}; charset=utf-8\n\n"
    fuzz_forwarded.check((head + text).encode("utf-8", "replace"))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_keep_the_rules(raw):
    fuzz_forwarded.check(raw)


def test_nothing_that_goes_wrong_reaches_the_caller(monkeypatch, caplog):
    monkeypatch.setattr(forwarded, "_parse", lambda *a, **k: 1 / 0)
    with caplog.at_level(logging.ERROR):
        assert parse(b"x") == forwarded.Forwarded(False)
    assert "could not be read" in caplog.text


RECIPIENTS = ",\r\n ".join(f"P{i} <p{i}@x.example>" for i in range(5_000))


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}{BELOW}" + "We take the back cover.\n" * 200_000,
        "".join(f"> {line}\n" for line in f"{HEADER}{BELOW}".splitlines())
        + "> Hi there\n" * 400_000,
        "\n" * 10_000 + HEADER + BELOW,
        HEADER.replace("Mia Berg <mia@northsound.example>", RECIPIENTS) + BELOW,
        "From: a@x.example\n" * 250_000,
        "From:\n\n" * 700_000,
        "To: a@x.example,\n" * 250_000,
        "----- x -----\n" * 300_000,
        "-----Original Message-----\nFrom:\n" * 150_000,
        "On 2023 10:30 <a@x.example> wrote\n" * 150_000,
        "10:30\n" * 800_000,
        "From: a@x.example To: " * 200_000,
        ">" * 5_000_000,
        "<" * 5_000_000,
    ],
    ids=[
        "body",
        "quoted-body",
        "blank-lines",
        "recipients",
        "labels",
        "empty-labels",
        "folded",
        "separators",
        "announced",
        "attributions",
        "times",
        "one-line",
        "quotes",
        "brackets",
    ],
)
@pytest.mark.parametrize("kind", ["plain", "html"])
def test_large_and_hostile_messages_take_no_longer(text, kind):
    head = f"From: mia@n.example\nSubject: FW: x\nContent-Type: text/{kind}; charset=utf-8\n\n"
    raw = (head + text).encode()
    forwarded.parse(raw[:2_000], mailbox=MAILBOX)  # names of months are loaded once
    started = time.process_time()
    forwarded.parse(raw, mailbox=MAILBOX)
    assert time.process_time() - started < 0.5


def test_recipients_beyond_the_cap_are_left_out():
    found = parse(mail(HEADER.replace("Mia Berg <mia@northsound.example>", RECIPIENTS) + BELOW))
    assert len(only(found).to) == 1_000
    assert only(found).subject == "Spring"
