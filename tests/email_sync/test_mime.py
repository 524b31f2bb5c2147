"""Reading received messages: whatever the bytes, as much as can be read, and nothing raises."""

import base64
import time
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_sync.providers.types import Address, Attachment
from email_sync import mime
from tests.fuzz.fuzz_forwarded import check_received

ANA = Address("ana@lumen.example", "Ana Li")
INNER = (
    b"From: Kim Doe <kim@harbor.example>\r\n"
    b"Subject: Spring  \r\n"
    b"Message-ID: <1@harbor.example>\r\n\r\n"
    b"We take the back cover.\r\n"
)


def message(*lines: str | bytes, body: str | bytes = "") -> bytes:
    """Header lines and a body, with the line ends of mail."""
    parts = [line.encode() if isinstance(line, str) else line for line in (*lines, "", body)]
    return b"\r\n".join(parts)


def multipart(*parts: bytes, kind: str = "mixed", end: bytes = b"\r\n--b--\r\n") -> bytes:
    head = message(
        "From: Ana Li <ana@lumen.example>", f"Content-Type: multipart/{kind}; boundary=b"
    )
    return head + b"".join(b"\r\n--b\r\n" + part for part in parts) + end


def part(content_type: str, body: str | bytes, *more: str) -> bytes:
    return message(f"Content-Type: {content_type}", *more, body=body)


# --- headers --------------------------------------------------------------------------------------


def test_headers_come_in_their_order_unfolded_and_decoded():
    got = mime.read(
        message(
            "Received: from a\r\n\tby b",
            "Received: from c",
            "Subject: =?utf-8?q?V=C3=A5r?= =?utf-8?q?annons?= =?iso-8859-1?q?_f=F6r?=\r\n oss",
        )
    )
    assert got.headers("RECEIVED") == ("from a\tby b", "from c")
    assert got.subject == "Vårannons för oss"
    assert got.header("to") == ""
    assert got.headers("to") == ()


def test_a_letter_split_between_two_encoded_words_is_one_letter():
    got = mime.read(
        message("Subject: =?utf-8?b?w6U=?= =?utf-8?b?w6U=?= =?utf-8?q?=C3?= =?utf-8?q?=A5?=")
    )
    assert got.subject == "ååå"


def test_what_trace_headers_say_is_never_decoded():
    # A sender chooses what stands in smtp.mailfrom; decoding it would let him write the verdict.
    said = "mx.google.com; dmarc=fail smtp.mailfrom==?utf-8?q?x=3B_dmarc=3Dpass?=@evil.example"
    got = mime.read(message(f"Authentication-Results: {said}"))
    assert got.headers("Authentication-Results") == (said,)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Ana Li <ana@lumen.example>", [ANA]),
        ("ana@lumen.example (Ana Li)", [ANA]),
        ('"Li, Ana" <ana@lumen.example>', [Address("ana@lumen.example", "Li, Ana")]),
        ("=?utf-8?q?Li=2C_=C3=85sa?= <a@lumen.example>", [Address("a@lumen.example", "Li, Åsa")]),
        ("=?utf-8?q?Li,_Ana?= <ana@lumen.example>", [Address("ana@lumen.example", "Li, Ana")]),
        ("=?utf-8?q?Ana_Li_=3Cana=40lumen=2Eexample=3E?=", [ANA]),
        (
            "Team: ana@lumen.example, Kim <kim@harbor.example>;",
            [Address("ana@lumen.example"), Address("kim@harbor.example", "Kim")],
        ),
        ("undisclosed-recipients:;", []),
        ("Ana Li", []),
        ("<ana@lumen.example", [Address("ana@lumen.example")]),
        (
            "Ana <ana@lumen.example> Kim <kim@harbor.example>",
            [Address("ana@lumen.example", "Ana"), Address("kim@harbor.example", "Kim")],
        ),
        (
            "ana@lumen.example kim@harbor.example",
            [Address("ana@lumen.example"), Address("kim@harbor.example")],
        ),
        ("<@relay.example:ana@lumen.example>", [Address("ana@lumen.example")]),
        ("\N{ZERO WIDTH SPACE}<>", []),
    ],
)
def test_addresses(value, expected):
    assert list(mime.read(message(f"To: {value}")).addresses("to")) == expected


