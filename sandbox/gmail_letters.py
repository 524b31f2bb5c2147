"""A letter as a mail program writes it, and what Google adds when it arrives."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from email.headerregistry import HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, formatdate

import msgspec

from sandbox import bodies
from sandbox.hashing import text_hash
from sandbox.world import Mail, Party

# Dates and IDs are written as they are given, even where they are none.
_HEADERS = HeaderRegistry()
for _name in ("date", "message-id"):
    # The type stubs do not see that a header's class is made of such a part.
    _HEADERS.map_to_type(_name, UnstructuredHeader)  # type: ignore[arg-type]
# Seven bits: then no line is longer than SMTP allows.
_POLICY = SMTP.clone(cte_type="7bit", header_factory=_HEADERS)

AUTHENTICATIONS = (
    "pass", "fail", "none", "dkim-only", "spf-only", "unaligned", "forged", "as-is",
)  # fmt: skip


class Attachment(msgspec.Struct):
    filename: str
    content_type: str = "application/octet-stream"
    content: bytes = b""


class Enclosed(msgspec.Struct):
    """A whole message in another. Gmail encodes it in base64, against the rules."""

    filename: str
    raw: bytes
    is_base64: bool = False
    content_type: str = "message/rfc822"


class Letter(msgspec.Struct):
    sender: Party
    to: list[Party]
    subject: str
    date: str  # as in the header
    text: str | None = None
    html: str | None = None
    cc: list[Party] = []
    reply_to: list[Party] = []
    message_id: str | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    headers: list[tuple[str, str]] = []
    attachments: list[Attachment] = []
    enclosed: list[Enclosed] = []
    calendar: str | None = None  # iCalendar
    calendar_method: str = "REQUEST"


def date_header(moment: datetime) -> str:
    return format_datetime(moment)


def _written(parties: list[Party]) -> str:
    return ", ".join(
        formataddr((" ".join(party.get("name", "").split()), party["email"]))
        for party in parties
        if party["email"]
    )


def raw_of(letter: Letter) -> bytes:
    """The letter in MIME. Raises ValueError for a header that no program could write."""
    message = EmailMessage(_POLICY)
    message["Date"] = letter.date
    message["From"] = _written([letter.sender])
    if to := _written(letter.to):
        message["To"] = to
    if cc := _written(letter.cc):
        message["Cc"] = cc
    if reply_to := _written(letter.reply_to):
        message["Reply-To"] = reply_to
    message["Subject"] = " ".join(letter.subject.splitlines())
    if letter.message_id:
        message["Message-ID"] = letter.message_id
    if letter.in_reply_to:
        message["In-Reply-To"] = letter.in_reply_to
    if letter.references:
        message["References"] = " ".join(letter.references)
    for name, value in letter.headers:
        del message[name]
        message[name] = value
    _write_content(message, letter)
    _name_boundaries(message, text_hash(f"{letter.message_id}/{letter.date}/{letter.subject}"))
    return message.as_bytes()


def _name_boundaries(message: EmailMessage, key: int) -> None:
    """The library's are random, and a world is the same in every process."""
    multiparts = [part for part in message.walk() if part.get_content_maintype() == "multipart"]
    for n, part in enumerate(multiparts):
        part.set_boundary(f"=_{key:016x}_{n}")


def _write_content(message: EmailMessage, letter: Letter) -> None:
    if letter.text is not None or letter.html is None:
        message.set_content(letter.text or "")
        if letter.html is not None:
            message.add_alternative(letter.html, subtype="html")
    else:
        message.set_content(letter.html, subtype="html")
    if letter.calendar is not None:
        parameters = {"method": letter.calendar_method}
        message.add_alternative(letter.calendar, subtype="calendar", params=parameters)
    for attachment in letter.attachments:
        main, _, sub = (attachment.content_type or "application/octet-stream").partition("/")
        message.add_attachment(
            attachment.content, maintype=main, subtype=sub or "octet-stream",
            filename=attachment.filename,
        )  # fmt: skip
    if letter.enclosed and message.get_content_type() != "multipart/mixed":
        message.make_mixed()
    for enclosed in letter.enclosed:
        message.attach(_enclosure(enclosed))


def _enclosure(enclosed: Enclosed) -> EmailMessage:
    """The bytes stay as they are; the library would write a parsed message anew."""
    part = EmailMessage(_POLICY)
    part["Content-Type"] = enclosed.content_type
    part.set_param("name", enclosed.filename)
    part.add_header("Content-Disposition", "attachment", filename=enclosed.filename)
    if enclosed.is_base64:
        part["Content-Transfer-Encoding"] = "base64"
        part.set_payload(base64.encodebytes(enclosed.raw).decode())
    else:
        part["Content-Transfer-Encoding"] = "8bit"
        part.set_payload(enclosed.raw.decode("ascii", "surrogateescape"))
    return part


def letter_of(mail: Mail) -> Letter:
    """A message of a Nylas mailbox as its sender's program sent it: without Bcc."""
    return Letter(
        sender=mail.sender[0],
        to=mail.to,
        cc=mail.cc,
        reply_to=mail.reply_to,
        subject=mail.subject,
        date=formatdate(mail.date - 2),
        text=bodies.text_of(mail),
        html=bodies.body_of(mail) if bodies.is_html(mail) else None,
        message_id=mail.message_id,
        in_reply_to=mail.in_reply_to,
        references=mail.references,
        headers=[*mail.headers],
        attachments=attachments_of(mail),
    )


