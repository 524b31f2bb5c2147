"""What becomes of a message: pure functions over plain values.

The rules are the seeds' (001, “Email Synchronization”) as settled in the design.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from accounts.addresses import domain_of, normalise
from accounts.folders import NEVER_SYNCED
from crm_sync.providers.types import MessageHeaders

#: A trace names this many addresses at most, and a ledger entry is found by this many; a message
#: may have thousands.
TRACE_ADDRESSES = 50
SEARCHED_ADDRESSES = 200

Direction = Literal["sent", "received"]
Role = Literal["from", "to", "cc", "bcc"]


class KnownContact(Struct, frozen=True):
    """A contact that has a certain address, and whether the mailbox's user flagged it."""

    id: int
    name: str
    customer_id: int
    customer: str
    customer_number: str
    is_mine: bool


class Match(Struct, frozen=True):
    """One flagged contact and the address by which the message belongs to them."""

    address: str
    contact: KnownContact


class Exclusions(Struct, frozen=True):
    """What is never logged for a user, normalised; a domain means exactly itself.

    Mail in which every party is inside the `company_domains` is left out too.
    """

    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    company_domains: frozenset[str] = frozenset()


class Comparison(Struct, frozen=True):
    """Whose addresses are looked for among the user's contacts, and which way the message went."""

    direction: Direction
    roles: tuple[Role, ...]


class Decision(Struct, frozen=True):
    """What becomes of a message.

    `others` are the addresses that were compared; `trace` is how it was decided, for the ledger.
    """

    outcome: Literal["matched", "unmatched", "excluded", "failed"]
    reason: str
    direction: Direction
    matches: tuple[Match, ...]
    trace: dict[str, Any]
    others: tuple[str, ...] = ()


def is_never_synced(message: MessageHeaders, *, roles: Mapping[str, str]) -> bool:
    """Drafts, and what lies in Drafts, Trash or Junk; `roles` are the folders' roles by id."""
    return message.is_draft or any(
        roles.get(folder_id) in NEVER_SYNCED for folder_id in message.folder_ids
    )


def addresses_of(message: MessageHeaders) -> dict[str, tuple[str, ...]]:
    """The message's normalised addresses by role, each once, in the order of the headers."""
    return {
        "from": _normalised(a.address for a in message.from_),
        "to": _normalised(a.address for a in message.to),
        "cc": _normalised(a.address for a in message.cc),
        "bcc": _normalised(a.address for a in message.bcc),
    }


def _normalised(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(normalise, addresses))))


def direction_of(senders: Iterable[str], *, own: frozenset[str]) -> Direction:
    """Sent when From is one of the user's own addresses, else received."""
    return "sent" if own.intersection(senders) else "received"


def as_synced(addresses: Mapping[str, Sequence[str]], *, own: frozenset[str]) -> Comparison:
    """Mail of the user's own mailbox: From, To and Cc, and Bcc too on what the user sent."""
    direction = direction_of(addresses["from"], own=own)
    is_sent = direction == "sent"
    return Comparison(direction, ("from", "to", "cc", "bcc") if is_sent else ("from", "to", "cc"))


def decide(
    addresses: Mapping[str, Sequence[str]],
    *,
    received_at: datetime | None,
    own: frozenset[str],
    known: Mapping[str, Sequence[KnownContact]],
    sync_from: datetime | None,
    exclusions: Exclusions,
    compared: Comparison | None = None,
    inside: frozenset[str] = frozenset(),
) -> Decision:
    """Whether a message is stored, for which contacts, and why (or why not).

    The addresses of `compared` (`as_synced` where it is left out) are compared with the user's own
    contacts. The user's own addresses never match, nor do those `inside`. `addresses` are
    normalised, by role; `known` holds every contact that has one of them, flagged by this user or
    not. An exclusion concerns every address and outranks a match.
    """
    compared = compared or as_synced(addresses, own=own)
    seen = list(_others(addresses, direction=compared.direction, own=own))
    tried = [a for role, a in seen if role in compared.roles and a not in inside]
    matches: dict[int, Match] = {}
    for address in tried:
        for contact in known.get(address, ()):
            if contact.is_mine:
                matches.setdefault(contact.id, Match(address=address, contact=contact))
    excluded = _excluded([address for _, address in seen], addresses, own | inside, exclusions)
    outcome: Literal["matched", "unmatched", "excluded"] = "unmatched"
    if received_at and sync_from and received_at < sync_from:
        reason, matches = "before-sync-start", {}
    elif excluded:
        outcome, reason, matches = "excluded", excluded, {}
    elif matches:
        outcome = reason = "matched"
    elif any(known.get(address) for address in tried):
        reason = "not-my-contact"
    else:
        reason = "unknown-address"
    return Decision(
        outcome=outcome,
        reason=reason,
        direction=compared.direction,
        matches=tuple(matches.values()),
        trace=_trace(reason, addresses, own=own, inside=inside, known=known, roles=compared.roles),
        others=tuple(dict.fromkeys(address for _, address in seen))[:SEARCHED_ADDRESSES],
    )