def test_a_second_from_is_not_hidden():
    got = mime.read(message("From: ana@lumen.example", "From: kim@harbor.example"))
    assert [one.address for one in got.addresses("from")] == [
        "ana@lumen.example",
        "kim@harbor.example",
    ]


def test_a_display_name_that_looks_like_an_address_is_no_address():
    got = mime.read(message('From: "rep@northsound.example" <x@evil.example>'))
    assert got.addresses("from") == (Address("x@evil.example", "rep@northsound.example"),)


def test_identification():
    got = mime.read(
        message(
            "Message-ID: \r\n <1@lumen.example> (added)",
            "In-Reply-To: <0@x.example>",
            "References: <a@x> <b@x>\r\n <c@x>",
        )
    )
    assert got.message_id == "<1@lumen.example>"
    assert got.in_reply_to == "<0@x.example>"
    assert got.references == ("<a@x>", "<b@x>", "<c@x>")
    assert mime.read(message("Subject: x")).message_id == ""
    assert mime.read(message("Message-ID: 1@lumen")).message_id == "1@lumen"


@pytest.mark.parametrize(
    ("value", "expected", "has_zone"),
    [
        ("Thu, 20 Apr 2023 10:00:00 +0200", datetime(2023, 4, 20, 8, tzinfo=UTC), True),
        ("Thu, 20 Apr 2023 10:00:00 -0000", datetime(2023, 4, 20, 10, tzinfo=UTC), False),
        ("Thu, 20 Apr 2023 10:00:00 EDT", datetime(2023, 4, 20, 14, tzinfo=UTC), True),
        ("Thu, 31 Feb 2023 10:00:00 +0200", None, False),
        ("Thu, 20 Apr 2023 10:00:00 +9999999999", None, False),
        ("yesterday", None, False),
        ("", None, False),
    ],
)
def test_dates(value, expected, has_zone):
    got = mime.read(message(f"Date: {value}"))
    assert got.date == expected
    assert got.written_date[1] is has_zone


def test_the_date_in_its_own_zone_is_known():
    written, _ = mime.read(message("Date: Thu, 20 Apr 2023 10:00:00 +0200")).written_date
    assert written is not None
    assert written.utcoffset() == timedelta(hours=2)


def test_a_line_that_is_no_field_costs_only_itself():
    got = mime.read(
        message("From: ana@lumen.example", "no field at all", "Subject: Spring", body="Hi")
    )
    assert (got.subject, got.text) == ("Spring", "Hi")


def test_a_body_without_a_blank_line_before_it_begins_where_the_fields_end():
    got = mime.read(
        b"From: a@x.example\nTo: b@x.example\nSubject: s\nDate: d\nMessage-ID: <1>\n"
        b"MIME-Version: 1.0\nContent-Type: text/plain\nHello\nFrom: Kim <kim@x.example>\n"
    )
    assert got.text == "Hello\nFrom: Kim <kim@x.example>\n"
    assert len(got.addresses("from")) == 1


@pytest.mark.parametrize(
    "start", [b"From mia@x Thu Apr 20\n", b"\xef\xbb\xbf", b"\r\n\r\n", b">From x\n"]
)
def test_what_mailboxes_put_before_the_header_is_passed_over(start):
    assert mime.read(start + b"Subject: Spring\n\nHi").subject == "Spring"


