"""Why a message is, or is not, in the CRM: ledger entries in plain words. Pure functions.

They read the trace that `email_sync.rules` writes. A trace may be older than this code, or emptied
when its time was over, so every key may be missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Addresses that a sentence names before it says “and 3 more”.
NAMED_AT_MOST = 2

_ROLES = {"from": "From", "to": "To", "cc": "Cc", "bcc": "Bcc"}

RULES = {
    "matched": "An address belongs to one of the user's My Contacts: the message is kept.",
    "not-my-contact": "Only contacts flagged as My Contact sync; none of these is.",
    "unknown-address": "No contact in the CRM has any of the addresses.",
    "before-sync-start": "Only messages dated on or after the start of the sync are kept.",
    "excluded-address": "Mail with an address on the never-log list is left out.",
    "excluded-domain": "Mail with a domain on the never-log list is left out.",
    "internal-only": "Mail in which everybody is inside the company is left out.",
    "deleted-in-crm": "A message deleted in the CRM stays deleted.",
    "processing-error": "The message could not be read, so nothing of it was kept.",
    "automated-mail": "Mail that a machine sent is never logged, and never answered.",
    "calendar-invite": "Invitations are the calendar's matter, not that of BCC and forwarding.",
    "loop": "Mail of the intake mailbox and of the CRM itself is never logged.",
    "sender-not-registered": "Only mail from a user's own address is logged.",
    "sender-not-authenticated": "Only mail that is proved to be from the user is logged.",
    "forward-unparsed": "Of a forward, the message inside it is logged.",
    "forward-unsure": "A forward is logged only where its original sender is certain.",
    "several-originals": "A forward of a stored email is linked to that one email.",
    "automatic-forward": "What a mail account forwards by itself is not proof of the user.",
    "source-off": "Only ways of logging that are switched on are read.",
}
#: Reasons that need no names.
_SENTENCES = {
    "excluded-address": "An address on it is never logged, so not even its subject is kept.",
    "excluded-domain": "A domain on it is never logged, so not even its subject is kept.",
    "internal-only": "Everybody on it is inside the company, so not even its subject is kept.",
    "deleted-in-crm": "It was deleted in the CRM, so it is not brought back.",
    "calendar-invite": (
        "It is a calendar invitation. Accepted ones come in with the calendar sync of the user."
    ),
    "forward-unparsed": (
        "No forwarded message was found in it. Forward it again as an attachment, "
        "or name its sender in the review list."
    ),
    "forward-unsure": (
        "Who wrote the forwarded message is not certain. Name its sender in the review list."
    ),
    "several-originals": (
        "Several stored emails could be the one that was forwarded. Choose one in the review list."
    ),
    "source-off": (
        "This way of logging was switched off when it came in. "
        "An admin can switch it on for what comes later."
    ),
}
#: The rule whose finding begins the sentence, and what can be done about it.
_FINDINGS = {
    "automated-mail": ("system-mail", "Nothing needs to be done."),
    "loop": ("loop", "Check that no rule sends the intake mailbox its own mail."),
    "sender-not-registered": (
        "sender",
        "If it is a user's, add it to their aliases and try again from the review list.",
    ),
    "automatic-forward": (
        "automatic-forwarding",
        "Forward single messages by hand, or let an admin allow automatic forwarding.",
    ),
}
_SAME_RULE = {"my-contact": "matched", "processing-failed": "processing-error"}


@dataclass(frozen=True)
class Owner:
    """The user whose mailbox it is, as the sentence calls them: “Mia's”, “your”."""

    possessive: str

    @classmethod
    def called(cls, first_name: str, *, is_reader: bool) -> "Owner":
        return cls("your" if is_reader else f"{first_name}'s")


@dataclass(frozen=True)
class Person:
    """A contact that a message was compared with, as known when it was decided."""

    name: str
    customer: str
    customer_id: int | None
    is_mine: bool


@dataclass(frozen=True)
class SeenAddress:
    """One address of the message, and who it turned out to be."""

    address: str
    role: str
    is_own: bool
    people: tuple[Person, ...]
    is_inside: bool = False
    is_tried: bool = True

    @property
    def is_strange(self) -> bool:
        """Whether it could have been a contact's."""
        return self.is_tried and not self.is_own and not self.is_inside


@dataclass(frozen=True)
class Step:
    """One rule of the intake and what it found, in words."""

    rule: str
    words: str


@dataclass(frozen=True)
class Trace:
    rule: str
    addresses: tuple[SeenAddress, ...]
    left_out: int
    cause: str
    steps: tuple[Step, ...] = ()
    claimed: str = ""
    decided: str = ""

    @property
    def mine(self) -> tuple[Person, ...]:
        return self._people(is_mine=True)

    @property
    def others(self) -> tuple[Person, ...]:
        return self._people(is_mine=False)

    @property
    def rule_in_words(self) -> str:
        return RULES.get(self.rule, self.rule.replace("-", " ").capitalize())

    def _people(self, *, is_mine: bool) -> tuple[Person, ...]:
        found = (p for seen in self.addresses if seen.is_strange for p in seen.people)
        return tuple(dict.fromkeys(p for p in found if p.is_mine == is_mine))


