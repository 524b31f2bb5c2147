"""Reading the messages of the intake: what becomes of each.

A message goes through three stages. `read_message` takes it apart and lets the rules judge it (no
database: it runs in threads); `decide` compares a batch with the reps' contacts; `store` writes.
Passes, second tries and people's decisions all go through here.
"""

import logging
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct, field
from msgspec.structs import replace

from accounts.addresses import normalise
from accounts.outcomes import describe
from accounts.system_settings import Settings
from crm_sync.providers.types import Address, Attachment, IntakeMessage, Message, MessageHeaders
from email_sync import forwarded, intake_rules, lookups, mime, rules
from email_sync.forwarded import Forwarded, Original
from email_sync.intake_rules import Inquiry, Intake, Judgement, People, Rep, Ruling
from email_sync.message_keys import inline_key, normalise_message_id
from email_sync.mime import Received
from email_sync.models import IntakeReview, Source
from email_sync.processed import Content, Origin, Processed, Review, content_of, extract, key_of
from email_sync.rules import Exclusions, KnownContact, addresses_of

logger = logging.getLogger(__name__)

#: Gmail's own labels of what is not mail that was received, or no longer.
_HIDDEN = frozenset({"DRAFT", "SPAM", "TRASH", "CHAT"})
_QUESTIONS = {
    "sender-not-registered": IntakeReview.Kind.UNREGISTERED,
    "sender-not-authenticated": IntakeReview.Kind.SENDER,
}


class Desk(Struct, frozen=True):
    """What is needed to judge a message; the same for a whole pass."""

    intake_id: int
    intake: Intake
    people: People


class Letter(Struct, frozen=True):
    """One message that an email may be made of: what was sent, or what was forwarded."""

    headers: MessageHeaders
    inquiry: Inquiry
    text: str
    html: str
    attachments: tuple[Attachment, ...]
    is_inline: bool = False

    @property
    def content(self) -> Content:
        body, is_html = (self.html, True) if self.html else (self.text.strip(), False)
        return content_of(Message(self.headers, body, is_html, self.attachments))


class Draft(Struct, frozen=True):
    """A message as the rules judged it, before anybody's contacts are looked at.

    `letters` are compared with the contacts: the message itself, or what is in a forward. Where
    there are none, `reason` says why. `notes` go into the trace.
    """

    headers: MessageHeaders
    judgement: Judgement
    reason: str = ""
    letters: tuple[Letter, ...] = ()
    is_forward: bool = False
    review: Review | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    email_id: int | None = None


# --- one message ----------------------------------------------------------------------------------
def is_hidden(message: IntakeMessage) -> bool:
    """Whether it lies in Spam or Trash, or is no mail. Taken out of there it is listed again."""
    return bool(_HIDDEN.intersection(message.label_ids))


def read_message(message: IntakeMessage, *, desk: Desk, ruling: Ruling | None = None) -> Draft:
    """What the rules say of a message. Raises what only a fault of ours can raise."""
    received = mime.read(message.raw)
    judgement = intake_rules.judge(received, intake=desk.intake, people=desk.people, ruling=ruling)
    headers = _headers(message, received)
    if judgement.reason or judgement.rep is None:
        return _refused(headers, judgement)
    if judgement.is_automatic:
        letter = _letter(headers, received, _as_synced(headers, judgement.rep, desk.intake))
        return Draft(headers, judgement, letters=(letter,))
    if judgement.source == "bcc":
        inquiry = intake_rules.about_bcc(addresses_of(headers), judgement.rep, intake=desk.intake)
        return Draft(headers, judgement, letters=(_letter(headers, received, inquiry),))
    return _opened(headers, received, judgement, judgement.rep, desk=desk, ruling=ruling)


def _headers(message: IntakeMessage, received: Received) -> MessageHeaders:
    return MessageHeaders(
        id=message.id,
        # Gmail's own conversation is that of the monitored mailbox, not the rep's.
        thread_id="",
        folder_ids=(),
        received_at=intake_rules.sent_at(received.date, message.received_at),
        subject=received.subject,
        from_=received.addresses("from"),
        to=received.addresses("to"),
        cc=received.addresses("cc"),
        bcc=(),
        has_headers=True,
        message_id=received.message_id,
        in_reply_to=received.in_reply_to,
        references=received.references,
    )


def _refused(headers: MessageHeaders, judgement: Judgement) -> Draft:
    kind = None if judgement.is_automatic else _QUESTIONS.get(judgement.reason)
    review = Review(kind, extract(headers)) if kind else None
    return Draft(headers, judgement, reason=judgement.reason, review=review)


