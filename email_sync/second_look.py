"""Looking at messages again: texts that could not be had, and mail of contacts flagged later."""

from datetime import timedelta

from django.db import transaction
from msgspec.structs import replace

from accounts import leases
from accounts.models import MyContact
from crm_sync.providers.errors import ItemGone, PermanentError, UnexpectedAnswer
from crm_sync.providers.types import Address, MessageHeaders
from email_sync import store
from email_sync.models import LedgerAddress, LedgerEntry, Source
from email_sync.processed import content_of
from email_sync.reading import Pass, decide_all, undecided
from email_sync.store import MAX_ATTEMPTS
from email_sync.store_emails import store_emails

#: Failed texts that one pass asks for again.
RETRIES = 40


def retry_failed(run: Pass) -> None:
    """Ask again for texts that could not be read before, until MAX_ATTEMPTS."""
    entries = list(
        LedgerEntry.objects.filter(
            mailbox=run.mailbox,
            outcome=LedgerEntry.Outcome.FAILED,
            attempts__lt=MAX_ATTEMPTS,
        ).order_by("pk")[:RETRIES]
    )
    for entry in entries:
        _read_again(run, entry)


def look_back(run: Pass) -> None:
    """Match again what the ledger has of contacts flagged since the last pass (“look back days”).

    Decided from the stored headers first: a text is asked for only after a match.
    """
    flags = list(
        run.mailbox.user.my_contacts.filter(looked_back_at=None).values_list("pk", "contact_id")
    )
    if not flags:
        return
    if run.settings.look_back_days:
        entries = LedgerEntry.objects.unmatched().filter(
            user_id=run.mailbox.user_id,
            mailbox=run.mailbox,
            source=Source.NYLAS,
            expired_at=None,
            sent_at__gte=run.started_at - timedelta(days=run.settings.look_back_days),
            pk__in=LedgerAddress.objects.of_contacts([contact for _, contact in flags]),
        )
        for entry in entries.order_by("-sent_at", "-pk").iterator(chunk_size=200):
            _rematch(run, entry)
    MyContact.objects.filter(pk__in=[pk for pk, _ in flags]).update(looked_back_at=run.started_at)


def _rematch(run: Pass, entry: LedgerEntry) -> None:
    headers = MessageHeaders(
        id=entry.provider_id, thread_id="", folder_ids=(), received_at=entry.sent_at,
        subject=entry.subject, from_=(Address(entry.from_address),),
        to=tuple(map(Address, entry.to)), cc=tuple(map(Address, entry.cc)), bcc=(),
        has_headers=True,
    )  # fmt: skip
    [item] = decide_all(run, [undecided(run, headers)])
    if item.decision.matches:
        _read_again(run, entry)


def _read_again(run: Pass, entry: LedgerEntry) -> None:
    """Read an entry's message again and write into the entry what becomes of it now."""
    try:
        message = run.gateway.message(run.mailbox.grant_id, entry.provider_id)
    except ItemGone:
        failure, attempts = "It is no longer in the mailbox.", MAX_ATTEMPTS
    except (PermanentError, UnexpectedAnswer) as error:
        failure, attempts = str(error), entry.attempts + 1
    else:
        [item] = decide_all(run, [undecided(run, message.headers)])
        if item.decision.matches:
            item = replace(item, content=content_of(message))
        with transaction.atomic():
            leases.confirm(run.sync, run.holder)
            stored = store_emails([item], now=run.started_at)
            outcomes = store.resolve(entry, item, stored, now=run.started_at)
        run.result.count(outcomes)
        return
    with transaction.atomic():
        leases.confirm(run.sync, run.holder)
        entry.attempts = attempts
        entry.trace = {**entry.trace, "cause": failure}
        entry.save(update_fields=["attempts", "trace"])
