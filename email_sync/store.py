"""Storing what was read: the ledger, its counts, and (`store_emails`) the emails; nothing twice.

Every function here runs inside one transaction that the caller opened, after `leases.confirm`.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.db.models import Q
from msgspec import Struct

from accounts.addresses import MAX_ADDRESS_LENGTH, domain_of
from email_sync.models import DailyCount, IntakeReview, LedgerAddress, LedgerEntry, Source
from email_sync.processed import Processed, Review, Row, extract
from email_sync.store_emails import Stored, store_emails

#: How often one message's text is asked for before its failure is final (design, “Finer points”).
MAX_ATTEMPTS = 3

_Outcome = LedgerEntry.Outcome
_Reason = LedgerEntry.Reason


class KnownEntry(Struct, frozen=True):
    """What the ledger already says of a message."""

    provider_id: str
    has_failed: bool


def known_entries(
    user_id: int, *, keys: Iterable[str], provider_ids: Iterable[str] = ()
) -> dict[str, KnownEntry]:
    """Entries of a user's synced mail that have one of the keys or provider ids, by both."""
    found = _entries([user_id], [Source.NYLAS], list(keys), provider_ids=list(provider_ids))
    return {name: entry for (_, _, name), entry in found.items()}


def _entries(
    users: Collection[int | None],
    sources: Collection[str],
    keys: Sequence[str],
    *,
    provider_ids: Sequence[str] = (),
) -> dict[Row, KnownEntry]:
    """Entries by user, source and key, and by user, source and provider's id."""
    of_users = Q(user_id__in=[user for user in users if user is not None])
    if None in users:
        of_users |= Q(user=None)
    rows = LedgerEntry.objects.filter(
        of_users,
        Q(message_key__in=keys) | Q(provider_id__in=provider_ids),
        source__in=sources,
    ).values_list("user_id", "source", "message_key", "provider_id", "outcome")
    known: dict[Row, KnownEntry] = {}
    for user_id, source, key, provider_id, outcome in rows:
        entry = KnownEntry(provider_id, has_failed=outcome == _Outcome.FAILED)
        known[user_id, source, key] = entry
        if provider_id:
            known[user_id, source, provider_id] = entry
    return known


def is_processed(item: Processed, known: Mapping[str, KnownEntry]) -> bool:
    """Whether the ledger has this message already; `known` is by key and provider's id."""
    return _is_done(item, known.get(item.key), known.get(item.headers.id))


def _is_done(item: Processed, by_key: KnownEntry | None, by_id: KnownEntry | None) -> bool:
    """Where a list gives no headers, the provider's id tells.

    A message that failed and is found again under another id was moved (Microsoft gives a new id
    then): it gets another chance.
    """
    entry = by_key if by_key or item.headers.has_headers else by_id
    return entry is not None and not (
        entry.has_failed and item.headers.id and entry.provider_id != item.headers.id
    )


def store(batch: Sequence[Processed], *, now: datetime) -> Counter[str]:
    """Store what is new of a batch and return how many entries there were by outcome.

    What the ledger already has is left alone, so that a replay changes nothing; a failed entry
    that can be read now is made good.
    """
    known = _entries(
        {item.origin.user_id for item in batch},
        {item.origin.source for item in batch},
        [item.key for item in batch],
        # By id too where a list gave no headers: a hint may have stored it since under its own key.
        provider_ids=[i.headers.id for i in batch if i.headers.id and not i.headers.has_headers],
    )
    fresh = {item.row: item for item in batch if not _is_known(item, known)}
    if not fresh:
        return Counter()
    stored = store_emails(fresh.values(), now=now)
    outcomes: Counter[str] = Counter()
    for entry in _at(fresh.keys() & known.keys()):
        item = fresh.pop((entry.user_id, entry.source, entry.message_key))
        outcomes.update(resolve(entry, item, stored, now=now))
    entries = [_new_entry(item, stored, now=now) for item in fresh.values()]
    LedgerEntry.objects.bulk_create(entries)
    pairs = list(zip(entries, fresh.values(), strict=True))
    LedgerAddress.objects.bulk_create(a for entry, item in pairs for a in _searched(entry, item))
    _link_further(pairs, stored)
    _ask_people(pairs, stored)
    _count([Change(entry, made=stored.new_of(item)) for entry, item in pairs], now=now)
    return outcomes + Counter(entry.outcome for entry in entries)


def _is_known(item: Processed, known: Mapping[Row, KnownEntry]) -> bool:
    user_id, source = item.origin.user_id, item.origin.source
    by_id = known.get((user_id, source, item.headers.id))
    return _is_done(item, known.get(item.row), by_id)


def _at(rows: Collection[Row]) -> list[LedgerEntry]:
    """The entries that failed and are tried again."""
    if not rows:
        return []
    keys = {key for _, _, key in rows}
    failed = LedgerEntry.objects.filter(outcome=_Outcome.FAILED, message_key__in=keys)
    return [e for e in failed if (e.user_id, e.source, e.message_key) in rows]


