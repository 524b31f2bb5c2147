"""Storing what a pass read: the ledger, the emails, and nothing twice.

Every function here runs inside one transaction that the caller opened, after `leases.confirm`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.db.models import Q
from msgspec import Struct

from accounts.addresses import MAX_ADDRESS_LENGTH, domain_of, normalise
from accounts.models import ContactAddress, Mailbox, MyContact
from accounts.system_settings import Settings
from crm_sync.providers.types import Address, Attachment, Message, MessageHeaders
from email_sync import html
from email_sync.message_keys import message_key, thread_key
from email_sync.models import (
    DailyCount,
    Email,
    EmailContact,
    EmailParticipant,
    Exclusion,
    LedgerAddress,
    LedgerEntry,
    Source,
)
from email_sync.rules import Decision, Exclusions, KnownContact

#: How often one message's text is asked for before its failure is final (design, “Finer points”).
MAX_ATTEMPTS = 3
#: Values in one `IN (…)`; a page may name a million addresses.
_QUERY_VALUES = 5_000


class Content(Struct, frozen=True):
    """A matched message's text, safe to keep: cut to size and sanitised outside the transaction."""

    headers: MessageHeaders
    text: str
    html: str
    attachments: tuple[Attachment, ...]


def content_of(message: Message) -> Content:
    """What is kept of a message that matched."""
    body_html = html.sanitise(message.body) if message.is_html else ""
    return Content(
        headers=message.headers,
        text=html.shortened(html.to_text(body_html) if message.is_html else message.body),
        html=body_html,
        attachments=message.attachments,
    )


class Processed(Struct, frozen=True):
    """One message with what was decided about it, ready to be stored.

    `content` is there only for a match whose email is not stored yet. `failure` is why the text
    could not be read; `attempts` counts the tries.
    """

    headers: MessageHeaders
    addresses: dict[str, tuple[str, ...]]
    key: str
    decision: Decision
    folder: str = ""
    content: Content | None = None
    failure: str = ""
    attempts: int = 0


def key_of(
    headers: MessageHeaders, *, addresses: Mapping[str, Sequence[str]], mailbox: Mailbox
) -> str:
    """The message's key within its user (see `email_sync.message_keys`)."""
    return message_key(
        headers.message_id,
        sender=addresses["from"][0] if addresses["from"] else "",
        subject=headers.subject,
        provider_id=headers.id,
        mailbox_address=mailbox.authorised_address,
    )


def contacts_by_address(user_id: int, addresses: Iterable[str]) -> dict[str, list[KnownContact]]:
    """Every contact that has one of the normalised addresses; flagged ones are marked.

    One query for a page of messages, whatever the number of contacts in the database.
    """
    wanted = list(dict.fromkeys(addresses))
    found: dict[str, list[KnownContact]] = {}
    for start in range(0, len(wanted), _QUERY_VALUES):
        rows = (
            ContactAddress.objects.filter(address__in=wanted[start : start + _QUERY_VALUES])
            .select_related("contact__customer")
            .order_by("contact_id")
        )
        for row in rows:
            customer = row.contact.customer
            found.setdefault(row.address, []).append(
                KnownContact(
                    id=row.contact_id,
                    name=row.contact.name,
                    customer_id=customer.pk,
                    customer=customer.name,
                    customer_number=customer.number,
                    is_mine=False,
                )
            )
    mine = _flagged(user_id, {contact.id for contacts in found.values() for contact in contacts})
    return {
        address: [_marked(contact, mine) for contact in contacts]
        for address, contacts in found.items()
    }


def _flagged(user_id: int, contact_ids: set[int]) -> set[int]:
    if not contact_ids:
        return set()
    flags = MyContact.objects.filter(user_id=user_id, contact_id__in=contact_ids)
    return set(flags.values_list("contact_id", flat=True))


def _marked(contact: KnownContact, mine: set[int]) -> KnownContact:
    if contact.id not in mine:
        return contact
    return KnownContact(
        id=contact.id,
        name=contact.name,
        customer_id=contact.customer_id,
        customer=contact.customer,
        customer_number=contact.customer_number,
        is_mine=True,
    )


def exclusions_of(user_id: int, settings: Settings) -> Exclusions:
    """What is never logged for this user: one query."""
    rows = list(Exclusion.objects.applying_to(user_id).values_list("kind", "value"))
    return Exclusions(
        addresses=frozenset(value for kind, value in rows if kind == Exclusion.Kind.ADDRESS),
        domains=frozenset(value for kind, value in rows if kind == Exclusion.Kind.DOMAIN),
        company_domains=frozenset(settings.company_domains),
    )


class KnownEntry(Struct, frozen=True):
    """What the ledger already says of a message."""

    provider_id: str
    has_failed: bool


