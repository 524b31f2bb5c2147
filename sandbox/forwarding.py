"""A forward as Gmail, Outlook and Apple Mail write it: their own structure, in text and HTML.

None of them repeats the Message-ID of the original in an inline forward; as an attachment the
original is there whole.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import escape
from zoneinfo import ZoneInfo

import msgspec

from sandbox import bodies
from sandbox.forwarding_words import LANGUAGES, Words
from sandbox.gmail_letters import (
    Attachment,
    Enclosed,
    Letter,
    attachments_of,
    date_header,
    letter_of,
    raw_of,
)
from sandbox.world import Mail, Party, Persona

CLIENTS = ("gmail", "outlook", "apple")
_BODY = re.compile(r"(?is)^.*?<body[^>]*>|</body>.*$")


class Original(msgspec.Struct):
    """What is forwarded, as the person who forwards it sees it."""

    sender: Party
    to: list[Party]
    cc: list[Party]
    subject: str
    sent_at: datetime  # in the zone of that person
    text: str
    html: str | None = None
    attachments: list[Attachment] = []
    raw: bytes = b""


class Forwarded(msgspec.Struct):
    subject: str
    text: str
    html: str


def original_of(mail: Mail, zone: str) -> Original:
    return Original(
        sender=mail.sender[0],
        to=mail.to,
        cc=mail.cc,
        subject=mail.subject,
        sent_at=datetime.fromtimestamp(mail.date - 2, UTC).astimezone(ZoneInfo(zone)),
        text=bodies.text_of(mail),
        html=bodies.body_of(mail) if bodies.is_html(mail) else None,
        attachments=attachments_of(mail),
        raw=raw_of(letter_of(mail)),
    )


# --- dates ----------------------------------------------------------------------------------------


def _clock(moment: datetime, words: Words, *, seconds: bool = False, narrow: bool = False) -> str:
    rest = f":{moment.second:02}" if seconds else ""
    if not words.has_am_pm:
        return f"{moment.hour:02}:{moment.minute:02}{rest}"
    # Newer browsers put a narrow no-break space before AM and PM.
    blank = "\u202f" if narrow else " "
    half = "AM" if moment.hour < 12 else "PM"
    return f"{moment.hour % 12 or 12}:{moment.minute:02}{rest}{blank}{half}"


def _date(moment: datetime, words: Words, pattern: str, clock: str) -> str:
    zone = moment.tzname() or "UTC"
    return pattern.format(
        wd=words.short_weekdays[moment.weekday()],
        weekday=words.weekdays[moment.weekday()],
        d=moment.day,
        mon=words.short_months[moment.month - 1],
        month=words.months[moment.month - 1],
        y=moment.year,
        time=clock,
        zone=words.zones.get(zone, zone),
    )


# --- the parts that all of them have --------------------------------------------------------------


def _full(party: Party) -> str:
    name, email = party.get("name", ""), party["email"]
    if not email:
        return name
    return f"{name} <{email}>" if name else email


def _link(email: str) -> str:
    return f'<a href="mailto:{escape(email)}">{escape(email)}</a>'


def _linked(party: Party, *, bare: str = "{}") -> str:
    name, email = party.get("name", ""), party["email"]
    if not email:
        return escape(name)
    if not name:
        return bare.format(_link(email))
    return f"{escape(name)} &lt;{_link(email)}&gt;"


def _as_html(text: str) -> str:
    return escape(text, quote=False).replace("\n", "<br>\n")


def _inner(original: Original) -> str:
    if original.html is None:
        return f"<div>{_as_html(original.text)}</div>"
    return _BODY.sub("", original.html)


# --- the three programs ---------------------------------------------------------------------------


def gmail(original: Original, words: Words, note: str) -> Forwarded:
    date = _date(
        original.sent_at, words, words.gmail_date, _clock(original.sent_at, words, narrow=True)
    )
    separator = "---------- Forwarded message ---------"

    def bare(party: Party) -> str:
        return _full(party) if party.get("name") else f"<{party['email']}>"

    lines = [
        separator,
        f"{words.gmail_from} {_full(original.sender)}",
        f"Date: {date}",
        f"Subject: {original.subject}",
        f"To: {', '.join(map(bare, original.to))}",
    ]
    if original.cc:
        lines.append(f"Cc: {', '.join(map(bare, original.cc))}")
    sender = original.sender
    name = escape(sender.get("name") or sender["email"])
    rows = [
        separator,
        f'{words.gmail_from} <strong class="gmail_sendername" dir="auto">{name}</strong> '
        f'<span dir="auto">&lt;{_link(sender["email"])}&gt;</span>',
        f"Date: {escape(date)}",
        f"Subject: {escape(original.subject, quote=False)}",
        "To: " + ", ".join(_linked(p, bare="&lt;{}&gt;") for p in original.to),
    ]
    if original.cc:
        rows.append("Cc: " + ", ".join(_linked(p, bare="&lt;{}&gt;") for p in original.cc))
    html = (
        f'<div dir="ltr">{_as_html(note)}<br><br><div class="gmail_quote gmail_quote_container">'
        f'<div dir="ltr" class="gmail_attr">{"<br>".join(rows)}<br></div><br><br>'
        f"{_inner(original)}</div></div>\n"
    )
    text = "\n".join([note, "", *lines, "", "", original.text, ""]).lstrip("\n")
    return Forwarded(_prefixed("Fwd: ", original.subject), text, html)


def outlook(original: Original, words: Words, note: str) -> Forwarded:
    sent = _date(original.sent_at, words, words.outlook_date, _clock(original.sent_at, words))
    rows = [
        (words.outlook_labels[0], _full(original.sender)),
        (words.outlook_labels[1], sent),
        (words.outlook_labels[2], "; ".join(map(_full, original.to))),
        (words.outlook_labels[3], "; ".join(map(_full, original.cc))),
        (words.outlook_labels[4], original.subject),
    ]
    rows = [(label + words.colon, value) for label, value in rows if value]
    header = "<br>\n".join(f"<b>{label}</b> {escape(value, quote=False)}" for label, value in rows)
    style = "font-family: Aptos, Calibri, Helvetica, sans-serif; font-size: 12pt;"
    html = (
        '<html><head>\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8">\n'
        '<style type="text/css" style="display:none;"> P {margin-top:0;margin-bottom:0;} </style>\n'
        f'</head>\n<body dir="ltr">\n<div class="elementToProof" style="{style}">'
        f'{_as_html(note)}</div>\n<div id="appendonsend"></div>\n'
        '<hr style="display:inline-block;width:98%" tabindex="-1">\n'
        '<div id="divRplyFwdMsg" dir="ltr"><font face="Calibri, sans-serif" '
        f'style="font-size:11pt" color="#000000">{header}</font>\n<div>&nbsp;</div>\n</div>\n'
        f"{_inner(original)}\n</body>\n</html>\n"
    )
    block = [f"{label} {value}" for label, value in rows]
    text = "\n".join([note, "", "_" * 32, *block, "", original.text, ""]).lstrip("\n")
    return Forwarded(_prefixed(words.outlook_prefix, original.subject), text, html)


_APPLE_ROW = "margin-top: 0px; margin-right: 0px; margin-bottom: 0px; margin-left: 0px;"
_APPLE_FONT = "font-family: -webkit-system-font, Helvetica Neue, Helvetica, sans-serif;"


def apple(original: Original, words: Words, note: str) -> Forwarded:
    date = _date(
        original.sent_at, words, words.apple_date, _clock(original.sent_at, words, seconds=True)
    )
    labels = words.apple_labels
    rows = [
        (labels[0], _full(original.sender), _linked(original.sender)),
        (labels[1], original.subject, f"<b>{escape(original.subject, quote=False)}</b>"),
        (labels[2], date, escape(date)),
        (labels[3], ", ".join(map(_full, original.to)), ", ".join(map(_linked, original.to))),
        (labels[4], ", ".join(map(_full, original.cc)), ", ".join(map(_linked, original.cc))),
    ]
    rows = [(label + words.colon, value, markup) for label, value, markup in rows if value]
    quoted = [words.apple_opening, "", *(f"{label} {value}" for label, value, _ in rows), ""]
    quoted += original.text.split("\n")
    text = "\n".join([note, "", *(f"> {line}".rstrip() for line in quoted), ""]).lstrip("\n")
    block = "".join(
        f'<div style="{_APPLE_ROW}"><span style="{_APPLE_FONT} color:rgba(0, 0, 0, 1.0);">'
        f'<b>{label} </b></span><span style="{_APPLE_FONT}">{markup}<br></span></div>'
        for label, _, markup in rows
    )
    html = (
        '<html><head><meta http-equiv="content-type" content="text/html; charset=utf-8"></head>'
        '<body style="overflow-wrap: break-word; -webkit-nbsp-mode: space; '
        f'line-break: after-white-space;">{_as_html(note)}'
        f'<br id="lineBreakAtBeginningOfMessage"><div><br><blockquote type="cite">'
        f'<div>{words.apple_opening}</div><br class="Apple-interchange-newline">{block}<br>'
        f"<div>{_inner(original)}</div></blockquote></div><br></body></html>\n"
    )
    return Forwarded(_prefixed("Fwd: ", original.subject), text, html)


_WRITERS = {"gmail": gmail, "outlook": outlook, "apple": apple}


def _prefixed(prefix: str, subject: str) -> str:
    """The programs put their own prefix on once."""
    return subject if subject.startswith(prefix) else prefix + subject


def written(original: Original, client: str, language: str, note: str) -> Forwarded:
    return _WRITERS[client](original, LANGUAGES[language], note)


def forward(
    original: Original,
    *,
    by: Persona,
    to: Party,
    client: str,
    at: datetime,
    message_id: str,
    language: str = "en",
    note: str = "",
    as_attachment: bool = False,
) -> Letter:
    """The rep's letter to `to`, with the original inline or as an attachment."""
    made = written(original, client, language, note)
    letter = Letter(
        sender={"name": by.name, "email": by.email},
        to=[to],
        subject=made.subject,
        date=date_header(at.astimezone(ZoneInfo(by.time_zone))),
        text=made.text,
        html=made.html,
        message_id=message_id,
        headers=[("X-Mailer", "Apple Mail (2.3826.400.131)")] if client == "apple" else [],
        attachments=original.attachments,
    )
    if as_attachment:
        name = re.sub(r'[\\/:*?"<>|]+', "_", original.subject) or "message"
        letter.text, letter.html, letter.attachments = note, f"<div>{_as_html(note)}</div>", []
        letter.enclosed = [Enclosed(f"{name}.eml", original.raw, is_base64=client == "gmail")]
    return letter
