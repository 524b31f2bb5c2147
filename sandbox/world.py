"""The world: who there is, and what message i of mailbox m says. Pure functions of the seed.

Nothing here is stored per message: `World.mail(m, i)` works out one message from a few integer
hashes, so that ten thousand mailboxes of a hundred thousand messages cost nothing until read.
What happens later (deliveries, moves, deletions) lies over it in `mailboxes.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from typing import Any

import msgspec

from sandbox import people
from sandbox.hashing import GOLDEN, MASK, mix, mix_of, text_hash, unmix
from sandbox.layout import BLOCK, ROLES, SENT_LETTERS, VARIANTS, Kind, Layout, Layouts, Slot

Party = dict[str, str]  # {"name": …, "email": …}, shared between messages: never to be changed

DAY = 86_400
HOUR = 3_600
BOOK_SIZE = 6
UNREAD_REACH = 200  # older mail is read, so that counting the unread costs no walk
# How busy each UTC hour of a working day is, for a company on three continents.
_HOUR_WEIGHTS = (1, 1, 1, 1, 1, 2, 5, 9, 12, 12, 11, 9, 8, 11, 12, 11, 9, 7, 4, 3, 3, 2, 2, 1)
_WEEKEND_SHARE = 6  # a weekend hour has a sixth of the mail


class Persona(msgspec.Struct, frozen=True):
    index: int
    username: str
    first: str
    last: str
    name: str
    email: str
    role: str
    manager: str
    time_zone: str
    aliases: tuple[str, ...]
    provider: str


class Contact(msgspec.Struct, frozen=True):
    index: int
    first: str
    last: str
    language: str
    phone: str
    parties: tuple[Party, ...]  # one per address

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(party["email"] for party in self.parties)


class Company(msgspec.Struct, frozen=True):
    number: str  # empty for a company that is nobody's customer
    name: str
    domain: str
    contacts: tuple[Contact, ...]


class Mail(msgspec.Struct, gc=False):
    """One message as its mailbox has it now. `body` is None while it can be generated."""

    uid: int
    date: int
    subject: str
    sender: list[Party]
    to: list[Party]
    cc: list[Party]
    bcc: list[Party]
    reply_to: list[Party]
    folders: tuple[str, ...]  # folder IDs
    message_id: str | None
    in_reply_to: str | None
    references: tuple[str, ...]
    thread: int
    unread: bool
    starred: bool
    kind: int
    noise: int  # the message's hash: decides body, attachments, format
    language: str = "en"
    version: int = 0
    is_draft: bool = False
    body: str | None = None
    is_html: bool = False
    attachments: tuple[dict[str, Any], ...] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    metadata: dict[str, Any] | None = None


class World:
    def __init__(
        self, *, seed: int, anchor: int, mailboxes: int, messages: int, history_days: int
    ) -> None:
        self.seed = seed
        self.anchor = anchor
        self.size = mailboxes
        self.messages = messages
        self.history_days = history_days
        self.layouts = Layouts(seed)
        self._last_layout_key = (-1, -1)
        self._last_layout = self.layouts.of(0, 0)
        self._salt = mix_of(seed, 1)
        self._id_salt = mix_of(seed, 2)
        self._message_id_salt = mix_of(seed, 3)
        self._thread_salt = mix_of(seed, 4)
        self._hour_ends = self._spread_over_hours()
        self.customers = self._make_customers()
        self.prospects = self._make_prospects()
        self.office: Party = {"name": "Traffic Desk", "email": f"traffic@{people.DOMAIN}"}

    # --- people -------------------------------------------------------------------------------

    @lru_cache(maxsize=20_000)  # noqa: B019 - one world lives as long as the process
    def persona(self, index: int) -> Persona:
        """The person of mailbox `index`; also defined beyond the last mailbox (a colleague)."""
        provider = "google" if index % 4 in (0, 3) else "microsoft"
        if index < len(people.FIXED_PEOPLE):
            fixed = people.FIXED_PEOPLE[index]
            local = f"{fixed.first}.{fixed.last}".lower()
            return Persona(
                index, fixed.username, fixed.first, fixed.last, fixed.display,
                f"{local}@{people.DOMAIN}", fixed.role, fixed.manager, fixed.time_zone,
                fixed.aliases, provider,
            )  # fmt: skip
        number = index - len(people.FIXED_PEOPLE)
        combinations = len(people.REP_FIRST) * len(people.REP_LAST)  # 41 x 43, coprime
        place = number % combinations
        first = people.REP_FIRST[place % len(people.REP_FIRST)]
        last = people.REP_LAST[(place * 7 + self.seed) % len(people.REP_LAST)]
        suffix = str(number // combinations + 1) if number >= combinations else ""
        username = f"{first}.{last}{suffix}".lower()
        zone = people.REP_ZONES[mix_of(self.seed, 11, index) % len(people.REP_ZONES)]
        return Persona(
            index, username, first, last, f"{first} {last}", f"{username}@{people.DOMAIN}",
            "rep", "lena", zone, (), provider,
        )  # fmt: skip

    @lru_cache(maxsize=20_000)  # noqa: B019
    def party(self, index: int) -> Party:
        persona = self.persona(index)
        return {"name": persona.name, "email": persona.email}

    def staff(self) -> list[Persona]:
        """Everybody of our company: the fixed people and the generated reps."""
        return [self.persona(n) for n in range(max(self.size, len(people.FIXED_PEOPLE)))]

    def _company(self, key: int, number: str, name: str, label: str, names_from: int) -> Company:
        domain = f"{label}.example"
        h = mix_of(self.seed, 21, key)
        # The first two companies always have the people that the documentation speaks of.
        count = 3 if key == 0 else 2 + h % 3
        contacts = []
        for n in range(count):
            who = people.CONTACT_NAMES[(names_from + n) % len(people.CONTACT_NAMES)]
            index = key * 8 + n
            noise = mix_of(self.seed, 22, index)
            family_first = who.language in ("ja", "zh", "ko")
            full = f"{who.last} {who.first}" if family_first else f"{who.first} {who.last}"
            parties = [{"name": full, "email": f"{who.local}@{domain}"}]
            if noise % 4 == 0:
                parties.append({"name": full, "email": f"{who.local}@mobile.{domain}"})
            phone = f"+49 30 5550{noise % 10_000:04d}"
            contacts.append(
                Contact(index, who.first, who.last, who.language, phone, tuple(parties))
            )
        return Company(number, name, domain, tuple(contacts))

    def _make_customers(self) -> tuple[Company, ...]:
        # Twelve for a demonstration; then with the root of the number of mailboxes.
        count = 12 + int(4 * max(0, self.size - 6) ** 0.5)
        result, names_from = [], 0
        for key in range(count):
            if key < len(people.CUSTOMERS):
                name, label = people.CUSTOMERS[key]
            else:
                more = key - len(people.CUSTOMERS)
                second, first = divmod(more, len(people.MORE_FIRST))
                again, second = divmod(second, len(people.MORE_SECOND))
                words = f"{people.MORE_FIRST[first]} {people.MORE_SECOND[second]}"
                name = f"{words} {again + 1}" if again else words
                label = name.lower().replace(" ", "-")
            company = self._company(key, f"C-{1001 + key}", name, label, names_from)
            names_from += len(company.contacts)
            result.append(company)
        return tuple(result)

    def _make_prospects(self) -> tuple[Company, ...]:
        return tuple(
            self._company(100_000 + n, "", name, label, 3 * n + 7)
            for n, (name, label) in enumerate(people.PROSPECTS)
        )

    @lru_cache(maxsize=20_000)  # noqa: B019
    def book(self, index: int) -> tuple[Company, ...]:
        """The customers that a rep corresponds with; neighbours share one."""
        count = len(self.customers)
        return tuple(
            self.customers[(index * (BOOK_SIZE - 1) + n) % count]
            for n in range(min(BOOK_SIZE, count))
        )

    def has_flagged(self, index: int, contact: Contact) -> bool:
        """Whether the contact is a My Contact of the rep; about a fifth is not."""
        if index == 0 and contact.index < 2:
            return contact.index == 0  # Mia has flagged J. Ruiz of Harbor Foods, K. Lee she has not
        return mix_of(self.seed, 31, index, contact.index) % 100 < 80

    def contact_flags(self) -> dict[int, list[str]]:
        """For each contact's index the user names that have flagged it."""
        flags: dict[int, list[str]] = {}
        for persona in self.staff():
            for company in self.book(persona.index):
                for contact in company.contacts:
                    if self.has_flagged(persona.index, contact):
                        flags.setdefault(contact.index, []).append(persona.username)
        return flags

    # --- time ---------------------------------------------------------------------------------

    def _spread_over_hours(self) -> list[int]:
        """How many messages are newer than the end of each hour before the anchor."""
        weights = []
        for n in range(self.history_days * 24):
            moment = self.anchor - (n + 1) * HOUR
            weekday = (moment // DAY + 3) % 7  # 1970-01-01 was a Thursday
            weight = _HOUR_WEIGHTS[moment % DAY // HOUR] * _WEEKEND_SHARE
            weights.append(weight // _WEEKEND_SHARE if weekday >= 5 else weight)
        total, running, ends = sum(weights), 0, [0]
        for weight in weights:
            running += weight
            ends.append(self.messages * running // total)
        return ends

    def date(self, index: int, i: int) -> int:
        """When message i reached mailbox `index`; strictly decreasing with i (up to 3,600 an hour).

        Shared messages have the same date in both mailboxes of a pair.
        """
        slot = self.layout(index, i // BLOCK).slots[i % BLOCK]
        return self._date(index, i, slot.is_shared)

    def _date(self, index: int, i: int, is_shared: bool) -> int:
        ends = self._hour_ends
        hour = bisect_right(ends, i) - 1
        first = ends[hour]
        count = ends[hour + 1] - first
        gap = HOUR // count
        scope = index >> 1 if is_shared else index | 1 << 40
        jitter = mix(self._salt ^ (scope << 20) ^ i) % gap if gap > 1 else 0
        return self.anchor - 1 - hour * HOUR - (i - first) * HOUR // count - jitter

    def first_not_newer(self, index: int, moment: int) -> int:
        """The first i whose date is `moment` or older."""
        ends = self._hour_ends
        hour = (self.anchor - 1 - moment) // HOUR
        if hour < 0:
            return 0
        if hour >= len(ends) - 1:
            return self.messages
        low, high = ends[hour], ends[hour + 1]
        while low < high:
            middle = (low + high) // 2
            if self.date(index, middle) > moment:
                low = middle + 1
            else:
                high = middle
        return low

    # --- IDs ----------------------------------------------------------------------------------

    def encode(self, salt: str, index: int, number: int, version: int = 0) -> int:
        """An opaque 64-bit number for (mailbox, number, version); `decode` takes it apart."""
        return mix((index << 44 | version << 32 | number) ^ self._salt_of(salt))

    def decode(self, salt: str, value: int) -> tuple[int, int, int]:
        x = unmix(value) ^ self._salt_of(salt)
        return x >> 44, x & 0xFFFFFFFF, x >> 32 & 0xFFF

    def _salt_of(self, name: str) -> int:
        return self._id_salt if name == "message" else self._thread_salt

    def _message_id(self, scope: int, block: int, thread: int, step: int, domain: str) -> str:
        x = (scope << 36 | block << 11 | thread << 4 | step) ^ self._message_id_salt
        return f"<{mix(x):016x}@{domain}>"

    def find_by_message_id(self, index: int, message_id: str) -> int | None:
        """The i of the generated message with this Message-ID in this mailbox."""
        try:
            value = int(message_id.strip("<>").split("@")[0], 16)
        except ValueError:
            return None
        x = unmix(value & MASK) ^ self._message_id_salt
        scope, block, thread, step = x >> 36, x >> 11 & 0x1FFFFFF, x >> 4 & 0x7F, x & 0xF
        if scope not in (index << 1, (index >> 1) << 1 | 1) or block * BLOCK >= self.messages:
            return None
        for i in self.thread_members(index, block << 7 | thread):
            if self.slot(index, i).step == step and self.mail(index, i).message_id == message_id:
                return i
        return None

    # --- messages -----------------------------------------------------------------------------

    def layout(self, index: int, block: int) -> Layout:
        key = (index, block)
        if key != self._last_layout_key:  # pages run through block after block
            variant = mix(self._salt ^ (index >> 1) << 32 ^ block) % VARIANTS
            self._last_layout_key = key
            self._last_layout = self.layouts.of(variant, index & 1)
        return self._last_layout

    def slot(self, index: int, i: int) -> Slot:
        return self.layout(index, i // BLOCK).slots[i % BLOCK]

    def thread_members(self, index: int, thread: int) -> list[int]:
        """The i of all generated messages of a thread, newest first."""
        block, number = thread >> 7, thread & 0x7F
        places = self.layout(index, block).by_thread.get(number, [])
        return [block * BLOCK + p for p in places if block * BLOCK + p < self.messages]

    def mail(self, index: int, i: int) -> Mail:
        """Message i of mailbox `index`; its folders still as roles."""
        block, place = divmod(i, BLOCK)
        slot = self.layout(index, block).slots[place]
        kind, thread, step, letter, pattern, is_shared = slot
        scope = (index >> 1) << 1 | 1 if is_shared else index << 1
        topic = mix(self._salt ^ scope << 40 ^ block << 8 ^ thread)
        noise = mix((topic + step * GOLDEN) & MASK)
        me = self.party(index)
        provider = self.persona(index).provider
        if kind is Kind.SELF and step == 1 and provider == "google":
            # A label mailbox has a note to oneself once, under two labels; this place is free.
            kind, topic, step = Kind.NOTICE, mix(topic), 0
        context = _Context(self, index, topic, noise, step, letter, pattern, me)
        subject, sender, to, cc, bcc, language, reply_to = _WRITERS[kind](context)
        message_id: str | None
        in_reply_to: str | None = None
        references: tuple[str, ...] = ()
        if kind is Kind.SELF:
            message_id = self._message_id(scope, block, thread, 0, people.DOMAIN)
        else:
            message_id = self._message_id(scope, block, thread, slot.step, _domain(sender))
            if step:
                references = tuple(
                    self._message_id(scope, block, thread, n, _domain(context.sender_of(kind, n)))
                    for n in range(step)
                )
                in_reply_to = references[-1]
        if kind is Kind.NOTICE and block in (0, 2) and topic % 5 == 0 and letter == "R":
            message_id = None
        return Mail(
            i, self._date(index, i, is_shared), subject, [sender], to, cc, bcc, reply_to,
            ROLES[provider][letter], message_id, in_reply_to, references,
            block << 7 | thread,
            i < UNREAD_REACH and letter not in SENT_LETTERS and noise >> 40 & 7 < 3,
            noise >> 44 & 31 == 0, int(kind), noise, language,
            is_draft=kind is Kind.DRAFT,
        )  # fmt: skip


def _domain(party: Party) -> str:
    return party["email"].rpartition("@")[2]


class _Context(msgspec.Struct, gc=False):
    """What the writers below need to know of the message they write."""

    world: World
    index: int
    topic: int  # the hash of the conversation
    noise: int  # the hash of the message
    step: int
    letter: str
    pattern: str
    me: Party

    @property
    def is_sent(self) -> bool:
        return self.letter in SENT_LETTERS

    def subject(self, texts: tuple[str, ...], company: str = "", language: str = "en") -> str:
        text = texts[(self.topic >> 24) % len(texts)]
        if "{" in text:
            text = text.format(n=100 + (self.topic >> 12) % 9_900, c=company)
        if self.step:
            return ("AW: " if language == "de" else "Re: ") + text
        return text

    def colleague(self) -> Party:
        return self.world.party(self.index ^ 1)

    def sender_of(self, kind: Kind, step: int) -> Party:
        """Who wrote message `step` of this conversation: its domain is in the Message-ID."""
        letter = self.pattern[step]
        if letter in SENT_LETTERS or kind in (Kind.INTERNAL, Kind.SELF):
            return self.me
        if kind is Kind.SHARED and step == 1:
            return self.me
        if kind is Kind.PROSPECT:
            return _prospect(self).parties[0]
        if kind is Kind.PERSONAL:
            return _friend(self)
        _, contact = _customer(self, kind)
        return _address(self, contact)


Written = tuple[str, Party, list[Party], list[Party], list[Party], str, list[Party]]


def _customer(context: _Context, kind: Kind) -> tuple[Company, Contact]:
    owner = context.index
    if kind is Kind.SHARED and context.pattern == "RR":
        owner ^= 1
    book = context.world.book(owner)
    company = book[context.topic % len(book)]
    return company, company.contacts[(context.topic >> 8) % len(company.contacts)]


def _address(context: _Context, contact: Contact) -> Party:
    return contact.parties[(context.topic >> 16) % len(contact.parties)]


def _prospect(context: _Context) -> Contact:
    companies = context.world.prospects
    company = companies[context.topic % len(companies)]
    return company.contacts[(context.topic >> 8) % len(company.contacts)]


def _friend(context: _Context) -> Party:
    name, email = people.PERSONAL_PEOPLE[context.topic % len(people.PERSONAL_PEOPLE)]
    return {"name": name, "email": email}


def _from_customer(context: _Context) -> Written:
    company, contact = _customer(context, Kind.CUSTOMER)
    them = _address(context, contact)
    language, noise = contact.language, context.noise
    subject = context.subject(people.SUBJECTS[language], company.name, language)
    cc: list[Party] = []
    if noise & 3 == 0:
        other = company.contacts[(contact.index + 1) % 8 % len(company.contacts)]
        if other is not contact:
            cc.append(other.parties[0])
    if noise >> 2 & 7 == 0:
        cc.append(context.world.office)
    me = context.me
    aliases = context.world.persona(context.index).aliases
    if aliases and noise >> 8 & 7 == 0:
        me = {"name": me["name"], "email": aliases[0]}
    if not context.is_sent:
        return subject, them, [me], cc, [], language, []
    bcc = [company.contacts[0].parties[0]] if noise >> 5 & 7 == 0 else []
    return subject, me, [them], cc, bcc, language, []


def _from_shared(context: _Context) -> Written:
    company, contact = _customer(context, Kind.SHARED)
    them = _address(context, contact)
    mine = context.pattern == "RS"
    owner = context.me if mine else context.colleague()
    copy = context.colleague() if mine else context.me
    subject = context.subject(people.SUBJECTS[contact.language], company.name, contact.language)
    if context.step == 0:
        return subject, them, [owner], [copy], [], contact.language, []
    return subject, owner, [them], [copy], [], contact.language, []


def _from_prospect(context: _Context) -> Written:
    contact = _prospect(context)
    them = contact.parties[0]
    subject = context.subject(people.SUBJECTS[contact.language], "our side", contact.language)
    if context.is_sent:
        return subject, context.me, [them], [], [], contact.language, []
    return subject, them, [context.me], [], [], contact.language, []


def _from_colleague(context: _Context) -> Written:
    book = context.world.book(context.index & ~1)
    subject = context.subject(people.INTERNAL_SUBJECTS, book[context.topic % len(book)].name)
    cc = [context.world.office] if context.noise & 3 == 0 else []
    pair = (context.me, context.colleague())
    sender, receiver = pair if context.is_sent else pair[::-1]
    return subject, sender, [receiver], cc, [], "en", []


def _from_friend(context: _Context) -> Written:
    friend = _friend(context)
    subject = people.PERSONAL[(context.topic >> 8) % len(people.PERSONAL)][0]
    if context.step:
        subject = "Re: " + subject
    if context.is_sent:
        return subject, context.me, [friend], [], [], "en", []
    return subject, friend, [context.me], [], [], "en", []


def _from_myself(context: _Context) -> Written:
    subject = people.SELF_SUBJECTS[context.topic % len(people.SELF_SUBJECTS)]
    return subject, context.me, [context.me], [], [], "en", []


def _from_machine(context: _Context, table: tuple[tuple[str, str, str, str], ...]) -> Written:
    name, email, subject, _ = table[context.topic % len(table)]
    if "{" in subject:
        subject = subject.format(n=10 + (context.topic >> 12) % 90)
    to = [context.me]
    if context.noise & 15 == 0:
        # Sent by Bcc only: Google leaves To blank, Microsoft writes a phrase.
        google = context.world.persona(context.index).provider == "google"
        to = [] if google else [{"name": "Undisclosed recipients", "email": ""}]
    domain = email.rpartition("@")[2]
    reply_to: list[Party] = []
    if context.noise >> 4 & 3 == 0:
        reply_to = [{"name": name, "email": f"reply@{domain}"}]
    return subject, {"name": name, "email": email}, to, [], [], "en", reply_to


def _newsletter(context: _Context) -> Written:
    return _from_machine(context, people.NEWSLETTERS)


def _notice(context: _Context) -> Written:
    return _from_machine(context, people.NOTICES)


def _spam(context: _Context) -> Written:
    return _from_machine(context, people.SPAM)


def _draft(context: _Context) -> Written:
    _, contact = _customer(context, Kind.CUSTOMER)
    subject = people.DRAFT_SUBJECTS[context.topic % len(people.DRAFT_SUBJECTS)]
    to = [_address(context, contact)] if context.noise & 1 else []
    return subject, context.me, to, [], [], "en", []


_WRITERS = {
    Kind.CUSTOMER: _from_customer,
    Kind.SHARED: _from_shared,
    Kind.PROSPECT: _from_prospect,
    Kind.INTERNAL: _from_colleague,
    Kind.PERSONAL: _from_friend,
    Kind.SELF: _from_myself,
    Kind.NEWSLETTER: _newsletter,
    Kind.NOTICE: _notice,
    Kind.SPAM: _spam,
    Kind.DRAFT: _draft,
}


def stable_uuid(seed: int, text: str) -> str:
    """A UUID that is the same in every process of this seed."""
    key = text_hash(text)
    h = "".join(f"{mix(key ^ mix_of(seed, half)):016x}" for half in (41, 42))
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:32]}"
