"""Hints: single messages that a webhook named, read ahead of the next pass.

A hint only makes it sooner: the message goes through the same decisions and the same store as a
page of a pass, and what the ledger has already is left alone. So hints may be lost, late, repeated
or out of order, and the ledger ends up as polling alone would fill it.

A hint holds no lease, or one message would wait for a backfill. It is stored under a lock of the
sync's row, hence between two transactions of a pass, and each of those looks again at what the
ledger has.
"""

from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from accounts import leases
from accounts.models import MailboxSync
from accounts.models.mailboxes import MailboxSyncQuerySet
from accounts.passes import Lease, PassResult
from accounts.system_settings import Settings
from crm_sync.providers.errors import ItemGone, PermanentError
from crm_sync.providers.types import Folder, MailGateway, MessageHeaders, MessagePage
from email_sync import store
from email_sync.models import LedgerEntry, Source
from email_sync.reading import Pass, decide_page, fetch_contents

#: Seconds for which a mailbox's folders are taken as they were.
FOLDERS_KEPT = 300


def open_syncs() -> MailboxSyncQuerySet:
    """The email sides of mailboxes that would be read if they were due."""
    return MailboxSync.objects.enabled().filter(
        kind=MailboxSync.Kind.EMAIL, mailbox__rejected_at=None, stopped_at=None
    )


def is_known(sync_id: int, provider_id: str) -> bool:
    """Whether the ledger has the message. One that failed is tried again by the passes."""
    entries = LedgerEntry.objects.filter(source=Source.NYLAS, provider_id=provider_id)
    return entries.filter(user__mailbox__syncs=sync_id).exists()


def read_message(
    sync: MailboxSync, provider_id: str, *, gateway: MailGateway, settings: Settings
) -> None:
    """Fetch one message's headers, decide, and store it; its text is fetched only for a match.

    Does nothing for a message that a pass would not list. Raises ProviderErrors that concern more
    than this message.
    """
    mailbox, now = sync.mailbox, timezone.now()
    chosen = set(mailbox.folder_cursors.values_list("folder_id", flat=True))
    if not chosen:
        return  # The first pass is still to come, and reads everything.
    try:
        headers = gateway.message_headers(mailbox.grant_id, provider_id)
    except (ItemGone, PermanentError):
        return
    if not chosen.intersection(headers.folder_ids) or _is_before_start(sync, headers):
        return
    lease = Lease(holder="", started_at=now, is_time_up=lambda: False, result=PassResult())
    run = Pass(sync, lease, gateway=gateway, settings=settings)
    folders = _folders(run, headers)
    run.roles = {folder.id: folder.role for folder in folders}
    run.names = {folder.id: folder.name for folder in folders}
    items = decide_page(run, MessagePage((headers,), (), None))
    if not items:
        return
    fetched, error = fetch_contents(run, items)
    with transaction.atomic():
        leases.lock(sync)
        if _is_still_read(sync) and not is_known(sync.pk, provider_id):
            store.store(fetched, now=now)
    if error is not None:
        raise error


def _is_before_start(sync: MailboxSync, headers: MessageHeaders) -> bool:
    start, received_at = sync.mailbox.sync_from, headers.received_at
    return start is not None and received_at is not None and received_at < start


def _folders(run: Pass, headers: MessageHeaders) -> list[Folder]:
    """The mailbox's folders, for their roles and names: asked for once in a while, not each time.

    A folder that is not among them is new, and might be Trash.
    """
    key = f"hints:folders:{run.mailbox.grant_digest}"
    folders: list[Folder] | None = cache.get(key)
    if folders is None or not {folder.id for folder in folders}.issuperset(headers.folder_ids):
        folders = run.gateway.folders(run.mailbox.grant_id)
        cache.set(key, folders, FOLDERS_KEPT)
    return folders


def _is_still_read(sync: MailboxSync) -> bool:
    """Whether the mailbox, while we asked, was neither switched off nor connected anew."""
    same = open_syncs().filter(pk=sync.pk, mailbox__grant_digest=sync.mailbox.grant_digest)
    return same.exists()
