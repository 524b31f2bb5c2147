"""Reading messages: what becomes of each, and the texts of those that match.

Pages of a pass, single messages that a webhook named, and messages looked at again all go through
here, so that a message is decided and stored in one way whichever way it was found.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from django.db import transaction
from msgspec.structs import replace

from accounts import leases
from accounts.models import Mailbox, MailboxSync
from accounts.passes import Lease
from accounts.system_settings import Settings
from crm_sync.providers.errors import (
    ItemGone,
    PermanentError,
    ProviderError,
    UnexpectedAnswer,
)
from crm_sync.providers.types import (
    MailGateway,
    MessageHeaders,
    MessagePage,
    UnreadableMessage,
)
from email_sync import lookups, rules, store
from email_sync.models import FolderCursor, Source
from email_sync.processed import Origin, Processed, content_of, key_of
from email_sync.store import MAX_ATTEMPTS
from email_sync.store_emails import stored_keys

#: Texts fetched at once; Microsoft allows four requests at a time for a mailbox.
PARALLEL_BODIES = 4


class Pass:
    """Who reads which mailbox, with what, since when; `result` is filled on the way."""

    def __init__(
        self,
        sync: MailboxSync,
        lease: Lease,
        *,
        gateway: MailGateway,
        settings: Settings,
        report: Callable[[FolderCursor, int], None] = lambda cursor, listed: None,
    ) -> None:
        self.sync = sync
        self.mailbox: Mailbox = sync.mailbox
        self.gateway = gateway
        self.holder = lease.holder
        self.started_at = lease.started_at
        self.is_time_up = lease.is_time_up
        self.result = lease.result
        self.report = report
        self.settings = settings
        self.own = self.mailbox.own_addresses
        user_id = self.mailbox.user_id
        self.origin = Origin(user_id, Source.NYLAS.value, mailbox_id=self.mailbox.pk)
        self.exclusions = lookups.exclusions_of([user_id], settings)[user_id]
        self.roles: dict[str, str] = {}
        self.names: dict[str, str] = {}


def decide_page(run: Pass, page: MessagePage) -> list[Processed]:
    """What becomes of each message of a page that the ledger does not have yet."""
    wanted = [m for m in page.messages if not rules.is_never_synced(m, roles=run.roles)]
    drafted = [undecided(run, message) for message in wanted]
    drafted += [_unreadable(run, message) for message in page.unreadable]
    known = store.known_entries(
        run.mailbox.user_id,
        keys=[item.key for item in drafted],
        provider_ids=[i.headers.id for i in drafted if i.headers.id and not i.headers.has_headers],
    )
    fresh = {item.key: item for item in drafted if not store.is_processed(item, known)}
    return decide_all(run, list(fresh.values()))


def decide_all(run: Pass, items: Sequence[Processed]) -> list[Processed]:
    """The items with their decisions: one query for all their addresses."""
    addresses = (a for item in items for group in item.addresses.values() for a in group)
    known = lookups.contacts_by_address(
        run.mailbox.user_id, (address for address in addresses if address not in run.own)
    )
    return [
        replace(
            item,
            decision=rules.decide(
                item.addresses,
                received_at=item.headers.received_at,
                own=run.own,
                known=known,
                sync_from=run.mailbox.sync_from,
                exclusions=run.exclusions,
            ),
        )
        for item in items
    ]


_UNDECIDED = rules.Decision(
    outcome="failed", reason="processing-error", direction="received", matches=(), trace={}
)


def undecided(run: Pass, headers: MessageHeaders) -> Processed:
    addresses = rules.addresses_of(headers)
    return Processed(
        origin=run.origin,
        headers=headers,
        addresses=addresses,
        key=_key(run, headers, addresses),
        decision=_UNDECIDED,
        folder=next((run.names[f] for f in headers.folder_ids if f in run.names), ""),
    )


def _key(run: Pass, headers: MessageHeaders, addresses: Mapping[str, Sequence[str]]) -> str:
    return key_of(headers, addresses=addresses, mailbox_address=run.mailbox.authorised_address)


def _unreadable(run: Pass, message: UnreadableMessage) -> Processed:
    headers = MessageHeaders(
        id=message.id, thread_id="", folder_ids=(), received_at=None, subject="",
        from_=(), to=(), cc=(), bcc=(), has_headers=False,
    )  # fmt: skip
    return replace(undecided(run, headers), failure=message.cause, attempts=MAX_ATTEMPTS)


def fetch_and_store(
    run: Pass, batch: Sequence[Processed], *, then: Callable[[], None] = lambda: None
) -> None:
    """Fetch the texts a batch needs, then store it; `then` runs in the same transaction.

    Raises the first TransientError or ReconnectRequired of a fetch after storing the others.
    """
    fetched, error = fetch_contents(run, batch)
    with transaction.atomic():
        leases.confirm(run.sync, run.holder)
        outcomes = store.store(fetched, now=run.started_at)
        if error is None:
            then()
    run.result.count(outcomes)
    if error is not None:
        raise error


def fetch_contents(
    run: Pass, batch: Sequence[Processed]
) -> tuple[list[Processed], ProviderError | None]:
    """The batch with texts; without those that must be tried again, and why."""
    matched = [item for item in batch if item.decision.matches and not item.failure]
    if not matched:
        return list(batch), None
    stored = stored_keys(run.mailbox.user_id, (item.key for item in matched))
    missing = [item for item in matched if item.key not in stored]
    fetched: dict[str, Processed | ProviderError] = {}
    with ThreadPoolExecutor(max_workers=PARALLEL_BODIES) as pool:
        for item, answer in zip(
            missing, pool.map(lambda item: _fetch_content(run, item), missing), strict=True
        ):
            fetched[item.key] = answer
    errors = [answer for answer in fetched.values() if isinstance(answer, ProviderError)]
    answers = (fetched.get(item.key, item) for item in batch)
    return [a for a in answers if isinstance(a, Processed)], errors[0] if errors else None


def _fetch_content(run: Pass, item: Processed) -> Processed | ProviderError:
    """The item with its text, or with why it has none; an error where the whole pass must wait."""
    try:
        message = run.gateway.message(run.mailbox.grant_id, item.headers.id)
    except ItemGone:
        return replace(item, failure="It is no longer in the mailbox.", attempts=MAX_ATTEMPTS)
    except (PermanentError, UnexpectedAnswer) as error:
        return replace(item, failure=str(error), attempts=item.attempts + 1)
    except ProviderError as error:
        return error
    content = content_of(message)
    if not item.headers.has_headers and message.headers.has_headers:
        # The list told nothing of the Message-ID: it came with the text.
        headers = replace(
            item.headers,
            has_headers=True,
            message_id=message.headers.message_id,
            in_reply_to=message.headers.in_reply_to,
            references=message.headers.references,
        )
        key = _key(run, headers, item.addresses)
        return replace(item, headers=headers, key=key, content=content)
    return replace(item, content=content)