def refuse(
    reason: str, addresses: Mapping[str, Sequence[str]], *, direction: Direction
) -> Decision:
    """A message whose contacts were not looked for, since an earlier rule ended it."""
    seen = (address for role in ("from", "to", "cc") for address in addresses[role])
    return Decision(
        outcome="unmatched",
        reason=reason,
        direction=direction,
        matches=(),
        trace=_trace(reason, addresses, own=frozenset(), inside=frozenset(), known={}, roles=()),
        others=tuple(dict.fromkeys(seen))[:SEARCHED_ADDRESSES],
    )


def combine(decisions: Sequence[Decision]) -> Decision:
    """What becomes of a forward that holds several messages: the best of them, and all matches."""
    order = ("matched", "not-my-contact", "unknown-address")
    best = min(decisions, key=lambda d: order.index(d.reason) if d.reason in order else len(order))
    matches = {match.contact.id: match for d in decisions for match in d.matches}
    seen = [address for d in decisions for address in d.trace["addresses"]]
    cut = sum(d.trace["left_out"] for d in decisions) + max(0, len(seen) - TRACE_ADDRESSES)
    others = dict.fromkeys(address for d in decisions for address in d.others)
    return Decision(
        outcome=best.outcome,
        reason=best.reason,
        direction=best.direction,
        matches=tuple(matches.values()),
        trace={"rule": best.reason, "addresses": seen[:TRACE_ADDRESSES], "left_out": cut},
        others=tuple(others)[:SEARCHED_ADDRESSES],
    )


def _excluded(
    others: Sequence[str],
    addresses: Mapping[str, Sequence[str]],
    inside: frozenset[str],
    exclusions: Exclusions,
) -> str:
    """The reason for which a message is never logged; "" for none. `others` are not `inside`."""
    if exclusions.addresses.intersection(others):
        return "excluded-address"
    if any(domain_of(address) in exclusions.domains for address in others):
        return "excluded-domain"
    parties = {address for group in addresses.values() for address in group}
    if exclusions.company_domains and parties:
        outside = (a for a in parties - inside if domain_of(a) not in exclusions.company_domains)
        if not any(outside):
            return "internal-only"
    return ""


def _others(
    addresses: Mapping[str, Sequence[str]], *, direction: Direction, own: frozenset[str]
) -> Iterator[tuple[str, str]]:
    roles = ("from", "to", "cc", "bcc") if direction == "sent" else ("from", "to", "cc")
    for role in roles:
        for address in addresses[role]:
            if address not in own:
                yield role, address


def _trace(
    rule: str,
    addresses: Mapping[str, Sequence[str]],
    *,
    own: frozenset[str],
    inside: frozenset[str],
    known: Mapping[str, Sequence[KnownContact]],
    roles: Sequence[str],
) -> dict[str, Any]:
    """Who each address is; those that are somebody come first, so that a cut loses strangers.

    `is_inside` and `is_tried` are named only where they are not the usual False and True.
    """
    seen: list[dict[str, Any]] = [
        {
            "address": address,
            "role": role,
            "is_own": address in own,
            **({"is_inside": True} if address in inside - own else {}),
            **({} if role in roles or role == "bcc" else {"is_tried": False}),
            "contacts": [_contact_in_trace(contact) for contact in known.get(address, ())],
        }
        for role in ("from", "to", "cc", "bcc")
        for address in addresses[role]
    ]
    seen.sort(key=lambda entry: not entry["contacts"])
    return {
        "rule": rule,
        "addresses": seen[:TRACE_ADDRESSES],
        "left_out": max(0, len(seen) - TRACE_ADDRESSES),
    }


def _contact_in_trace(contact: KnownContact) -> dict[str, Any]:
    return {
        "id": contact.id,
        "name": contact.name,
        "customer": contact.customer,
        "customer_id": contact.customer_id,
        "customer_number": contact.customer_number,
        "is_mine": contact.is_mine,
    }
