"""One pass over a mailbox: fetch → decide → store, folder by folder.

What makes it safe to interrupt at any instruction:

* A lease keeps a second reader away; every transaction begins by confirming it.
* A page is stored together with the cursor that says it was read. Messages found again are known
  by their key and change nothing, so reading too much is always harmless.
* A folder counts as read up to the newest message of a listing only when that listing reached
  its end. A listing that was cut off goes on from its saved page; a refused page begins it anew.
* Each listing reaches back OVERLAP behind what was read before, for messages that a provider
  shows late. What turns up later than that, `email_sync.coverage` finds at night.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from django.db import transaction
from msgspec.structs import replace

from accounts import leases
from accounts.folders import choose_folders
from accounts.models import Mailbox, MailboxSync, MyContact
from accounts.passes import Lease, PassReport, run_pass
from accounts.rules import Problem
from accounts.system_settings import Settings
from crm_sync.providers.errors import (
    ItemGone,
    PermanentError,
    ProviderError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.types import (
    Address,
    Folder,
    MailGateway,
    MessageHeaders,
    MessagePage,
    UnreadableMessage,
)
from email_sync import rules, store
from email_sync.models import FolderCursor, LedgerAddress, LedgerEntry, Source
from email_sync.store import MAX_ATTEMPTS, Processed

OVERLAP = timedelta(hours=24)
#: Bodies fetched at once; Microsoft allows four requests at a time for a mailbox.
PARALLEL_BODIES = 4
#: Messages whose text is held in memory and stored in one transaction.
BODIES_PER_BATCH = 40


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
        self.exclusions = store.exclusions_of(self.mailbox.user_id, settings)
        self.roles: dict[str, str] = {}
        self.names: dict[str, str] = {}


def sync_mailbox(
    sync: MailboxSync,
    *,
    gateway: MailGateway,
    settings: Settings,
    report: Callable[[FolderCursor, int], None] = lambda cursor, listed: None,
    prepare: Callable[[Pass], None] = lambda run: None,
) -> PassReport:
    """One pass over the email side of a mailbox, under its lease; see `accounts.passes`.

    `report` is called after each page with its folder and the number of messages listed;
    `prepare` once, under the lease, before anything is read.
    """

    def read(lease: Lease) -> None:
        run = Pass(sync, lease, gateway=gateway, settings=settings, report=report)
        prepare(run)
        read_mailbox(run)

    return run_pass(sync, read, settings=settings)


def read_mailbox(run: Pass) -> None:
    """Read every chosen folder; a folder that fails does not keep the others from being read.

    Raises the first ProviderError that a folder met, after the others were read; ReconnectRequired
    and a request to slow down (429) at once, since they concern the whole mailbox.
    """
    folders = run.gateway.folders(run.mailbox.grant_id)
    run.roles = {folder.id: folder.role for folder in folders}
    run.names = {folder.id: folder.name for folder in folders}
    choice = choose_folders(
        folders, names=run.mailbox.folder_names, sent_name=run.mailbox.sent_folder_name
    )
    run.result.problems.extend(choice.problems)
    cursors = _cursors(run, choice.selected)
    _retry_failed(run)
    _look_back(run)
    first_error: ProviderError | None = None
    for cursor in cursors:
        if run.is_time_up():
            run.result.is_finished = False
            break
        try:
            _read_folder(run, cursor)
        except ProviderError as error:
            if isinstance(error, ReconnectRequired) or error.status == 429:
                raise
            run.result.problems.append(Problem(name=cursor.name, cause=str(error)))
            if not isinstance(error, ItemGone):
                first_error = first_error or error
    if first_error is not None:
        raise first_error
    run.result.is_backfilled = all(cursor.backfilled_at for cursor in cursors)


def _cursors(run: Pass, selected: Sequence[Folder]) -> list[FolderCursor]:
    """The cursors of the chosen folders, made where a folder is new; those of others are dropped.

    The order is that of the choice. A folder that is chosen again later is read from the start:
    what the ledger has is known by its key.
    """
    kept = {cursor.folder_id: cursor for cursor in run.mailbox.folder_cursors.all()}
    wanted = {folder.id: folder for folder in selected}
    stale = [cursor.pk for key, cursor in kept.items() if key not in wanted]
    missing = [
        FolderCursor(mailbox=run.mailbox, folder_id=folder.id, name=folder.name)
        for folder in selected
        if folder.id not in kept
    ]
    if stale or missing or run.sync.listed_at is None:
        with transaction.atomic():
            leases.confirm(run.sync, run.holder)
            FolderCursor.objects.filter(pk__in=stale).delete()
            FolderCursor.objects.bulk_create(missing)
            if run.sync.listed_at is None:
                run.sync.listed_at = run.started_at
                run.sync.save(update_fields=["listed_at"])
    kept.update({cursor.folder_id: cursor for cursor in missing})
    for folder in selected:
        kept[folder.id].name = folder.name
        kept[folder.id].total = folder.total_count
    return [kept[folder.id] for folder in selected]


def _read_folder(run: Pass, cursor: FolderCursor) -> None:
    """List a folder to its end; a listing that a former pass began is finished, then one begun."""
    was_cut_off = bool(cursor.page_token)
    try:
        _list_folder(run, cursor)
    except PermanentError as error:
        if error.code != "page-token-refused":
            raise
        was_cut_off = True
        cursor.page_token = ""
    if was_cut_off and run.result.is_finished:
        _list_folder(run, cursor)


def _list_folder(run: Pass, cursor: FolderCursor) -> None:
    if not cursor.page_token:
        cursor.listing_started_at = run.started_at
        cursor.listing_newest = None
    followed = {cursor.page_token}
    while True:
        page = run.gateway.message_page(
            run.mailbox.grant_id,
            folder_id=cursor.folder_id,
            received_after=_listed_after(run.mailbox, cursor),
            page_token=cursor.page_token or None,
        )
        _process_page(run, cursor, page)
        run.report(cursor, len(page.messages) + len(page.unreadable))
        if not cursor.page_token:
            return
        if cursor.page_token in followed:
            _forget_listing(run, cursor)
            raise TransientError(
                "The provider's list of messages goes round in a circle.", code="repeated-cursor"
            )
        followed.add(cursor.page_token)
        if run.is_time_up():
            run.result.is_finished = False
            return


def _listed_after(mailbox: Mailbox, cursor: FolderCursor) -> datetime | None:
    """Where a listing ends: exclusive, so a second before the first instant that is wanted."""
    start = mailbox.sync_from
    if cursor.read_up_to is not None:
        overlapping = cursor.read_up_to - OVERLAP
        start = max(start, overlapping) if start else overlapping
    return start - timedelta(seconds=1) if start else None


def _process_page(run: Pass, cursor: FolderCursor, page: MessagePage) -> None:
    """Decide and store a page and move the cursor.

    The last batch and the cursor are stored in one transaction. If a text cannot be had for now,
    what was fetched is stored all the same, so that the next try has less to do.
    """
    items = decide_page(run, page)
    is_moved = _advance(cursor, page, now=run.started_at)
    *batches, last = list(_batches(items)) or [[]]
    for batch in batches:
        _fetch_and_store(run, batch)
    if last or is_moved:
        _fetch_and_store(run, last, then=cursor.save)
    run.result.seen += len(page.messages) + len(page.unreadable)


def decide_page(run: Pass, page: MessagePage) -> list[Processed]:
    """What becomes of each message of a page that the ledger does not have yet."""
    wanted = [m for m in page.messages if not rules.is_never_synced(m, roles=run.roles)]
    drafted = [_undecided(run, message) for message in wanted]
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
    known = store.contacts_by_address(
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


def _undecided(run: Pass, headers: MessageHeaders) -> Processed:
    addresses = rules.addresses_of(headers)
    return Processed(
        headers=headers,
        addresses=addresses,
        key=store.key_of(headers, addresses=addresses, mailbox=run.mailbox),
        decision=_UNDECIDED,
        folder=next((run.names[f] for f in headers.folder_ids if f in run.names), ""),
    )


def _unreadable(run: Pass, message: UnreadableMessage) -> Processed:
    headers = MessageHeaders(
        id=message.id, thread_id="", folder_ids=(), received_at=None, subject="",
        from_=(), to=(), cc=(), bcc=(), has_headers=False,
    )  # fmt: skip
    return replace(_undecided(run, headers), failure=message.cause, attempts=MAX_ATTEMPTS)


def _batches(items: Sequence[Processed]) -> Iterator[list[Processed]]:
    """The items in order, cut so that no batch holds more than BODIES_PER_BATCH texts."""
    batch: list[Processed] = []
    bodies = 0
    for item in items:
        batch.append(item)
        bodies += bool(item.decision.matches)
        if bodies >= BODIES_PER_BATCH:
            yield batch
            batch, bodies = [], 0
    if batch:
        yield batch


def _fetch_and_store(
    run: Pass, batch: Sequence[Processed], *, then: Callable[[], None] = lambda: None
) -> None:
    """Fetch the texts a batch needs, then store it; `then` runs in the same transaction.

    Raises the first TransientError or ReconnectRequired of a fetch after storing the others.
    """
    fetched, error = fetch_contents(run, batch)
    with transaction.atomic():
        leases.confirm(run.sync, run.holder)
        outcomes = store.store(run.mailbox, fetched, now=run.started_at)
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
    stored = store.stored_emails(run.mailbox.user_id, (item.key for item in matched))
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
    content = store.content_of(message)
    if not item.headers.has_headers and message.headers.has_headers:
        # The list told nothing of the Message-ID: it came with the text.
        headers = replace(
            item.headers,
            has_headers=True,
            message_id=message.headers.message_id,
            in_reply_to=message.headers.in_reply_to,
            references=message.headers.references,
        )
        key = store.key_of(headers, addresses=item.addresses, mailbox=run.mailbox)
        return replace(item, headers=headers, key=key, content=content)
    return replace(item, content=content)


def _retry_failed(run: Pass) -> None:
    """Ask again for texts that could not be read before, until MAX_ATTEMPTS."""
    entries = list(
        LedgerEntry.objects.filter(
            mailbox=run.mailbox,
            outcome=LedgerEntry.Outcome.FAILED,
            attempts__lt=MAX_ATTEMPTS,
        ).order_by("pk")[:BODIES_PER_BATCH]
    )
    for entry in entries:
        _retry(run, entry)


def _look_back(run: Pass) -> None:
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
    [item] = decide_all(run, [_undecided(run, headers)])
    if item.decision.matches:
        _retry(run, entry)


def _retry(run: Pass, entry: LedgerEntry) -> None:
    """Read an entry's message again and write into the entry what becomes of it now."""
    try:
        message = run.gateway.message(run.mailbox.grant_id, entry.provider_id)
    except ItemGone:
        failure, attempts = "It is no longer in the mailbox.", MAX_ATTEMPTS
    except (PermanentError, UnexpectedAnswer) as error:
        failure, attempts = str(error), entry.attempts + 1
    else:
        [item] = decide_all(run, [_undecided(run, message.headers)])
        if item.decision.matches:
            item = replace(item, content=store.content_of(message))
        with transaction.atomic():
            leases.confirm(run.sync, run.holder)
            matched = [item] if item.decision.matches else []
            email = store.store_emails(run.mailbox, matched, now=run.started_at).get(item.key)
            outcomes = store.resolve(entry, item, email, now=run.started_at)
        run.result.count(outcomes)
        return
    with transaction.atomic():
        leases.confirm(run.sync, run.holder)
        entry.attempts = attempts
        entry.trace = {**entry.trace, "cause": failure}
        entry.save(update_fields=["attempts", "trace"])


