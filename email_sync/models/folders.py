"""How far each folder of a mailbox has been read."""

from django.db import models

from accounts.models import Mailbox


class FolderCursor(models.Model):
    """What was read of one folder; saved in the same transaction as what was read.

    `read_up_to` moves only when a listing was complete. While one is under way, `page_token` is
    its next page and `listing_newest` the newest date it saw; a pass cut off goes on there.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="folder_cursors")
    folder_id = models.CharField(max_length=500)
    name = models.CharField(max_length=500)
    read_up_to = models.DateTimeField(null=True, blank=True)
    backfilled_at = models.DateTimeField(null=True, blank=True)

    listing_started_at = models.DateTimeField(null=True, blank=True)
    listing_newest = models.DateTimeField(null=True, blank=True)
    page_token = models.TextField(blank=True)

    #: Messages listed in the first backfill, the oldest of them, and the folder's size if known.
    seen = models.PositiveIntegerField(default=0)
    oldest_seen = models.DateTimeField(null=True, blank=True)
    total = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("mailbox", "folder_id"), name="cursor_once_per_folder"),
        )

    def __str__(self) -> str:
        return f"{self.name} of {self.mailbox}"
