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
from datetime import datetime, timedelta

from django.db import transaction

from accounts import leases
from accounts.folders import choose_folders
from accounts.models import Mailbox, MailboxSync
from accounts.passes import Lease, PassReport, run_pass
from accounts.rules import Problem
from accounts.system_settings import Settings
from crm_sync.providers.errors import (
    ItemGone,
    PermanentError,
    ProviderError,
    ReconnectRequired,
    TransientError,
)
from crm_sync.providers.types import Folder, MailGateway, MessagePage
from email_sync.models import FolderCursor
from email_sync.processed import Processed
from email_sync.reading import Pass, decide_page, fetch_and_store
from email_sync.second_look import look_back, retry_failed

OVERLAP = timedelta(hours=24)
#: Messages whose text is held in memory and stored in one transaction.
BODIES_PER_BATCH = 64


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
    retry_failed(run)
    look_back(run)
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
        fetch_and_store(run, batch)
    if last or is_moved:
        fetch_and_store(run, last, then=cursor.save)
    run.result.seen += len(page.messages) + len(page.unreadable)


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