def _as_synced(headers: MessageHeaders, rep: Rep, intake: Intake) -> Inquiry:
    """Of mail that the rep's account forwarded by itself: as if it were read in their mailbox."""
    inquiry = intake_rules.about_bcc(addresses_of(headers), rep, intake=intake)
    compared = rules.as_synced(inquiry.addresses, own=rep.own)
    return replace(inquiry, own=rep.own, compared=compared)


def _letter(headers: MessageHeaders, received: Received, inquiry: Inquiry) -> Letter:
    return Letter(headers, inquiry, received.text, received.html, received.attachments)


def _opened(
    headers: MessageHeaders,
    received: Received,
    judgement: Judgement,
    rep: Rep,
    *,
    desk: Desk,
    ruling: Ruling | None,
) -> Draft:
    """A forward with what is inside it, or the question about it."""
    found = forwarded.parse(received.raw, mailbox=desk.intake.address)
    if ruling is not None and ruling.original_sender:
        found = _corrected(found, received, ruling)
    named = [o for o in found.originals if o.from_ and normalise(o.from_.address)]
    notes = _notes(found, named)
    reason = ""
    if not found.forwarded or not found.originals:
        reason = "forward-unparsed"
    elif found.confidence < intake_rules.SURE_ENOUGH or not named:
        reason = "forward-unsure"
    if reason:
        review = Review(
            IntakeReview.Kind.FORWARD, _read_so_far(found, headers), confidence=found.confidence
        )
        return Draft(headers, judgement, reason=reason, review=review, notes=notes)
    return Draft(
        headers,
        judgement,
        letters=tuple(_inside(original, headers, rep, desk=desk) for original in named),
        is_forward=True,
        notes=notes,
        email_id=ruling.email_id if ruling is not None else None,
    )


def _corrected(found: Forwarded, received: Received, ruling: Ruling) -> Forwarded:
    """What a person put right: who wrote the original, and when.

    Where no original was found the whole text is taken for it.
    """
    whole = Original(
        from_=None,
        subject=received.subject,
        body=received.text,
        body_html=received.html,
        attachments=received.attachments,
    )
    original = replace(
        found.originals[0] if found.originals else whole,
        from_=Address(ruling.original_sender),
    )
    if ruling.original_date is not None:
        original = replace(original, date=ruling.original_date, has_zone=True)
    return replace(found, forwarded=True, confidence=1.0, method="person", originals=(original,))


def _notes(found: Forwarded, named: Sequence[Original]) -> dict[str, Any]:
    """How the forward was read, for the trace."""
    return {
        "method": found.method,
        "confidence": found.confidence,
        "originals": len(found.originals),
        "without_sender": len(found.originals) - len(named),
        "dates": [original.date_text for original in named[:10]],
        "without_date": sum(original.date is None for original in named),
    }


def _read_so_far(found: Forwarded, headers: MessageHeaders) -> dict[str, Any]:
    """What a person is shown of a forward that was not understood."""
    if not found.originals:
        return {**extract(headers), "from": "", "name": "", "to": [], "cc": [], "date": ""}
    original = found.originals[0]
    guessed = replace(
        headers,
        from_=(original.from_,) if original.from_ else (),
        to=original.to,
        cc=original.cc,
        subject=original.subject,
        received_at=original.date,
    )
    return {**extract(guessed), "date_text": original.date_text, "method": found.method}


def _inside(original: Original, forward: MessageHeaders, rep: Rep, *, desk: Desk) -> Letter:
    """An original as a message of its own.

    One that was cut out of the text has no Message-ID; what the forward refers to is then the
    conversation that the original belongs to.
    """
    has_id = bool(normalise_message_id(original.message_id))
    headers = MessageHeaders(
        id=forward.id,
        thread_id="",
        folder_ids=(),
        received_at=_date_of(original, forward, ZoneInfo(rep.time_zone)),
        subject=original.subject,
        from_=(original.from_,) if original.from_ else (),
        to=original.to,
        cc=original.cc,
        bcc=(),
        has_headers=True,
        message_id=original.message_id,
        in_reply_to=original.in_reply_to if has_id else forward.in_reply_to,
        references=original.references if has_id else forward.references,
    )
    inquiry = intake_rules.about_original(
        addresses_of(headers), rep, intake=desk.intake, people=desk.people
    )
    return Letter(
        headers,
        inquiry,
        original.body,
        original.body_html,
        original.attachments,
        is_inline=not has_id,
    )


def _date_of(original: Original, forward: MessageHeaders, zone: ZoneInfo) -> datetime | None:
    """When it was sent, in the rep's zone where it names none; the forward's date where unknown."""
    date = original.date
    if date is None:
        return forward.received_at
    if not original.has_zone:
        date = date.replace(tzinfo=zone)
    latest = forward.received_at
    is_possible = latest is None or date <= latest + timedelta(days=1)
    return date.astimezone(UTC) if is_possible else latest