def attachments_of(mail: Mail) -> list[Attachment]:
    return [
        Attachment(
            attachment["filename"], attachment["content_type"], bodies.attachment_bytes(attachment)
        )
        for attachment in bodies.attachments_of(mail, "")
    ]


# --- arriving at Google ---------------------------------------------------------------------------

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_BCC = re.compile(rb"(?mi)^bcc:[^\n]*\n(?:[ \t][^\n]*\n)*")
_SERVER = "mx.google.com"


def _verdict(authentication: str, sender: str, envelope: str) -> str:
    """The value of Authentication-Results, as Google writes it."""
    domain = sender.rpartition("@")[2]
    lines = {
        "dkim": f"dkim=pass header.i=@{domain} header.s=google header.b=Qk9ybU3t",
        "spf": (
            f"spf=pass (google.com: domain of {envelope} designates 198.51.100.41 as permitted "
            f"sender) smtp.mailfrom={envelope}"
        ),
        "dmarc": f"dmarc=pass (p=NONE sp=NONE dis=NONE) header.from={domain}",
    }
    softfail = (
        f"spf=softfail (google.com: domain of transitioning {envelope} does not designate "
        f"203.0.113.66 as permitted sender) smtp.mailfrom={envelope}"
    )
    if authentication in ("fail", "forged"):
        lines["dkim"] = f"dkim=fail header.i=@{domain} header.s=google header.b=Zm9yZ2Vk"
        lines["spf"] = softfail
        lines["dmarc"] = f"dmarc=fail (p=NONE sp=NONE dis=NONE) header.from={domain}"
    elif authentication == "dkim-only":
        lines["spf"] = softfail
        del lines["dmarc"]
    elif authentication == "spf-only":
        del lines["dkim"], lines["dmarc"]
    elif authentication == "unaligned":
        # Somebody else's mail server, honestly signed by itself: proves nothing of the sender.
        lines["dkim"] = "dkim=pass header.i=@bulkmailer.example header.s=s1 header.b=QnVsa01h"
        lines["spf"] = (
            "spf=pass (google.com: domain of bounce@bulkmailer.example designates 203.0.113.66 as "
            "permitted sender) smtp.mailfrom=bounce@bulkmailer.example"
        )
        lines["dmarc"] = f"dmarc=fail (p=NONE sp=NONE dis=NONE) header.from={domain}"
    return f"{_SERVER};\r\n       " + ";\r\n       ".join(lines.values())


def _host(authentication: str, domain: str) -> str:
    """The server that handed the mail over, as Google saw it."""
    if authentication in ("pass", "spf-only", "none"):
        return f"mail.{domain} (mail.{domain}. [198.51.100.41])"
    return "mta.bulkmailer.example (mta.bulkmailer.example. [203.0.113.66])"


def _stamp(at: int) -> str:
    return format_datetime(datetime.fromtimestamp(at // 1000, UTC))


def arrived(
    raw: bytes,
    *,
    account: str,
    sender: str,
    at: int,
    authentication: str = "pass",
    envelope: str | None = None,
) -> bytes:
    """The copy that the account receives: without Bcc, under the headers of Google's servers.

    `at` in milliseconds; `envelope` is the address of the SMTP dialogue, empty for a bounce.
    With `as-is` the bytes stay exactly as they are.
    """
    if authentication == "as-is":
        return raw
    if b"\r\n" not in raw:
        raw = raw.replace(b"\n", b"\r\n")
    end = _HEADER_END.search(raw)
    split = end.start() + 2 if end else len(raw)
    head, rest = raw[:split], raw[split:]
    head = _BCC.sub(b"", head)
    envelope = sender if envelope is None else envelope
    domain = sender.rpartition("@")[2] or "unknown.example"
    queue = f"{text_hash(f'{sender}/{at}'):016x}"
    verdict = _verdict(authentication, sender, envelope)
    lines = [
        f"Delivered-To: {account}",
        f"Received: by 2002:a05:7010:7a26:b0:3f1:{queue[:4]}:{queue[4:8]} with SMTP id "
        f"{queue}csp101;\r\n        {_stamp(at)}",
        f"X-Received: by 2002:a05:600c:1c1d:b0:{queue[:3]}:{queue[3:7]} with SMTP id "
        f"{queue}mr202;\r\n        {_stamp(at - 1000)}",
    ]
    if authentication != "none":
        lines += [
            f"ARC-Seal: i=1; a=rsa-sha256; t={at // 1000}; cv=none; d=google.com; "
            f"s=arc-20240605;\r\n        b={queue}",
            "ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=google.com;\r\n"
            f"        s=arc-20240605; h=message-id:date:subject:to:from; bh={queue}; b={queue}",
            f"ARC-Authentication-Results: i=1; {verdict}",
        ]
    lines += [
        f"Return-Path: <{envelope}>",
        f"Received: from {_host(authentication, domain)}\r\n        by {_SERVER} "
        f"with ESMTPS id {queue}si303\r\n        for <{account}>\r\n        (version=TLS1_3 "
        f"cipher=TLS_AES_256_GCM_SHA384 bits=256/256);\r\n        {_stamp(at - 1000)}",
    ]
    if authentication != "none":
        lines.append(f"Authentication-Results: {verdict}")
    if authentication == "forged":
        # Written by the sender, further down, in Google's own words.
        lines.append(f"Authentication-Results: {_verdict('pass', sender, sender)}")
    return "\r\n".join([*lines, ""]).encode() + head + rest
