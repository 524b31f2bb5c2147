"""Texts, attachments and headers of messages: worked out only when somebody asks for them."""

from __future__ import annotations

import html
from email.header import Header
from email.mime.text import MIMEText
from email.utils import formataddr, formatdate
from typing import Any

from sandbox import people
from sandbox.hashing import mix
from sandbox.layout import Kind
from sandbox.world import Mail, Party

SNIPPET_LENGTH = 100
_PERSONAL_TEXTS = dict(people.PERSONAL)


def is_html(mail: Mail) -> bool:
    if mail.body is not None:
        return mail.is_html
    if mail.kind in (Kind.NEWSLETTER, Kind.SPAM):
        return True
    return mail.noise >> 30 & 3 != 0


def _machine_text(mail: Mail, table: tuple[tuple[str, str, str, str], ...]) -> str:
    address = mail.sender[0]["email"]
    return next((text for _, email, _, text in table if email == address), "")


def _lines(mail: Mail) -> list[str]:
    """The paragraphs of a generated message."""
    kind, noise = mail.kind, mail.noise
    if kind == Kind.NEWSLETTER:
        text = _machine_text(mail, people.NEWSLETTERS)
        return [text, "Read more on our web site.", "You receive this because you subscribed."]
    if kind == Kind.SPAM:
        return [_machine_text(mail, people.SPAM), "Click here now."]
    if kind == Kind.NOTICE:
        return [_machine_text(mail, people.NOTICES), "This is an automatic message."]
    if kind == Kind.SELF:
        return ["Remember this."]
    if kind == Kind.PERSONAL:
        subject = mail.subject.removeprefix("Re: ")
        return [_PERSONAL_TEXTS.get(subject, "See you soon!"), "x"]
    if kind == Kind.INTERNAL:
        sentences = people.INTERNAL_SENTENCES
        first, second = noise % len(sentences), (noise >> 8) % len(sentences)
        return [sentences[first], sentences[second], mail.sender[0]["name"].split()[0]]
    language = mail.language
    phrases = people.SENTENCES[language]
    to_name = mail.to[0]["name"] if mail.to else ""
    if language == "en":
        to_name = to_name.partition(" ")[0]
    count = 2 + (noise >> 4) % 3
    chosen = [phrases[mix(noise + n) % len(phrases)] for n in range(count)]
    return [
        people.GREETING[language].format(x=to_name),
        " ".join(dict.fromkeys(chosen)),
        people.CLOSING[language],
        mail.sender[0]["name"],
    ]


def text_of(mail: Mail) -> str:
    """The message as plain text."""
    if mail.body is not None:
        return _strip_tags(mail.body) if mail.is_html else mail.body
    text = "\n\n".join(_lines(mail))
    if mail.references:
        text += f"\n\n> {mail.subject}\n> …"
    return text


def _strip_tags(markup: str) -> str:
    out, inside = [], False
    for character in markup:
        if character == "<":
            inside = True
        elif character == ">":
            inside = False
            out.append(" ")
        elif not inside:
            out.append(character)
    return html.unescape("".join(out))


def body_of(mail: Mail) -> str:
    """The body as the API gives it: HTML where the message has both."""
    if mail.body is not None:
        return mail.body
    if not is_html(mail):
        return text_of(mail)
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in _lines(mail))
    quote = ""
    if mail.references:
        quote = f"<blockquote>{html.escape(mail.subject)}<br>…</blockquote>"
    direction = ' dir="rtl"' if mail.language == "ar" else ""
    return f"<html><body{direction}>{paragraphs}{quote}</body></html>"


def snippet_of(mail: Mail) -> str:
    return " ".join(text_of(mail).split())[:SNIPPET_LENGTH]