# --- bodies and charsets --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "body", "expected"),
    [
        ("utf-8", "Vår".encode(), "Vår"),
        ("iso-8859-1", "Vår – “x”".encode("cp1252"), "Vår – “x”"),
        ("us-ascii", "Vår".encode(), "Vår"),
        ("iso-8859-1", "Vår".encode(), "Vår"),
        ("utf-8", "Größe".encode("cp1252"), "Größe"),
        ("gb2312", "鎔基订单".encode("gbk"), "鎔基订单"),
        ("iso-2022-jp", "春号の広告".encode("iso-2022-jp"), "春号の広告"),
        ("no-such-charset", "Vår".encode(), "Vår"),
        ("", "Vår".encode("cp1252"), "Vår"),
        (
            "",
            "Привет, мы хотели бы заказать рекламу".encode("cp1251"),
            "Привет, мы хотели бы заказать рекламу",
        ),
        ("hex", b"4142", "4142"),
        ("idna", b"xn--vr-yia", "xn--vr-yia"),
        ("utf-7", b"+2AA-", "\N{REPLACEMENT CHARACTER}"),
        ("utf-8", b"a\0b", "ab"),
        ("utf-16", "Vår".encode("utf-16"), "Vår"),
    ],
)
def test_charsets(charset, body, expected):
    assert (
        mime.read(message(f"Content-Type: text/plain; charset={charset}", body=body)).text
        == expected
    )


def test_a_cut_letter_does_not_cost_a_declared_charset():
    body = ("Большое спасибо за предложение! " * 3).encode("utf-8")[:-2]
    got = mime.read(message("Content-Type: text/plain; charset=utf-8", body=body))
    assert got.text.startswith("Большое спасибо")


def test_text_and_html_of_alternatives():
    got = mime.read(
        multipart(part("text/plain", "Hi"), part("text/html", "<p>Hi"), kind="alternative")
    )
    assert (got.text, got.html) == ("Hi", "<p>Hi")
    assert got.attachments == ()


def test_a_body_that_a_program_split_around_a_picture_is_joined():
    got = mime.read(
        multipart(
            part("text/html", "<p>one</p>"),
            part("image/png", b"...", "Content-Disposition: inline; filename=a.png"),
            part("text/html", "<p>two</p>"),
        )
    )
    assert got.html == "<p>one</p>\n<p>two</p>"
    assert got.attachments == (Attachment("a.png", "image/png", 3, is_inline=True),)


def test_a_text_file_is_no_body():
    got = mime.read(
        multipart(
            part("text/plain", "Hi"),
            part("text/plain; name=notes.txt", "secret"),
            part("text/html", "x", "Content-Disposition: attachment; filename=page.html"),
        )
    )
    assert (got.text, got.html) == ("Hi", "")
    assert [one.name for one in got.attachments] == ["notes.txt", "page.html"]


def test_a_body_with_a_file_name_is_still_the_body_where_there_is_no_other():
    assert mime.read(part("text/plain; name=message.txt", "Hi")).text == "Hi"


def test_html_declared_as_plain_text_is_html():
    got = mime.read(part("text/plain", "<html><body>Hi</body></html>"))
    assert (got.text, got.html) == ("", "<html><body>Hi</body></html>")
    assert mime.read(part("text/plain", "<ana@x.example> wrote")).text == "<ana@x.example> wrote"


def test_names_and_sizes_of_attachments():
    body = base64.encodebytes(b"x" * 1000)
    got = mime.read(
        multipart(
            part(
                "application/pdf",
                body,
                "Content-Transfer-Encoding: BASE64",
                "Content-Disposition: attachment; filename*=utf-8''Vertr%C3%A4ge.pdf",
            ),
            part('application/pdf; name="=?utf-8?q?Vertr=C3=A4ge?=.pdf"', "abc"),
            part("image/png", "abc", "Content-ID: <1>"),
            part('text/csv; name="C:\\\\tmp\\\\a.csv"', "abc"),
        )
    )
    assert got.attachments == (
        Attachment("Verträge.pdf", "application/pdf", 1000),
        Attachment("Verträge.pdf", "application/pdf", 3),
        Attachment("", "image/png", 3, is_inline=True),
        Attachment("a.csv", "text/csv", 3),
    )


