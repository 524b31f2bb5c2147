"""Connecting a mailbox to its user, from the browser's callback or from the command line."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from accounts.addresses import normalise
from accounts.models import Mailbox, MailboxSync, User
from accounts.models.mailboxes import grant_digest
from accounts.signals import mailbox_replaced, sync_wanted
from accounts.system_settings import Settings
from crm_sync.providers.types import AuthorisationGateway, Grant


class ConnectionRefused(Exception):
    """The grant cannot become this user's; the message is a sentence for the user."""


@transaction.atomic
def adopt_grant(
    user: User,
    grant: Grant,
    *,
    now: datetime,
    settings: Settings,
    sync_from: datetime | None = None,
) -> Mailbox:
    """Store a grant as the user's own and make its first pass due now.

    Authorising the same mailbox again keeps its start and what was read (design, “Email rules”);
    another address begins anew. Raises ConnectionRefused for another user's grant.
    """
    address = normalise(grant.email)
    mailbox = Mailbox.objects.select_for_update().filter(user=user).first() or Mailbox(user=user)
    is_same = bool(mailbox.sync_from) and address == mailbox.authorised_address
    if _belongs_to_another(user, grant, address):
        raise ConnectionRefused(
            "This mailbox is already connected for another user. "
            "Sign in to your own mailbox at the provider, or ask an admin to disconnect the other."
        )
    if not is_same:
        mailbox.sync_from = sync_from or now - timedelta(days=settings.backfill_days)
    mailbox.address = mailbox.address if is_same and mailbox.address else address
    mailbox.provider = grant.provider if grant.provider in Mailbox.Provider else mailbox.provider
    mailbox.grant_id = grant.id
    mailbox.authorised_address = address
    mailbox.authorised_at = now
    mailbox.rejected_at, mailbox.rejection = None, ""
    try:
        with transaction.atomic():
            mailbox.save()
    except IntegrityError:
        raise ConnectionRefused(
            "This mailbox was connected for another user a moment ago."
        ) from None
    if not is_same:
        mailbox_replaced.send(Mailbox, mailbox=mailbox)
    for kind in MailboxSync.Kind.values:
        _start_afresh(mailbox, kind, now=now, is_same=is_same)
    transaction.on_commit(lambda: sync_wanted.send(Mailbox, mailbox=mailbox))
    return mailbox


def _belongs_to_another(user: User, grant: Grant, address: str) -> bool:
    others = Mailbox.objects.exclude(user=user)
    return (
        others.filter(grant_digest=grant_digest(grant.id)).exists()
        or others.filter(authorised_address=address).exclude(grant_digest="").exists()
    )


def _start_afresh(mailbox: Mailbox, kind: str, *, now: datetime, is_same: bool) -> None:
    """Clear what the old grant's failures left behind; of the same mailbox, what was read stays."""
    sync, _ = MailboxSync.objects.get_or_create(mailbox=mailbox, kind=kind)
    sync.failure = sync.failure_code = sync.failure_text = ""
    sync.failed_at = sync.stopped_at = sync.queued_at = None
    sync.failure_count = 0
    sync.next_due_at = now
    if not is_same:
        sync.listed_at = sync.backfilled_at = sync.last_success_at = None
        sync.problems = []
    sync.save()


def disconnect(mailbox: Mailbox, *, gateway: AuthorisationGateway | None) -> None:
    """Forget the grant and stop syncing; the emails stay. With a gateway, revoke it there first.

    Raises the gateway's ProviderError with nothing changed, so that the user can choose to
    disconnect here only.
    """
    if gateway is not None and mailbox.grant_id:
        gateway.revoke_grant(mailbox.grant_id)
    mailbox.grant_id = ""
    mailbox.rejected_at, mailbox.rejection = None, ""
    mailbox.save(update_fields=["grant_id", "grant_digest", "rejected_at", "rejection"])
    mailbox.syncs.update(next_due_at=None)
    mailbox.syncs.all().interrupt()


def want_sync(mailbox: Mailbox, *, now: datetime) -> None:
    """Make every side of the mailbox due now, also one that was stopped, and wake a worker."""
    mailbox.syncs.update(next_due_at=now, stopped_at=None, failure_count=0, queued_at=None)
    transaction.on_commit(lambda: sync_wanted.send(Mailbox, mailbox=mailbox))
