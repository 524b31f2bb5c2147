"""Finding the original in a forward: `parse`.

In the order of trust (intake rules, “Finding the original of a forward”):

1. messages attached to the forward: each is an original, read as what it is;
2. the header of the original in the forward's text or HTML, as markup or labels name it;
3. a sentence (“On … Ana wrote:”), only where the subject says that it is a forward.

The topmost header is the original's; what it quotes stays in its body. A reply is no forward. Where
it is unsure, the confidence says so: it reaches 0.6 only with the address of a sender.

Text and HTML are brought into one form, lines (`forwarded_lines`, `forwarded_html`), in which the
beginning of the original is looked for (`forwarded_search`), be it a header (`forwarded_blocks`) or
a sentence (`forwarded_attributions`). What programs write in which language is a table,
`forwarded_labels.toml`; `forwarded_dates` reads the dates of all of them.
"""

import logging
from datetime import UTC, datetime

from msgspec import Struct

from accounts.addresses import normalise
from crm_sync.providers.types import Address, Attachment
from email_sync import (
    address_lists,
    forwarded_dates,
    forwarded_html,
    forwarded_lines,
    forwarded_search,
    mime,
    subjects,
)
from email_sync.forwarded_attributions import Attribution
from email_sync.forwarded_blocks import Block
from email_sync.forwarded_labels import Field, writer_in
from email_sync.forwarded_lines import Line
from email_sync.html import MAX_BODY

log = logging.getLogger(__name__)

#: Confidence, by the way in which the original was found.
ATTACHED = 1.0
IN_MARKUP = 0.95
IN_LABELS = 0.9
FEW_LABELS = 0.8
NO_SEPARATOR = 0.7
IN_SENTENCE = 0.4
#: The most where nobody can be credited: no sender who can be one, or two who differ.
UNSURE = 0.5
#: A separator announces a forward, and no header can be read below it.
UNREADABLE = 0.2


class Original(Struct, frozen=True):
    """A message as its forward shows it.

    `from_` is None where nobody is named; of people who are only named, the address is "".
    `date` is aware; where no zone was written (`has_zone` is False) it is that of the forward's own
    Date. `body` is plain text; `body_html` the part of the forward's HTML, not sanitised, "" for
    none. The Message-ID and its like are known of attached originals only.
    """

    from_: Address | None
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    subject: str = ""
    date: datetime | None = None
    date_text: str = ""
    has_zone: bool = False
    body: str = ""
    body_html: str = ""
    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()


class Forwarded(Struct, frozen=True):
    """What a forward says: the rep's own words above the original, and the originals.

    `method` names how they were found: attachment, gmail-html and its like, labels,
    labels-without-separator, attribution, none.
    """

    forwarded: bool
    message: str = ""
    confidence: float = 0.0
    method: str = "none"
    originals: tuple[Original, ...] = ()


class _Found(Struct, frozen=True):
    """A beginning of the original, in the text or in the HTML."""

    start: Block | Attribution
    end: int
    lines: list[Line]
    source: str
    is_html: bool


def parse(raw: bytes, *, mailbox: str) -> Forwarded:
    """The originals in a forward that came to `mailbox`. Never raises."""
    try:
        return _parse(mime.read(raw), mailbox=normalise(mailbox))
    except Exception:  # one message must never stop the intake
        log.exception("A forward could not be read")
        return Forwarded(forwarded=False)


def _parse(received: mime.Received, *, mailbox: str) -> Forwarded:
    in_text = _look_in(received, mailbox=mailbox, is_html=False)
    in_html = _look_in(received, mailbox=mailbox, is_html=True)
    found = _better(in_text, in_html)
    if received.attached_messages and not (found and _has_attachments_of_its_own(found.start)):
        return _attached(received)
    if found is None:
        return Forwarded(forwarded=False)
    confidence, method = _trust(found.start)
    if not _is_sure_of_sender(found.start, mailbox=mailbox) or _disagree(in_text, in_html):
        confidence = min(confidence, UNSURE)
    return Forwarded(
        forwarded=True,
        message=_message(in_text or found),
        confidence=confidence,
        method=method,
        originals=(_original(received, found, in_text=in_text, in_html=in_html),),
    )


# --- attached -------------------------------------------------------------------------------------


def _has_attachments_of_its_own(start: Block | Attribution) -> bool:
    """Whether attached messages were attached to an original that is itself forwarded inline."""
    is_forward = isinstance(start, Block) and start.separator == "forward"
    return is_forward and _is_sure_of_sender(start)


def _attached(received: mime.Received) -> Forwarded:
    originals = tuple(_attached_original(raw) for raw in received.attached_messages)
    has_senders = all(
        original.from_ and address_lists.is_plausible(original.from_.address)
        for original in originals
    )
    return Forwarded(
        forwarded=True,
        message=_trimmed(received.text or _text_of(received.html)),
        confidence=ATTACHED if has_senders else UNSURE,
        method="attachment",
        originals=originals,
    )


def _attached_original(raw: bytes) -> Original:
    received = mime.read(raw)
    senders = received.addresses("from")
    date, has_zone = received.written_date
    return Original(
        from_=senders[0] if senders else None,
        to=received.addresses("to"),
        cc=received.addresses("cc"),
        subject=received.subject,
        date=date,
        date_text=received.header("date"),
        has_zone=has_zone,
        body=_trimmed(received.text or _text_of(received.html)),
        body_html=received.html,
        message_id=received.message_id,
        in_reply_to=received.in_reply_to,
        references=received.references,
        attachments=received.attachments,
    )


# --- inline ---------------------------------------------------------------------------------------


