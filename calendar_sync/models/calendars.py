"""What is known of the calendars outside: how far they were read, and which event is which item."""

from django.db import models

from accounts.models import Mailbox
from calendar_sync.models.actions import ActionItem


class CalendarCursor(models.Model):
    """How far a mailbox's calendar has been read; saved in the transaction that stores what was.

    `read_up_to` is the provider's own time of the newest change seen. `listed_at` is when the last
    listing of the whole window began: only such a listing finds what vanished.
    """

    mailbox = models.OneToOneField(
        Mailbox, on_delete=models.CASCADE, related_name="calendar_cursor"
    )
    calendar_id = models.CharField(max_length=500)
    name = models.CharField(max_length=500, blank=True)
    #: Appointments come in from a read-only calendar; nothing goes out.
    is_read_only = models.BooleanField(default=False)
    read_up_to = models.DateTimeField(null=True, blank=True)
    listed_at = models.DateTimeField(null=True, blank=True)
    #: When somebody last had reason to want a whole listing (a hint that something vanished).
    listing_wanted_at = models.DateTimeField(null=True, blank=True)
    #: Seconds by which the provider's clock is ahead of ours, as measured at our last write.
    clock_offset = models.FloatField(null=True, blank=True)

    #: The listing under way: which one it is, where it goes on, the newest change in it, and what
    #: it said of series (`calendar_sync.series`).
    listing_started_at = models.DateTimeField(null=True, blank=True)
    is_whole_listing = models.BooleanField(default=False)
    listing_part = models.PositiveSmallIntegerField(default=0)
    page_token = models.TextField(blank=True)
    listing_newest = models.DateTimeField(null=True, blank=True)
    listing_series = models.JSONField(default=dict, blank=True)

    #: The brake: deletions that wait for an admin, as {"there": n, "here": n}, and since when.
    held_deletions = models.JSONField(default=dict, blank=True)
    held_at = models.DateTimeField(null=True, blank=True)
    #: An admin's leave for the deletions that were held; used up by the pass that carries them out.
    released_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} of {self.mailbox}"


class EventLinkQuerySet(models.QuerySet["EventLink"]):
    def live(self) -> "EventLinkQuerySet":
        """Links that are followed, not those whose event waits to be removed."""
        return self.filter(is_leaving=False)

    def astray(self) -> "EventLinkQuerySet":
        """Live links of items that do not belong in that calendar any more."""
        item = models.Q(item__deleted_at=None, item__sync=True, item__unlinked_at=None)
        is_wanted = item & models.Q(item__owner=models.F("mailbox__user"))
        return self.live().filter(item__origin=ActionItem.Origin.CRM).exclude(is_wanted)


class EventLink(models.Model):
    """Which event of a mailbox's calendar an action item is, and what both sides last agreed on.

    A link is stored before the event is made, with its `marker` and without `event_id`: an answer
    that was lost is found again by the marker. A link with `is_leaving` waits for its event to be
    removed; it outlives a hand-over, when the item has a link in the new owner's calendar as well.

    Whoever writes to a link holds the lock on its item, or the lease of its mailbox and knows that
    nobody else writes that field.
    """

    item = models.ForeignKey(ActionItem, on_delete=models.CASCADE, related_name="links")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="event_links")
    calendar_id = models.CharField(max_length=500)
    event_id = models.CharField(max_length=500, blank=True)
    marker = models.CharField(max_length=40, blank=True)
    #: Of an occurrence: its series, and when it would be had nobody moved it.
    master_event_id = models.CharField(max_length=500, blank=True)
    original_start = models.DateTimeField(null=True, blank=True)
    #: The content on which both sides last agreed, as fingerprints (`calendar_sync.merging`).
    agreed = models.JSONField(default=dict, blank=True)
    #: The item's `changed_at` up to which the event has been brought; a different one is news.
    item_changed_at = models.DateTimeField(null=True, blank=True)
    #: When the last whole listing that showed the event began.
    seen_at = models.DateTimeField(null=True, blank=True)
    #: When the provider told us that the event is gone; carried out at the end of a pass.
    gone_at = models.DateTimeField(null=True, blank=True)
    is_leaving = models.BooleanField(default=False)
    #: Why the last write failed for this item alone, and how often.
    failure = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    objects = EventLinkQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("mailbox", "calendar_id", "event_id"),
                condition=~models.Q(event_id=""),
                name="event_is_one_item",
            ),
            models.UniqueConstraint(
                fields=("item", "mailbox"),
                condition=models.Q(is_leaving=False),
                name="item_once_per_mailbox",
            ),
        )
        indexes = (
            models.Index(
                fields=("mailbox",), condition=models.Q(is_leaving=True), name="link_leaving"
            ),
            models.Index(
                fields=("mailbox",), condition=models.Q(gone_at__isnull=False), name="link_gone"
            ),
            models.Index(
                fields=("mailbox", "marker"), condition=~models.Q(marker=""), name="link_marker"
            ),
            models.Index(
                fields=("mailbox", "master_event_id"),
                condition=~models.Q(master_event_id=""),
                name="link_series",
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
