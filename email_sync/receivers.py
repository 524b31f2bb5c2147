"""What this app does when the rooms below tell it something."""

from accounts.models import Mailbox
from email_sync.tasks import queue_passes


def wake_worker(sender: object, mailbox: Mailbox, **kwargs: object) -> None:
    """Somebody wants a pass now: the rows say so already, this only saves the dispatcher's wait."""
    queue_passes(list(mailbox.syncs.filter(kind="email").values_list("pk", flat=True)))
