"""What this app does when the rooms below tell it something."""

from accounts.models import Mailbox
from email_sync import hints
from email_sync.models import CoverageCheck, FolderCoverage, FolderCursor
from email_sync.tasks import queue_grant_check, queue_hint, queue_passes


def wake_worker(sender: object, mailbox: Mailbox, **kwargs: object) -> None:
    """Somebody wants a pass now: the rows say so already, this only saves the dispatcher's wait."""
    queue_passes(list(mailbox.syncs.filter(kind="email").values_list("pk", flat=True)))


def forget_what_was_read(sender: object, mailbox: Mailbox, **kwargs: object) -> None:
    """Another mailbox begins anew: how far the former one was read and checked says nothing."""
    FolderCursor.objects.filter(mailbox=mailbox).delete()
    FolderCoverage.objects.filter(mailbox=mailbox).delete()
    CoverageCheck.objects.filter(mailbox=mailbox).delete()


def follow_notification(
    sender: object, mailbox: Mailbox, kind: str, object_id: str, **kwargs: object
) -> None:
    """A webhook named a message or a grant: queue a look at it. Nothing is asked here."""
    if kind == "grant":
        queue_grant_check(mailbox.pk)
    elif kind == "message":
        for sync_id in hints.open_syncs().filter(mailbox=mailbox).values_list("pk", flat=True):
            queue_hint(sync_id, object_id)
