"""The mail that waits in the capture mailbox from the start: one of each kind that reps cause.

Made of the same world as the Nylas mailboxes: what is a copy here lies in the rep's Sent folder
there, with the same Message-ID, and what is forwarded lies in the rep's Inbox.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from sandbox import forwarding, people
from sandbox.forwarding import Original
from sandbox.gmail_letters import (
    Attachment,
    Letter,
    arrived,
    date_header,
    letter_of,
    raw_of,
)
from sandbox.hashing import mix, text_hash
from sandbox.layout import Kind
from sandbox.world import DAY, HOUR, Contact, Mail, Party, Persona, World

_MIA, _SAM, _YUKI, _LENA = 0, 1, 2, 3
_REACH = 10 * DAY  # how far back a rep's mailbox is searched for something to copy
_STRANGER: Party = {"name": "Nele Brooks", "email": "nele.brooks@quietpost.example"}


class Waiting(msgspec.Struct):
    raw: bytes
    at: int  # milliseconds
    note: dict[str, Any]  # what `truth` says of it


class _Post:
    """Writes the stories for one account; what a small world lacks is left out."""

    def __init__(self, world: World, account: str) -> None:
        self.world = world
        self.account = account
        self.crm: Party = {"name": "", "email": account}
        self.written: list[Waiting] = []

    # --- finding ------------------------------------------------------------------------------

    def rep(self, index: int) -> Persona:
        return self.world.persona(index % self.world.size)

    def flagged(self, rep: Persona) -> dict[str, Contact]:
        """The addresses of the rep's My Contacts."""
        return {
            address: contact
            for company in self.world.book(rep.index)
            for contact in company.contacts
            if self.world.has_flagged(rep.index, contact)
            for address in contact.addresses
        }

    def contact(self, rep: Persona, place: int) -> Party:
        flagged = list(self.flagged(rep).values())
        return flagged[place % len(flagged)].parties[0]

    def newest(self, rep: Persona, role: str, *, skip: int = 0, language: str = "") -> Mail | None:
        """The newest mail with a My Contact in this folder of the rep, or one further back."""
        flagged = self.flagged(rep)
        for i in range(self.world.first_not_newer(rep.index, self.world.anchor - _REACH)):
            if self.world.slot(rep.index, i).kind is not Kind.CUSTOMER:
                continue
            mail = self.world.mail(rep.index, i)
            others = mail.to if role == "sent" else mail.sender
            is_right = role in mail.folders and others[0]["email"] in flagged
            if not is_right or (language and mail.language != language):
                continue
            if skip == 0:
                return mail
            skip -= 1
        return None

    # --- writing ------------------------------------------------------------------------------

    def message_id(self, story: str, domain: str = people.DOMAIN) -> str:
        return f"<{mix(text_hash(f'{self.world.seed}/{story}')):016x}@{domain}>"

    def post(self, story: str, letter: Letter, at: int, **more: Any) -> None:
        """`at` in seconds; `more` goes into the note, `authentication` to the post office."""
        authentication = more.pop("authentication", "pass")
        raw = arrived(
            raw_of(letter),
            account=self.account,
            sender=letter.sender["email"],
            at=at * 1000,
            authentication=authentication,
        )
        self.written.append(Waiting(raw, at * 1000, {"story": story, **more}))

    def letter(self, story: str, rep: Persona, at: int, **values: Any) -> Letter:
        sender = {"name": rep.name, "email": values.pop("address", rep.email)}
        moment = datetime.fromtimestamp(at - 2, UTC).astimezone(ZoneInfo(rep.time_zone))
        values.setdefault("to", [self.crm])
        values.setdefault("message_id", self.message_id(story))
        return Letter(sender=sender, date=date_header(moment), **values)

    def forward(
        self, story: str, rep: Persona, original: Original, client: str, **options: Any
    ) -> None:
        sent_at = int(original.sent_at.timestamp())
        at = min(sent_at + 40 * 60, self.world.anchor - 1)
        letter = forwarding.forward(
            original,
            by=rep,
            to=self.crm,
            client=client,
            at=datetime.fromtimestamp(at - 2, UTC),
            message_id=self.message_id(story),
            **options,
        )
        self.post(story, letter, at, rep=rep.email, original_from=original.sender["email"])