def attachments_of(mail: Mail, grant_id: str) -> list[dict[str, Any]]:
    """Metadata only; every fifth message with a customer or so has one or two."""
    if mail.attachments is not None:
        return [{**attachment, "grant_id": grant_id} for attachment in mail.attachments]
    noise = mail.noise
    if mail.kind not in (Kind.CUSTOMER, Kind.SHARED) or noise >> 20 & 3:
        return []
    found = []
    for n in range(1 + (noise >> 22 & 1)):
        h = mix(noise + n + 1)
        name, content_type, size = people.ATTACHMENTS[h % len(people.ATTACHMENTS)]
        # Names outside ASCII come without a type at Google; kept for every provider here.
        found.append(
            {
                "id": f"v0:{h:016x}",
                "grant_id": grant_id,
                "filename": name.format(n=h % 900 + 100),
                "content_type": content_type if name.isascii() else "",
                "size": size // 2 + h % size,
                "is_inline": False,
                "content_disposition": "attachment",
            }
        )
    return found


def has_attachment(mail: Mail) -> bool:
    if mail.attachments is not None:
        return bool(mail.attachments)
    return mail.kind in (Kind.CUSTOMER, Kind.SHARED) and not mail.noise >> 20 & 3


def attachment_bytes(attachment: dict[str, Any]) -> bytes:
    """As many bytes as the metadata says, the same each time."""
    line = f"{attachment['filename']} {attachment['id']} invented content\n".encode()
    size = int(attachment["size"])
    return (line * (size // len(line) + 1))[:size]


def _written(parties: list[Party]) -> str:
    return ", ".join(
        f'"{party["name"]}" <{party["email"]}>' if party.get("name") else party["email"]
        for party in parties
    )


def basic_headers(mail: Mail) -> list[dict[str, str]]:
    """Message-ID, In-Reply-To and References, spelt as the sender's program spelt them."""
    headers = []
    if mail.message_id is not None:
        newsletter = mail.kind in (Kind.NEWSLETTER, Kind.SPAM)
        headers.append(
            {"name": "Message-Id" if newsletter else "Message-ID", "value": mail.message_id}
        )
    if mail.in_reply_to is not None:
        headers.append({"name": "In-Reply-To", "value": mail.in_reply_to})
    if mail.references:
        headers.append({"name": "References", "value": " ".join(mail.references)})
    return headers


def all_headers(mail: Mail) -> list[dict[str, str]]:
    sent = mail.date - 2
    pairs = [("Date", formatdate(sent)), ("From", _written(mail.sender))]
    if mail.to:
        pairs.append(("To", _written(mail.to)))
    if mail.cc:
        pairs.append(("Cc", _written(mail.cc)))
    if mail.reply_to:
        pairs.append(("Reply-To", _written(mail.reply_to)))
    pairs += [("Subject", mail.subject), ("MIME-Version", "1.0")]
    content_type = "text/html" if is_html(mail) else "text/plain"
    pairs.append(("Content-Type", f"{content_type}; charset=utf-8"))
    if mail.kind == Kind.NEWSLETTER:
        address = mail.sender[0]["email"]
        pairs.append(("List-Unsubscribe", f"<mailto:{address}?subject=unsubscribe>"))
        pairs.append(("Precedence", "bulk"))
    if mail.kind == Kind.NOTICE:
        pairs.append(("Auto-Submitted", "auto-generated"))
    pairs += mail.headers
    return basic_headers(mail) + [{"name": name, "value": value} for name, value in pairs]


def raw_mime(mail: Mail) -> bytes:
    """An RFC 5322 rendering (attachments left out), for `fields=raw_mime`."""
    message = MIMEText(body_of(mail), "html" if is_html(mail) else "plain", "utf-8")
    for header in all_headers(mail):
        name, value = header["name"], header["value"]
        if name in ("MIME-Version", "Content-Type"):
            continue
        if parties := {"From": mail.sender, "To": mail.to, "Cc": mail.cc}.get(name):
            value = ", ".join(formataddr((p.get("name", ""), p["email"])) for p in parties)
        message[name] = value if value.isascii() else Header(value, "utf-8").encode()
    return message.as_bytes()