def _look_in(received: mime.Received, *, mailbox: str, is_html: bool) -> _Found | None:
    """Where the original begins; None where there is none, or where it is only replied to."""
    source = received.html if is_html else received.text
    lines = forwarded_html.lines_of(source) if is_html else forwarded_lines.of_text(source)
    start = forwarded_search.find(
        lines,
        is_expected=subjects.kind_of(received.subject) == "forward",
        mailbox=mailbox,
        rep=next((normalise(one.address) for one in received.addresses("from")), ""),
    )
    if start is None or not _is_forward(start, received.subject):
        return None
    end = forwarded_search.end_of_body(lines, start)
    return _Found(start=start, end=end, lines=lines, source=source, is_html=is_html)


def _is_forward(start: Block | Attribution, subject: str) -> bool:
    """Programs begin replies alike: only a separator that forwards alone have outweighs “Re:”."""
    if start.separator == "forward":
        return True
    if isinstance(start, Attribution):
        return subjects.kind_of(subject) == "forward"
    return subjects.kind_of(subject, languages=start.languages) != "reply"


def _better(in_text: _Found | None, in_html: _Found | None) -> _Found | None:
    """Which of the two names the sender better; HTML where both do, since nothing is wrapped."""
    found = [one for one in (in_text, in_html) if one]
    return max(found, key=lambda one: (*_rank(one.start), one.is_html), default=None)


def _rank(start: Block | Attribution) -> tuple[bool, bool, bool]:
    has_header = isinstance(start, Block)
    has_labels = isinstance(start, Block) and bool(start.labels)
    return has_header, has_labels, any(one.address for one in _senders(start))


def _trust(start: Block | Attribution) -> tuple[float, str]:
    """Confidence and method, by how the original was found."""
    if isinstance(start, Attribution):
        return IN_SENTENCE, "attribution"
    is_header = start.structure in forwarded_lines.HEADERS
    if start.structure and (is_header or start.separator == "forward"):
        confidence, method = IN_MARKUP, f"{start.structure}-html"
    elif start.separator:
        confidence, method = IN_LABELS if len(start.labels) >= 4 else FEW_LABELS, "labels"
    else:
        confidence, method = NO_SEPARATOR, "labels-without-separator"
    if start.is_guessed and not start.structure:
        confidence = min(confidence, NO_SEPARATOR)
    return confidence if start.labels else UNREADABLE, method


def _senders(start: Block | Attribution) -> tuple[Address, ...]:
    written = start.sender if isinstance(start, Attribution) else start.values.get("from", "")
    return address_lists.parse(writer_in(written), limit=2)


def _is_sure_of_sender(start: Block | Attribution, *, mailbox: str = "") -> bool:
    """Whether the header names one sender, with an address that can be one.

    Nobody writes from the capture mailbox: a header that says so was misread.
    """
    senders = _senders(start)
    is_below_another = isinstance(start, Block) and start.is_below_another
    return (
        len(senders) == 1
        and not is_below_another
        and address_lists.is_plausible(senders[0].address)
        and normalise(senders[0].address) != mailbox
    )


def _disagree(in_text: _Found | None, in_html: _Found | None) -> bool:
    """Whether text and HTML name senders with different addresses."""
    found = (one for one in (in_text, in_html) if one)
    senders = (sender for one in found for sender in _senders(one.start)[:1])
    return len({normalise(sender.address) for sender in senders if sender.address}) > 1


def _original(
    received: mime.Received, found: _Found, *, in_text: _Found | None, in_html: _Found | None
) -> Original:
    """The original as its header names it, with the body below."""
    start = found.start
    values: dict[Field, str] = start.values if isinstance(start, Block) else {"date": start.date}
    sent, _ = received.written_date
    written = forwarded_dates.parse(
        values.get("date", ""),
        languages=start.languages,
        zone=(sent and sent.tzinfo) or UTC,  # where the rep's mail program was
        sent=sent,
    )
    return Original(
        from_=next(iter(_senders(start)), None),
        to=address_lists.parse(values.get("to", "")),
        cc=address_lists.parse(values.get("cc", "")),
        subject=values.get("subject", subjects.without_forward_prefix(received.subject)),
        date=written.date,
        date_text=values.get("date", ""),
        has_zone=written.has_zone,
        body=_body(in_text or found),
        body_html=_source_below(in_html) if in_html else "",
        attachments=received.attachments,
    )


# --- what stands above and below the header -------------------------------------------------------


def _message(found: _Found) -> str:
    above = found.lines[: found.start.first]
    if found.is_html:
        return _trimmed(forwarded_lines.joined(above))
    return _trimmed(found.source[: found.lines[found.start.first].start])


def _body(found: _Found) -> str:
    below = found.lines[found.start.after : found.end]
    if found.is_html:
        return _trimmed(forwarded_lines.joined(below))
    text = _source_below(found)[: 2 * MAX_BODY]
    return _trimmed(
        forwarded_lines.unquoted(text, depth=forwarded_lines.depth_of(below, found.start.depth))
    )


def _source_below(found: _Found) -> str:
    """The source from the end of the header to that of the body.

    Of HTML it is what stands open there unbalanced, which is for the sanitiser.
    """
    start = found.lines[found.start.after - 1].end
    is_cut = found.end < len(found.lines)
    return found.source[start : found.lines[found.end - 1].end if is_cut else None]


def _text_of(html: str) -> str:
    return forwarded_lines.joined(forwarded_html.lines_of(html))


def _trimmed(text: str) -> str:
    """Without blank lines around it; what is longer than is kept is cut (see `html.shortened`)."""
    lines = text[: MAX_BODY + 1].replace("\xa0", " ").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n\ufeff\u200b ")