def test_an_invitation_and_a_report_are_told():
    got = mime.read(
        multipart(
            part("text/plain", "Hi"), part("text/calendar; method=REQUEST", "BEGIN:VCALENDAR")
        )
    )
    assert got.calendar_method == "request"
    assert (
        mime.read(part("text/calendar", "BEGIN:VCALENDAR\nMETHOD:CANCEL\n")).calendar_method
        == "cancel"
    )
    report = mime.read(
        multipart(part("text/plain", "x"), kind="report; report-type=delivery-status")
    )
    assert (report.content_type, report.report_type) == ("multipart/report", "delivery-status")


# --- attached messages ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attached",
    [
        part("message/rfc822", INNER),
        part("message/rfc822", base64.encodebytes(INNER), "Content-Transfer-Encoding: base64"),
        part("message/rfc822", base64.encodebytes(INNER)),
        part("message/rfc822", INNER, "Content-Transfer-Encoding: base64"),
        part(
            "application/octet-stream; name=Spring.EML",
            base64.encodebytes(INNER),
            "Content-Transfer-Encoding: base64",
        ),
        part("application/octet-stream", INNER, "Content-Disposition: attachment; filename=a.eml"),
        part("message/global", INNER),
    ],
    ids=[
        "plain",
        "base64",
        "base64-undeclared",
        "base64-only-declared",
        "eml",
        "eml-8bit",
        "global",
    ],
)
def test_an_attached_message_is_handed_on_as_it_was_sent(attached):
    got = mime.read(multipart(part("text/plain", "FYI"), attached))
    assert got.text == "FYI"
    assert got.attached_messages == (INNER,)
    assert [one.size for one in got.attachments] == [len(INNER)]


def test_messages_inside_an_attached_message_are_its_own():
    inner = multipart(part("text/plain", "inner"), part("message/rfc822", INNER)).replace(
        b"--b", b"--c"
    )
    inner = inner.replace(b"boundary=b", b"boundary=c")
    got = mime.read(multipart(part("text/plain", "outer"), part("message/rfc822", inner)))
    assert got.attached_messages == (inner,)
    assert mime.read(got.attached_messages[0]).attached_messages == (INNER,)


def test_each_part_of_a_digest_is_a_message():
    got = mime.read(multipart(b"\r\n" + INNER, b"\r\n" + INNER, kind="digest"))
    assert got.attached_messages == (INNER, INNER)


def test_a_vcard_and_an_empty_part_are_no_messages():
    got = mime.read(multipart(part("text/vcard; name=a.vcf", "x"), part("message/rfc822", "")))
    assert got.attached_messages == ()


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"", b"\r\n--b", b"\r\n--b-", b"\r\n--b--"])
def test_a_multipart_that_nothing_closes_is_read_to_the_end(end):
    assert mime.read(multipart(part("text/plain", "Hi"), end=end)).text.startswith("Hi")


def test_a_boundary_that_is_not_declared_is_found():
    raw = multipart(part("text/plain", "Hi"), part("text/html", "<p>Hi")).replace(
        b"; boundary=b", b""
    )
    assert (mime.read(raw).text, mime.read(raw).html) == ("Hi", "<p>Hi")


def test_a_boundary_that_begins_like_another_is_another():
    inner = b"Content-Type: multipart/alternative; boundary=b2\r\n\r\n--b2\r\n\r\none\r\n--b2--"
    got = mime.read(multipart(inner, part("text/plain", "two")))
    assert got.text == "one\ntwo"


def test_a_multipart_without_parts_is_text():
    assert mime.read(multipart(end=b"just text")).text == "just text"


def test_broken_base64_is_read_as_far_as_it_goes():
    raw = part("text/plain", "SGVsbG8g*d29ybGQ", "Content-Transfer-Encoding: base64")
    assert mime.read(raw).text == "Hello world"