def read_trace(trace: object, *, reason: str) -> Trace:
    """The stored trace, made whole. What is missing or malformed is left out, never an error."""
    stored: Mapping[str, Any] = trace if isinstance(trace, Mapping) else {}
    rule = str(stored.get("rule") or reason)
    left_out = stored.get("left_out")
    intake = stored.get("intake")
    intake = intake if isinstance(intake, Mapping) else {}
    claimed = intake.get("claimed")
    return Trace(
        rule=_SAME_RULE.get(rule, rule),
        addresses=tuple(_seen(entry) for entry in _mappings(stored.get("addresses"))),
        left_out=left_out if isinstance(left_out, int) else 0,
        cause=str(stored.get("cause") or ""),
        steps=tuple(
            Step(str(step.get("rule", "")), str(step.get("words", "")))
            for step in _mappings(intake.get("steps"))
        ),
        claimed=str(claimed.get("name", "")) if isinstance(claimed, Mapping) else "",
        decided=str(stored.get("decided") or ""),
    )


def _seen(entry: Mapping[str, Any]) -> SeenAddress:
    role = str(entry.get("role", ""))
    return SeenAddress(
        address=str(entry.get("address", "")),
        role=_ROLES.get(role, role),
        is_own=bool(entry.get("is_own")),
        people=tuple(_person(contact) for contact in _mappings(entry.get("contacts"))),
        is_inside=bool(entry.get("is_inside")),
        is_tried=entry.get("is_tried") is not False,
    )


def _person(contact: Mapping[str, Any]) -> Person:
    customer_id = contact.get("customer_id")
    return Person(
        name=str(contact.get("name") or "a contact"),
        customer=str(contact.get("customer") or "a customer"),
        customer_id=customer_id if isinstance(customer_id, int) else None,
        is_mine=bool(contact.get("is_mine")),
    )


def _mappings(found: object) -> Iterable[Mapping[str, Any]]:
    return (
        (entry for entry in found if isinstance(entry, Mapping)) if isinstance(found, list) else ()
    )


def explain(trace: Trace, *, reason: str, owner: Owner, starts: str, is_expired: bool) -> str:
    """The sentence beside a message. `starts` is the date of the start of the sync, or ""."""
    if is_expired:
        return (
            f"{RULES.get(reason, 'It did not match.')} "
            "Its addresses and subject were removed when the time to keep them was over."
        )
    if reason == "matched":
        return _matched(trace.mine, owner)
    if reason == "not-my-contact":
        return _not_mine(trace.others, owner)
    if reason == "unknown-address":
        return _unknown(trace, owner)
    if reason == "before-sync-start":
        start = f" ({starts})" if starts else ""
        return f"It is dated before the start of {owner.possessive} sync{start}."
    if reason in _SENTENCES:
        return _SENTENCES[reason]
    if reason == "sender-not-authenticated":
        return _unproved(trace)
    if reason in _FINDINGS:
        rule, remedy = _FINDINGS[reason]
        found = next((step.words for step in trace.steps if step.rule == rule), RULES[reason])
        return f"{found} {remedy}"
    if reason == "processing-error":
        return trace.cause or "It could not be read; the provider gave no cause."
    return trace.cause or trace.rule_in_words


def _matched(people: Sequence[Person], owner: Owner) -> str:
    if not people:
        return f"It is with one of {owner.possessive} contacts."
    if len(people) == 1:
        return f"{_of(people[0])} is one of {owner.possessive} contacts."
    return f"{_listed([_of(person) for person in people])} are {owner.possessive} contacts."


def _not_mine(people: Sequence[Person], owner: Owner) -> str:
    if not people:
        return f"Somebody on it is a contact, but not one of {owner.possessive} contacts."
    if len(people) == 1:
        person = people[0]
        return (
            f"{person.name} is a contact of {person.customer}, "
            f"but not one of {owner.possessive} contacts."
        )
    return (
        f"{_listed([_of(person) for person in people])} are contacts, "
        f"but none of them is one of {owner.possessive} contacts."
    )


def _unproved(trace: Trace) -> str:
    return (
        f"It says that it is from {trace.claimed or 'a user'}, but Gmail could not prove it. "
        "An admin can approve it in the review list, or trust the address from now on."
    )


def _unknown(trace: Trace, owner: Owner) -> str:
    strangers = list(dict.fromkeys(s.address for s in trace.addresses if s.is_strange))
    if not strangers and any(s.is_inside for s in trace.addresses):
        return f"Only {owner.possessive} own addresses and colleagues are on it."
    if not strangers and trace.addresses:
        return f"Only {owner.possessive} own addresses are on it."
    if not strangers:
        return "No contact has any of its addresses."
    if len(strangers) == 1 and not trace.left_out:
        return f"No contact has the address {strangers[0]}."
    return f"No contact has any of the addresses {_listed(strangers, trace.left_out)}."


def _of(person: Person) -> str:
    return f"{person.name} of {person.customer}"


def _listed(names: Sequence[str], left_out: int = 0) -> str:
    """“a, b and 3 more”."""
    shown = list(names[: NAMED_AT_MOST + 1])
    more = len(names) + left_out - len(shown)
    if more:
        shown = shown[:NAMED_AT_MOST]
        shown.append(f"{len(names) + left_out - len(shown)} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