def known_entries(
    user_id: int, *, keys: Iterable[str], provider_ids: Iterable[str] = ()
) -> dict[str, KnownEntry]:
    """The ledger's entries from this source that have one of the keys or provider ids, by both."""
    rows = LedgerEntry.objects.filter(
        Q(message_key__in=list(keys)) | Q(provider_id__in=list(provider_ids)),
        user_id=user_id,
        source=Source.NYLAS,
    ).values_list("message_key", "provider_id", "outcome")
    known: dict[str, KnownEntry] = {}
    for key, provider_id, outcome in rows:
        entry = KnownEntry(provider_id, has_failed=outcome == LedgerEntry.Outcome.FAILED)
        known[key] = entry
        if provider_id:
            known[provider_id] = entry
    return known


def is_processed(item: Processed, known: Mapping[str, KnownEntry]) -> bool:
    """Whether the ledger has this message already.

    Where a list gives no headers, the provider's id tells. A message that failed and is found
    again under another id was moved (Microsoft gives a new id then): it gets another chance.
    """
    entry = known.get(item.key)
    if entry is None and not item.headers.has_headers:
        entry = known.get(item.headers.id)
    return entry is not None and not (
        entry.has_failed and item.headers.id and entry.provider_id != item.headers.id
    )


class StoredEmail(Struct, frozen=True):
    """What a further source of a message needs to know of its email."""

    id: int
    is_hidden: bool


def stored_emails(user_id: int, keys: Iterable[str]) -> dict[str, StoredEmail]:
    """The user's emails with these keys, whichever source they came from, deleted ones too."""
    rows = Email.objects.filter(user_id=user_id, message_key__in=list(keys)).order_by()
    return {
        key: StoredEmail(pk, is_hidden=hidden_at is not None)
        for key, pk, hidden_at in rows.values_list("message_key", "pk", "hidden_at")
    }


def store(mailbox: Mailbox, batch: Sequence[Processed], *, now: datetime) -> Counter[str]:
    """Store what is new of a batch and return how many entries there were by outcome.

    What the ledger already has is left alone, so that a replay changes nothing; a failed entry
    that can be read now is made good.
    """
    # By id too where a list gave no headers: a hint may have stored it since under its own key.
    known = known_entries(
        mailbox.user_id,
        keys=[item.key for item in batch],
        provider_ids=[i.headers.id for i in batch if i.headers.id and not i.headers.has_headers],
    )
    fresh = {item.key: item for item in batch if not is_processed(item, known)}
    if not fresh:
        return Counter()
    emails = store_emails(mailbox, [i for i in fresh.values() if i.decision.matches], now=now)
    failed = LedgerEntry.objects.filter(
        user_id=mailbox.user_id, source=Source.NYLAS, message_key__in=fresh.keys() & known.keys()
    )
    outcomes: Counter[str] = Counter()
    for entry in failed if fresh.keys() & known.keys() else ():
        item = fresh.pop(entry.message_key)
        outcomes.update(resolve(entry, item, emails.get(item.key), now=now))
    entries = [_entry(mailbox, i, emails.get(i.key), now=now) for i in fresh.values()]
    LedgerEntry.objects.bulk_create(entries)
    LedgerAddress.objects.bulk_create(
        address
        for entry, item in zip(entries, fresh.values(), strict=True)
        for address in _searched(entry, item)
    )
    created = Counter(entry.outcome for entry in entries)
    _count(mailbox.user_id, created, now=now)
    return outcomes + created


def resolve(
    entry: LedgerEntry, item: Processed, email: StoredEmail | None, *, now: datetime
) -> Counter[str]:
    """Write into an entry what became of its message after all; the new outcome, if it changed."""
    former = entry.outcome
    fill_entry(entry, item, email)
    entry.provider_id = item.headers.id[:500]
    entry.processed_at = now
    entry.save()
    entry.addresses.all().delete()
    LedgerAddress.objects.bulk_create(_searched(entry, item))
    if entry.outcome == former:
        return Counter()
    _count(entry.user_id, {entry.outcome: 1, former: -1}, now=now)
    return Counter([entry.outcome])


def _count(user_id: int, outcomes: Mapping[str, int], *, now: datetime) -> None:
    counts = {(Source.NYLAS.value, str(outcome)): n for outcome, n in outcomes.items()}
    DailyCount.objects.add(user_id, now.date(), counts)