# --- a batch --------------------------------------------------------------------------------------
def decide(drafts: Sequence[Draft], *, desk: Desk, settings: Settings) -> list[Processed]:
    """What becomes of each message; the number of queries does not grow with the batch."""
    letters = [letter for draft in drafts for letter in draft.letters]
    reps = {d.judgement.rep.id for d in drafts if d.judgement.rep is not None and d.letters}
    contacts = lookups.contacts_having(
        address
        for letter in letters
        for group in letter.inquiry.addresses.values()
        for address in group
        if address not in letter.inquiry.own
    )
    flags = lookups.flags_of(reps, contacts)
    known = {rep: lookups.marked(contacts, flags.get(rep, set())) for rep in reps}
    exclusions = lookups.exclusions_of(reps, settings)
    items = []
    for draft in drafts:
        item = _undecided(draft, desk)
        rep = draft.judgement.rep
        if rep is not None and draft.letters:
            item = _decided(item, draft, known=known[rep.id], exclusions=exclusions[rep.id])
        trace = {**item.decision.trace, "intake": {**draft.judgement.trace, **draft.notes}}
        items.append(replace(item, decision=replace(item.decision, trace=trace)))
    return items


def _undecided(draft: Draft, desk: Desk) -> Processed:
    judgement, headers = draft.judgement, draft.headers
    addresses = addresses_of(headers)
    is_sent = judgement.source == "bcc" and judgement.claimed is not None
    return Processed(
        origin=Origin(
            judgement.rep.id if judgement.rep else None,
            judgement.source,
            intake_id=desk.intake_id,
        ),
        headers=headers,
        addresses=addresses,
        key=key_of(headers, addresses=addresses, mailbox_address=desk.intake.address),
        decision=rules.refuse(draft.reason, addresses, direction="sent" if is_sent else "received"),
        review=draft.review,
    )


def _decided(
    item: Processed,
    draft: Draft,
    *,
    known: Mapping[str, Sequence[KnownContact]],
    exclusions: Exclusions,
) -> Processed:
    """The item with the decisions about its letters: about itself, or what was forwarded."""
    letters: list[Processed] = []
    for number, letter in enumerate(draft.letters):
        addresses, inquiry = addresses_of(letter.headers), letter.inquiry
        decision = rules.decide(
            inquiry.addresses,
            received_at=letter.headers.received_at,
            own=inquiry.own,
            known=known,
            sync_from=None,
            exclusions=exclusions,
            compared=inquiry.compared,
            inside=inquiry.inside,
        )
        key = inline_key(item.key, number)
        if not letter.is_inline:
            key = key_of(letter.headers, addresses=addresses, mailbox_address="")
        letters.append(
            Processed(
                origin=item.origin,
                headers=letter.headers,
                addresses=addresses,
                key=key,
                decision=decision,
                content=letter.content if decision.matches else None,
                is_inline=letter.is_inline,
                same_as=draft.email_id if letter.is_inline else None,
            )
        )
    if not draft.is_forward:
        return replace(item, decision=letters[0].decision, content=letters[0].content)
    decisions = [letter.decision for letter in letters]
    decision = decisions[0] if len(decisions) == 1 else rules.combine(decisions)
    return replace(item, decision=decision, originals=tuple(letters))


def failed(message_id: str, cause: str, *, attempts: int, desk: Desk) -> Processed:
    """A message of which nothing is known but that it cannot be read."""
    headers = MessageHeaders(
        id=message_id, thread_id="", folder_ids=(), received_at=None, subject="",
        from_=(), to=(), cc=(), bcc=(), has_headers=True,
    )  # fmt: skip
    addresses = addresses_of(headers)
    return Processed(
        origin=Origin(None, Source.BCC.value, intake_id=desk.intake_id),
        headers=headers,
        addresses=addresses,
        key=key_of(headers, addresses=addresses, mailbox_address=desk.intake.address),
        decision=rules.refuse("processing-error", addresses, direction="received"),
        failure=cause,
        attempts=attempts,
    )


def read_safely(message: IntakeMessage, *, desk: Desk, ruling: Ruling | None = None) -> Draft | str:
    """The draft of a message, or why there is none: one message must not stop the intake.

    What the error says is kept out of the log, since it may quote the mail.
    """
    try:
        return read_message(message, desk=desk, ruling=ruling)
    except Exception as error:  # noqa: BLE001
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.error("message %s: %s\n%s", message.id, type(error).__name__, where)
        return describe(error)