def test_bare_carriage_returns_are_line_ends():
    got = mime.read(b"Subject: Spring\rFrom: ana@lumen.example\r\rHi\rthere")
    assert (got.subject, got.text) == ("Spring", "Hi\nthere")


def test_the_received_bytes_are_kept():
    raw = b"Subject: \xff\r\n\r\n\0\xff"
    assert mime.read(raw).raw == raw


# --- against the standard library, where nothing is damaged ---------------------------------------

WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60
)


@given(subject=WORDS, name=WORDS, text=WORDS, html=WORDS, data=st.binary(max_size=200))
def test_what_the_standard_library_writes_is_read_back(subject, name, text, html, data):
    written = EmailMessage()
    written["Subject"] = subject
    written["To"] = "kim@harbor.example"
    written.set_content(text)
    written.add_alternative(html, subtype="html")
    written.add_attachment(data, maintype="application", subtype="pdf", filename="a.pdf")
    got = mime.read(written.as_bytes())
    assert got.subject == " ".join(subject.split())
    assert got.text.rstrip("\n") == text.rstrip("\n")
    assert got.html.rstrip("\n") == html.rstrip("\n")
    assert got.attachments == (Attachment("a.pdf", "application/pdf", len(data)),)
    assert got.addresses("to") == (Address("kim@harbor.example"),)


# --- any bytes ------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        b"From: ",
        b"<a@x.example>",
        b"\r\n",
        b"\n",
        b"--b",
        b"--",
        b";",
        b"=?utf-8?q?",
        b"?=",
        b" ",
        b'"',
        b"Content-Type: multipart/mixed; boundary=b",
        b"Content-Type: message/rfc822",
        b"charset=",
        b"Content-Transfer-Encoding: base64",
        b"Content-Disposition: attachment; filename*0*=",
        b"(",
        b":",
        b"\0",
        b"\xff",
        b"Date: Thu, 20 Apr 2023 10:00:00 +0200",
        b"Subject: ",
        b"&#99;",
        b"name=a.eml",
    ]
)


@settings(max_examples=300)
@given(st.lists(st.one_of(PIECES, st.binary(max_size=8)), max_size=60).map(b"".join))
def test_any_bytes_are_read(raw):
    check_received(mime.read(raw))


@given(st.text(max_size=30), st.binary(max_size=100))
def test_any_charset_is_read(charset, body):
    raw = message(f"Content-Type: text/plain; charset={charset!r}", body=body)
    check_received(mime.read(raw))


@pytest.mark.parametrize(
    "raw",
    [
        message("Subject: x", body=b"\r\n" * 2_500_000),
        message("To: " + "Ana <a@x.example>, " * 5_000),
        message("To: " + "(" * 300_000),
        message("Subject: " + "=?utf-8?q?" * 30_000),
        message("Content-Type: text/plain" + "; a*0*=x" * 50_000),
        b"a: b\r\n" * 800_000,
        b"a: b\r\n" + b" b\r\n" * 1_000_000,
        multipart(end=b"--b" * 1_500_000),
        multipart(end=b"\r\n--b" * 1_000_000),
        b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(90)
        )
        + b"hello\n" * 800_000,
        multipart(
            part(
                "application/pdf",
                base64.encodebytes(b"x" * 3_700_000),
                "Content-Transfer-Encoding: base64",
            )
        ),
    ],
    ids=[
        "blank-lines",
        "recipients",
        "parentheses",
        "encoded-words",
        "parameters",
        "fields",
        "folds",
        "boundaries-in-a-line",
        "empty-parts",
        "nesting",
        "attachment",
    ],
)
def test_large_and_hostile_messages_take_no_longer(raw):
    started = time.process_time()
    got = mime.read(raw)
    got.addresses("to")
    _ = got.subject
    assert time.process_time() - started < 0.5
