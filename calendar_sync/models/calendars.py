"""What is known of the calendars outside: how far they were read, and which event is which item."""

from django.db import models

from accounts.models import Mailbox
from calendar_sync.models.actions import ActionItem


class CalendarCursor(models.Model):
    """How far a mailbox's calendar has been read; saved in the transaction that stores what was.

    `read_up_to` is the provider's own time of the newest change seen. `listed_at` is when the whole
    window was last listed: only that finds what vanished.
    """

    mailbox = models.OneToOneField(
        Mailbox, on_delete=models.CASCADE, related_name="calendar_cursor"
    )
    calendar_id = models.CharField(max_length=500)
    name = models.CharField(max_length=500, blank=True)
    is_read_only = models.BooleanField(default=False)
    read_up_to = models.DateTimeField(null=True, blank=True)
    listed_at = models.DateTimeField(null=True, blank=True)

    #: The brake: deletions that wait for an admin, as {"there": n, "here": n}, and since when.
    held_deletions = models.JSONField(default=dict, blank=True)
    held_at = models.DateTimeField(null=True, blank=True)
    #: An admin's leave for the deletions that were held; used up by the next pass.
    released_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} of {self.mailbox}"


class EventLink(models.Model):
    """Which event of a mailbox's calendar an action item is, and what both sides last agreed on.

    A link is stored before the event is made, with its `marker` and without `event_id`: an answer
    that was lost is found again by the marker. A link with `is_leaving` waits for its event to be
    removed; it outlives a hand-over, when the item has a link in the new owner's calendar as well.
    """

    item = models.ForeignKey(ActionItem, on_delete=models.CASCADE, related_name="links")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="event_links")
    calendar_id = models.CharField(max_length=500)
    event_id = models.CharField(max_length=500, blank=True)
    marker = models.CharField(max_length=40, blank=True)
    ical_uid = models.CharField(max_length=500, blank=True)
    master_event_id = models.CharField(max_length=500, blank=True)
    #: The content on which both sides last agreed, by field (`calendar_sync.rules`).
    agreed = models.JSONField(default=dict, blank=True)
    #: The provider's time of the event's last change that we have seen.
    event_updated_at = models.DateTimeField(null=True, blank=True)
    is_leaving = models.BooleanField(default=False)
    #: Why the last write failed for this item alone, and how often.
    failure = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("mailbox", "event_id"),
                condition=~models.Q(event_id=""),
                name="event_is_one_item",
            ),
            models.UniqueConstraint(fields=("item", "mailbox"), name="item_once_per_mailbox"),
        )
        indexes = (
            models.Index(
                fields=("mailbox",), condition=models.Q(is_leaving=True), name="link_leaving"
            ),
        )

    def __str__(self) -> str:
        return f"event of {self.item}"


class EventFailure(models.Model):
    """An event that could not be read: one entry for each, with the cause (`processing-error`)."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="event_failures")
    event_id = models.CharField(max_length=500)
    cause = models.CharField(max_length=300)
    failed_at = models.DateTimeField()

    class Meta:
        ordering = ("-failed_at", "-pk")
        constraints = (
            models.UniqueConstraint(fields=("mailbox", "event_id"), name="failure_once_per_event"),
        )

    def __str__(self) -> str:
        return self.cause