def _advance(cursor: FolderCursor, page: MessagePage, *, now: datetime) -> bool:
    """Move the cursor past a page, not yet saved; whether that changed anything worth saving."""
    former = (cursor.read_up_to, cursor.backfilled_at, cursor.page_token)
    dates = [m.received_at for m in page.messages if m.received_at is not None]
    if dates:
        # A date in the future, which senders can cause, must not hide what arrives until then.
        newest = min(max(dates), now)
        cursor.listing_newest = max(filter(None, (cursor.listing_newest, newest)))
    if cursor.backfilled_at is None:
        cursor.seen += len(page.messages) + len(page.unreadable)
        cursor.oldest_seen = min(filter(None, (cursor.oldest_seen, *dates)), default=None)
    cursor.page_token = page.next_page or ""
    if page.next_page is None:
        _complete(cursor, now)
    return former != (cursor.read_up_to, cursor.backfilled_at, cursor.page_token)


def _complete(cursor: FolderCursor, now: datetime) -> None:
    reached = (cursor.read_up_to, cursor.listing_newest)
    cursor.read_up_to = max(filter(None, reached), default=None)
    cursor.backfilled_at = cursor.backfilled_at or now
    cursor.page_token = ""
    cursor.listing_started_at = cursor.listing_newest = None


def _forget_listing(run: Pass, cursor: FolderCursor) -> None:
    with transaction.atomic():
        leases.confirm(run.sync, run.holder)
        cursor.page_token = ""
        cursor.save(update_fields=["page_token"])