def store_emails(
    mailbox: Mailbox, matched: Sequence[Processed], *, now: datetime
) -> dict[str, StoredEmail]:
    """The emails of matched messages by key: made where there is none, linked in any case."""
    readable = [item for item in matched if item.content is not None]
    threads = _known_threads(mailbox.user_id, readable)
    Email.objects.bulk_create(
        [_email(mailbox, item, threads, now=now) for item in readable],
        # Another source of the same message may have stored it a moment ago.
        ignore_conflicts=True,
    )
    emails = stored_emails(mailbox.user_id, (item.key for item in matched)) if matched else {}
    stored = [(emails[item.key], item) for item in matched if item.key in emails]
    EmailParticipant.objects.bulk_create(
        [
            participant
            for email, item in stored
            if item.content is not None
            for participant in _participants(email.id, item.content.headers)
        ],
        ignore_conflicts=True,
    )
    EmailContact.objects.bulk_create(
        [
            EmailContact(email_id=email.id, contact_id=match.contact.id)
            for email, item in stored
            for match in item.decision.matches
        ],
        ignore_conflicts=True,
    )
    return emails


def _known_threads(user_id: int, items: Sequence[Processed]) -> dict[str, str]:
    """Thread keys that the user's stored emails gave to the provider's threads of these items."""
    provider_threads = {item.headers.thread_id for item in items if item.headers.thread_id}
    if not provider_threads:
        return {}
    rows = Email.objects.filter(user_id=user_id, provider_thread_id__in=provider_threads)
    return dict(rows.values_list("provider_thread_id", "thread_key"))


def _email(mailbox: Mailbox, item: Processed, threads: dict[str, str], *, now: datetime) -> Email:
    assert item.content is not None
    headers = item.headers
    thread = threads.setdefault(
        headers.thread_id or item.key,
        thread_key(
            headers.message_id,
            in_reply_to=headers.in_reply_to,
            references=headers.references,
            own_key=item.key,
        ),
    )
    return Email(
        user_id=mailbox.user_id,
        message_key=item.key,
        message_id=headers.message_id,
        thread_key=thread,
        provider_thread_id=headers.thread_id[:500],
        direction=item.decision.direction,
        subject=headers.subject,
        # A message without a usable date is shown on the day on which it was read.
        sent_at=headers.received_at or now,
        body_text=item.content.text,
        body_html=item.content.html,
        attachments=[
            {"name": part.name, "type": part.content_type, "size": part.size}
            for part in item.content.attachments
        ],
    )


def _participants(email_id: int, headers: MessageHeaders) -> list[EmailParticipant]:
    roles: tuple[tuple[str, tuple[Address, ...]], ...] = (
        ("from", headers.from_),
        ("to", headers.to),
        ("cc", headers.cc),
        ("bcc", headers.bcc),
    )
    return [
        EmailParticipant(
            email_id=email_id,
            role=role,
            address=address[:MAX_ADDRESS_LENGTH],
            name=person.name[:200],
        )
        for role, people in roles
        for person in people
        if (address := normalise(person.address))
    ]


def _entry(
    mailbox: Mailbox, item: Processed, email: StoredEmail | None, *, now: datetime
) -> LedgerEntry:
    entry = LedgerEntry(
        user_id=mailbox.user_id,
        mailbox_id=mailbox.pk,
        source=Source.NYLAS,
        message_key=item.key,
        message_id=item.headers.message_id,
        provider_id=item.headers.id[:500],
        folder=item.folder[:500],
        processed_at=now,
    )
    fill_entry(entry, item, email)
    return entry


def fill_entry(entry: LedgerEntry, item: Processed, email: StoredEmail | None) -> None:
    """Write a decision into an entry: a new one, or one that failed before and is tried again."""
    headers, decision = item.headers, item.decision
    senders = item.addresses["from"]
    entry.direction = decision.direction
    # Of what is never logged not even the subject is kept.
    is_excluded = decision.outcome == "excluded"
    entry.subject = "" if is_excluded else headers.subject
    entry.sent_at = headers.received_at
    entry.from_address = senders[0][:MAX_ADDRESS_LENGTH] if senders else ""
    entry.to = list(item.addresses["to"])
    entry.cc = list(item.addresses["cc"])
    entry.trace = decision.trace
    entry.attempts = item.attempts
    entry.outcome, entry.reason = decision.outcome, decision.reason
    if item.failure:
        entry.outcome, entry.reason = (
            LedgerEntry.Outcome.FAILED,
            LedgerEntry.Reason.PROCESSING_ERROR,
        )
        entry.trace = {**decision.trace, "cause": item.failure}
    elif email is not None and email.is_hidden:
        entry.outcome = LedgerEntry.Outcome.EXCLUDED
        entry.reason = LedgerEntry.Reason.DELETED_IN_CRM
    entry.email_id = email.id if email is not None else None
    entry.contacts = _distinct(match.address for match in decision.matches)
    entry.customers = _distinct(match.contact.customer_number for match in decision.matches)


def _searched(entry: LedgerEntry, item: Processed) -> list[LedgerAddress]:
    return [
        LedgerAddress(
            entry_id=entry.pk, address=address[:MAX_ADDRESS_LENGTH], domain=domain_of(address)[:255]
        )
        for address in item.decision.others
    ]


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
