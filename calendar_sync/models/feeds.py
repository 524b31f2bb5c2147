"""The calendar feed: a secret address for people whose mailbox is not connected."""

from django.db import models

from accounts.models import User
from crm_sync.fields import EncryptedTextField


class CalendarFeed(models.Model):
    """A user's own .ics address, looked up by the digest of its secret; deleting it revokes it."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="calendar_feed")
    secret = EncryptedTextField(editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)
    #: Of what it said when it was last read, and since when it says so.
    content_digest = models.CharField(max_length=64, blank=True, editable=False)
    changed_at = models.DateTimeField(null=True, blank=True, editable=False)

    def __str__(self) -> str:
        return f"calendar feed of {self.user}"