def mail(world: World, account: str) -> list[Waiting]:
    """Oldest first."""
    post = _Post(world, account)
    for story in _STORIES:
        story(post)
    return sorted(post.written, key=lambda waiting: waiting.at)


# --- the stories ----------------------------------------------------------------------------------


def _copy_of_sent(post: _Post, story: str, index: int) -> None:
    rep = post.rep(index)
    if sent := post.newest(rep, "sent"):
        letter = letter_of(sent)
        post.post(story, letter, sent.date + 3, rep=rep.email, also_in_sent=True)


def _copies(post: _Post) -> None:
    _copy_of_sent(post, "bcc, also in Sent of a connected mailbox", _SAM)
    _copy_of_sent(post, "bcc, also in Sent of a mailbox not connected", _MIA)


def _copy_that_is_nowhere_else(post: _Post) -> None:
    rep, at = post.rep(_MIA), post.world.anchor - 9 * HOUR
    contact = post.contact(rep, 0)
    story = "bcc, from an alias, nowhere else"
    text = f"Hello {contact['name']},\n\nas promised, the half page is yours.\n\n{rep.name}"
    letter = post.letter(
        story, rep, at, to=[contact], subject="The half page", text=text,
        address=rep.aliases[0] if rep.aliases else rep.email,
    )  # fmt: skip
    post.post(story, letter, at, rep=rep.email)


def _logged_copy(post: _Post) -> None:
    rep, at = post.rep(_SAM), post.world.anchor - 7 * HOUR
    story = "a logged copy: the CRM in Cc beside a contact"
    letter = post.letter(
        story, rep, at, to=[post.contact(rep, 1)], cc=[post.crm], subject="Dates for the fair",
        text="Hello,\n\nthe fair is in the second week. Shall we keep your usual place?\n",
    )  # fmt: skip
    post.post(story, letter, at, rep=rep.email)


def _forward_of(
    post: _Post, story: str, index: int, client: str, found: Mail | None, **options: Any
) -> None:
    if found is not None:
        rep = post.rep(index)
        post.forward(story, rep, forwarding.original_of(found, rep.time_zone), client, **options)


def _forwards(post: _Post) -> None:
    sam, mia, yuki = post.rep(_SAM), post.rep(_MIA), post.rep(_YUKI)
    found = post.newest(sam, "inbox")
    _forward_of(post, "fwd as Gmail", _SAM, "gmail", found, note="For the file.")
    found = post.newest(mia, "inbox", language="de") or post.newest(mia, "inbox")
    _forward_of(
        post, "fwd as Outlook, in German", _MIA, "outlook", found, language="de", note="Zur Ablage."
    )
    found = post.newest(yuki, "inbox")
    _forward_of(post, "fwd as Apple Mail", _YUKI, "apple", found)
    found = post.newest(sam, "inbox", skip=1)
    _forward_of(post, "fwd as an attachment", _SAM, "outlook", found, as_attachment=True, note="")


def _nested_forward(post: _Post) -> None:
    """A contact has forwarded something to the rep, who forwards that."""
    rep = post.rep(_LENA)
    contact = post.contact(rep, 0)
    printer = post.world.prospects[1].contacts[0].parties[0]
    sent_at = datetime.fromtimestamp(post.world.anchor - 26 * HOUR, UTC)
    local = sent_at.astimezone(ZoneInfo(rep.time_zone))
    inner = Original(
        sender=printer, to=[contact], cc=[], subject="Paper for the supplement",
        sent_at=local, text="We can deliver the paper on Monday.",
    )  # fmt: skip
    quoted = forwarding.written(inner, "outlook", "en", "What do you think of it?")
    outer = Original(
        sender=contact, to=[{"name": rep.name, "email": rep.email}], cc=[],
        subject=quoted.subject, sent_at=datetime.fromtimestamp(post.world.anchor - 20 * HOUR, UTC)
        .astimezone(ZoneInfo(rep.time_zone)), text=quoted.text, html=quoted.html,
    )  # fmt: skip
    post.forward("fwd, nested: the contact had forwarded it", rep, outer, "gmail")


def _forward_without_a_block(post: _Post) -> None:
    rep, at = post.rep(_SAM), post.world.anchor - 6 * HOUR
    story = "fwd, without any block"
    letter = post.letter(
        story, rep, at, subject="Fwd: Rates for the weekend edition",
        text="Please file this. They would like the same rates as last year.\n",
    )  # fmt: skip
    post.post(story, letter, at, rep=rep.email)