def resolve(entry: LedgerEntry, item: Processed, stored: Stored, *, now: datetime) -> Counter[str]:
    """Write into an entry what became of its message after all; the new outcome, if it changed."""
    former = (entry.user_id, entry.outcome)
    entry.user_id = item.origin.user_id
    fill_entry(entry, item, stored)
    entry.provider_id = item.headers.id[:500]
    entry.processed_at = now
    entry.save()
    entry.addresses.all().delete()
    LedgerAddress.objects.bulk_create(_searched(entry, item))
    _link_further([(entry, item)], stored)
    _ask_people([(entry, item)], stored)
    made = stored.new_of(item)
    is_changed = (entry.user_id, entry.outcome) != former
    if is_changed or made:
        _count([Change(entry, made=made, former=former)], now=now)
    return Counter([entry.outcome] if is_changed else ())


class AlreadyThere(Exception):
    """The message that an entry turned out to be has an entry of its own."""


def settle(entry: LedgerEntry, item: Processed, *, now: datetime) -> Counter[str]:
    """Write into an entry whose and what its message is after all, and store its emails.

    Of a message that could not be read, or whose sender was not proved, not even that was known.
    Raises AlreadyThere with nothing changed.
    """
    user_id, source, key = item.row
    same = LedgerEntry.objects.filter(Q(user_id=user_id), source=source, message_key=key)
    if same.exclude(pk=entry.pk).exists():
        raise AlreadyThere
    entry.source, entry.message_key = source, key
    entry.message_id = item.headers.message_id
    return resolve(entry, item, store_emails([item], now=now), now=now)


class Change(Struct, frozen=True):
    """An entry as it is now, how many emails it made, and whose and what it was before."""

    entry: LedgerEntry
    made: int = 0
    former: tuple[int | None, str] | None = None


def _count(changes: Iterable[Change], *, now: datetime) -> None:
    """Add to the daily counts. Of what matched, emails are counted, each at its first source."""
    counts: dict[int, dict[tuple[str, str], int]] = defaultdict(lambda: defaultdict(int))
    for change in changes:
        entry = change.entry
        if entry.user_id is not None:
            number = change.made if entry.outcome == _Outcome.MATCHED else 1
            counts[entry.user_id][str(entry.source), str(entry.outcome)] += number
        user_id, outcome = change.former or (None, "")
        if user_id is not None:
            counts[user_id][str(entry.source), str(outcome)] -= outcome != _Outcome.MATCHED
    for user_id, by_outcome in sorted(counts.items()):
        added = {name: number for name, number in by_outcome.items() if number}
        DailyCount.objects.add(user_id, now.date(), added)


def _new_entry(item: Processed, stored: Stored, *, now: datetime) -> LedgerEntry:
    origin = item.origin
    entry = LedgerEntry(
        user_id=origin.user_id,
        mailbox_id=origin.mailbox_id,
        intake_id=origin.intake_id,
        source=origin.source,
        message_key=item.key,
        message_id=item.headers.message_id,
        provider_id=item.headers.id[:500],
        folder=item.folder[:500],
        processed_at=now,
    )
    fill_entry(entry, item, stored)
    return entry


def fill_entry(entry: LedgerEntry, item: Processed, stored: Stored) -> None:
    """Write a decision into an entry: a new one, or one that is looked at again."""
    headers, decision = item.headers, item.decision
    emails = stored.emails_of(item)
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
        entry.outcome, entry.reason = _Outcome.FAILED, _Reason.PROCESSING_ERROR
        entry.trace = {**decision.trace, "cause": item.failure}
    elif emails and emails[0].is_hidden:
        entry.outcome, entry.reason = _Outcome.EXCLUDED, _Reason.DELETED_IN_CRM
    elif item.row in stored.unclear and not emails:
        entry.outcome, entry.reason = _Outcome.UNMATCHED, _Reason.SEVERAL_ORIGINALS
    entry.email_id = emails[0].id if emails else None
    entry.contacts = _distinct(match.address for match in decision.matches)
    entry.customers = _distinct(match.contact.customer_number for match in decision.matches)


def _searched(entry: LedgerEntry, item: Processed) -> list[LedgerAddress]:
    return [
        LedgerAddress(
            entry_id=entry.pk, address=address[:MAX_ADDRESS_LENGTH], domain=domain_of(address)[:255]
        )
        for address in item.decision.others
    ]


def _link_further(pairs: Iterable[tuple[LedgerEntry, Processed]], stored: Stored) -> None:
    """The emails of a forward that holds several messages, but the first."""
    through = LedgerEntry.further_emails.through
    through.objects.bulk_create(
        [
            through(ledgerentry_id=entry.pk, email_id=email.id)
            for entry, item in pairs
            for email in stored.emails_of(item)[1:]
        ],
        ignore_conflicts=True,
    )


def _ask_people(pairs: Iterable[tuple[LedgerEntry, Processed]], stored: Stored) -> None:
    """Put what only a person can decide into the list for review."""
    asked = ((entry, _question(item, stored)) for entry, item in pairs)
    IntakeReview.objects.bulk_create(
        [
            IntakeReview(
                entry=entry,
                kind=review.kind,
                extracted=review.extracted,
                confidence=review.confidence,
            )
            for entry, review in asked
            if review is not None
        ],
        ignore_conflicts=True,
    )


def _question(item: Processed, stored: Stored) -> Review | None:
    unclear = stored.unclear.get(item.row)
    if unclear is None:
        return item.review
    extracted = {**extract(unclear.message.headers), "emails": list(unclear.email_ids)}
    return Review(IntakeReview.Kind.DUPLICATE, extracted, confidence=1.0)


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