def _attribution_only(post: _Post) -> None:
    rep, at = post.rep(_SAM), post.world.anchor - 5 * HOUR
    contact, story = post.contact(rep, 0), "fwd, an attribution sentence only"
    asked = datetime.fromtimestamp(at - DAY, UTC).astimezone(ZoneInfo(rep.time_zone))
    said = f"On {asked:%a, %d %b %Y at %H:%M}, {contact['name']} <{contact['email']}> wrote:"
    letter = post.letter(
        story, rep, at, subject="Fwd: Offer 4711",
        text=f"See below.\n\n{said}\n> Could you confirm the dates by Friday?\n> Thank you.\n",
    )  # fmt: skip
    post.post(story, letter, at, rep=rep.email, original_from=contact["email"])


def _unknown_sender(post: _Post) -> None:
    story, at = "from somebody who is no user", post.world.anchor - 11 * HOUR
    letter = Letter(
        sender=_STRANGER, to=[post.crm], subject="Is this the right address?",
        date=formatdate(at - 2), text="Hello, who do I talk to about a classified ad?\n",
        message_id=post.message_id(story, "quietpost.example"),
    )  # fmt: skip
    post.post(story, letter, at)


def _spoofed(post: _Post) -> None:
    rep, at = post.rep(_SAM), post.world.anchor - 4 * HOUR
    contact, story = post.contact(rep, 0), "in a rep's name, with a forged verdict further down"
    sent_at = datetime.fromtimestamp(at - HOUR, UTC).astimezone(ZoneInfo(rep.time_zone))
    original = Original(
        sender=contact, to=[{"name": rep.name, "email": rep.email}], cc=[],
        subject="New bank account", sent_at=sent_at, text="From now on, please pay to this one.",
    )  # fmt: skip
    letter = forwarding.forward(
        original, by=rep, to=post.crm, client="gmail", at=datetime.fromtimestamp(at, UTC),
        message_id=post.message_id(story, "bulkmailer.example"),
    )  # fmt: skip
    post.post(story, letter, at, authentication="forged", claims=rep.email)


def _automatic_reply(post: _Post) -> None:
    rep, at = post.rep(_LENA), post.world.anchor - 3 * HOUR
    story = "an automatic reply"
    letter = post.letter(
        story, rep, at, subject="Automatic reply: Your copy was filed",
        text="I am away until Monday.\n",
        headers=[("Auto-Submitted", "auto-replied"), ("X-Auto-Response-Suppress", "All")],
    )  # fmt: skip
    post.post(story, letter, at, rep=rep.email)


def _invitation(post: _Post) -> None:
    rep, at = post.rep(_LENA), post.world.anchor - 2 * HOUR
    contact, story = post.contact(rep, 0), "a calendar invitation, BCC"
    starts = datetime.fromtimestamp(post.world.anchor + 3 * DAY + 10 * HOUR, UTC)
    calendar = "\r\n".join(
        (
            "BEGIN:VCALENDAR", "PRODID:-//North Sound Media//Sandbox//EN", "VERSION:2.0",
            "METHOD:REQUEST", "BEGIN:VEVENT", f"UID:{post.message_id(story)[1:-1]}",
            f"DTSTAMP:{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}",
            f"DTSTART:{starts:%Y%m%dT%H%M%SZ}", "DURATION:PT1H", "SUMMARY:Media plan",
            f"ORGANIZER:mailto:{rep.email}", f"ATTENDEE;RSVP=TRUE:mailto:{contact['email']}",
            "END:VEVENT", "END:VCALENDAR", "",
        )
    )  # fmt: skip
    letter = post.letter(
        story, rep, at, to=[contact], subject="Invitation: Media plan",
        text="You are invited to: Media plan\n", calendar=calendar,
        attachments=[Attachment("invite.ics", "application/ics", calendar.encode())],
    )  # fmt: skip
    post.post(story, letter, at, rep=rep.email)


_STORIES: tuple[Callable[[_Post], None], ...] = (
    _copies,
    _copy_that_is_nowhere_else,
    _logged_copy,
    _forwards,
    _nested_forward,
    _forward_without_a_block,
    _attribution_only,
    _unknown_sender,
    _spoofed,
    _automatic_reply,
    _invitation,
)
