"""Action items: to-dos made in the CRM, and appointments imported from people's calendars."""

from datetime import UTC, date, datetime, time, timedelta

from django.db import models
from django.db.models.functions import Now
from django.urls import reverse

from accounts.addresses import MAX_ADDRESS_LENGTH
from accounts.models import Contact, Customer, User
from calendar_sync.rules import Window

#: The type of what was imported; it cannot be chosen for a to-do (seed 003).
IMPORTED = "Imported"


class ActionType(models.Model):
    """A kind of to-do; whether its items are synced by default is a CRM setting (seed 001)."""

    name = models.CharField(max_length=60, unique=True)
    sync_by_default = models.BooleanField("sync new items", default=True)
    is_active = models.BooleanField("can be chosen", default=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ActionItemQuerySet(models.QuerySet["ActionItem"]):
    def visible(self) -> "ActionItemQuerySet":
        return self.filter(deleted_at=None)

    def readable_by(self, viewer: User) -> "ActionItemQuerySet":
        """Items not deleted, of users whose records the viewer may read."""
        if viewer.is_admin:
            return self.visible()
        return self.visible().filter(owner__in=User.objects.readable_by(viewer))

    def of_customer(self, customer: Customer) -> "ActionItemQuerySet":
        """The customer's own to-dos, and appointments with one of its contacts."""
        invited = Attendee.objects.filter(contacts__customer=customer)
        return self.filter(
            models.Q(customer=customer)
            | models.Q(contact__customer=customer)
            | models.Q(pk__in=invited.values("item"))
        )

    def of_contact(self, contact: Contact) -> "ActionItemQuerySet":
        invited = Attendee.objects.filter(contacts=contact)
        return self.filter(models.Q(contact=contact) | models.Q(pk__in=invited.values("item")))

    def overlapping(self, start: datetime, end: datetime) -> "ActionItemQuerySet":
        """Items that touch the span from `start` up to but not including `end`.

        Days have no zone: an all-day item may touch a span up to a day beside its UTC date.
        """
        return self.filter(starts_at__lt=end + timedelta(days=1)).filter(
            models.Q(all_day=False, starts_at__lt=end, ends_at__gt=start)
            | models.Q(all_day=False, starts_at__lt=end, starts_at__gte=start)
            | models.Q(all_day=True, ends_at__gt=start - timedelta(days=2))
        )

    def within(self, window: Window) -> "ActionItemQuerySet":
        """Items dated in a calendar's window (`calendar_sync.rules`)."""
        timed = models.Q(all_day=False, starts_at__gte=window.start)
        days = models.Q(all_day=True, starts_at__gte=midnight(window.first_day))
        if window.end is not None and window.last_day is not None:
            timed &= models.Q(starts_at__lt=window.end)
            days &= models.Q(starts_at__lte=midnight(window.last_day))
        return self.filter(timed | days)

    def wanted_in_calendar_of(self, owner: User) -> "ActionItemQuerySet":
        """What belongs in the owner's calendar in the mail app, whatever its date."""
        return self.visible().filter(
            origin=ActionItem.Origin.CRM, owner=owner, sync=True, unlinked_at=None
        )

    def once_per_meeting(self) -> "ActionItemQuerySet":
        """Without the second and further copies of a meeting that several reps imported."""
        earlier = self.order_by().filter(
            ical_uid=models.OuterRef("ical_uid"),
            starts_at=models.OuterRef("starts_at"),
            pk__lt=models.OuterRef("pk"),
        )
        return self.exclude(~models.Q(ical_uid=""), models.Exists(earlier))

    def completed(self) -> "ActionItemQuerySet":
        return self.exclude(completed_at=None)

    def open(self) -> "ActionItemQuerySet":
        return self.filter(completed_at=None, cancelled_at=None)


class ActionItem(models.Model):
    """A to-do of a rep, or an appointment imported from the rep's calendar.

    `starts_at` and `ends_at` are instants; of an all-day item they are midnight UTC of its first
    and its last day (inclusive), which mean days and no instants: use `first_day`, `last_day`.
    `changed_at` is the last change made in the CRM to what a calendar shows.
    """

    class Origin(models.TextChoices):
        CRM = "crm", "CRM"
        IMPORTED = "imported", "Imported"

    origin = models.CharField(max_length=10, choices=Origin.choices, default=Origin.CRM)
    owner = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="action_items", verbose_name="assigned to"
    )
    type = models.ForeignKey(ActionType, on_delete=models.PROTECT, related_name="items")
    #: An imported appointment has none of these two: its attendees say whose it is.
    customer = models.ForeignKey(
        Customer, null=True, blank=True, on_delete=models.CASCADE, related_name="action_items"
    )
    contact = models.ForeignKey(
        Contact, null=True, blank=True, on_delete=models.SET_NULL, related_name="action_items"
    )
    title = models.CharField("short description", max_length=300)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    all_day = models.BooleanField(default=False)
    #: The event's own zone (IANA), "" where there is none: the owner's is meant.
    time_zone = models.CharField(max_length=64, blank=True)
    location = models.CharField(max_length=300, blank=True)
    note = models.TextField(blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    completion_note = models.TextField(blank=True)
    #: Whether it goes to the owner's calendar.
    sync = models.BooleanField(default=False)
    #: A private appointment keeps only its time.
    is_private = models.BooleanField(default=False)
    #: The external meeting's own identity, the same in everybody's calendar and for all occurrences
    #: of a series; "" where the provider names none.
    ical_uid = models.CharField(max_length=500, blank=True)
    #: When the external appointment was cancelled; it stays, marked.
    cancelled_at = models.DateTimeField(null=True, blank=True)
    #: When it was deleted in the CRM; gone from screens and exports, kept for the calendars' sake.
    deleted_at = models.DateTimeField(null=True, blank=True)
    #: When its event was deleted in the mail app: it stays here, and is not sent again.
    unlinked_at = models.DateTimeField(null=True, blank=True)

    #: The key of `import_actions`, by which the same row updates.
    import_key = models.CharField(max_length=200, null=True, blank=True, unique=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    changed_at = models.DateTimeField(db_default=Now())

    objects = ActionItemQuerySet.as_manager()

    class Meta:
        ordering = ("starts_at", "pk")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(ends_at__gte=models.F("starts_at")),
                name="action_ends_after_start",
            ),
        )
        indexes = (
            models.Index(fields=("owner", "starts_at")),
            models.Index(fields=("customer", "starts_at")),
            models.Index(fields=("contact", "starts_at")),
            models.Index(
                fields=("ical_uid", "starts_at"),
                condition=~models.Q(ical_uid=""),
                name="action_meeting",
            ),
        )

    @property
    def first_day(self) -> date:
        """The first day of an all-day item."""
        return self.starts_at.astimezone(UTC).date()

    @property
    def last_day(self) -> date:
        """The last day of an all-day item, inclusive."""
        return self.ends_at.astimezone(UTC).date()

    @property
    def is_imported(self) -> bool:
        return self.origin == self.Origin.IMPORTED

    def get_absolute_url(self) -> str:
        return reverse("calendar_sync:action", args=[self.pk])

    def __str__(self) -> str:
        return f"action item {self.pk}"


def midnight(day: date) -> datetime:
    """How a day is stored in `starts_at` and `ends_at` of an all-day item."""
    return datetime.combine(day, time.min, UTC)


class Attendee(models.Model):
    """Somebody invited to an imported appointment, or its organiser; a contact where known."""

    item = models.ForeignKey(ActionItem, on_delete=models.CASCADE, related_name="attendees")
    #: Normalised; "" where the provider named none.
    address = models.CharField(max_length=MAX_ADDRESS_LENGTH, blank=True)
    name = models.CharField(max_length=200, blank=True)
    status = models.CharField(max_length=20, blank=True)
    is_organiser = models.BooleanField(default=False)
    #: Whoever has this address: two customers may share a person's.
    contacts = models.ManyToManyField(Contact, blank=True, related_name="attendances")

    class Meta:
        ordering = ("-is_organiser", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=("item", "address"),
                condition=~models.Q(address=""),
                name="attendee_once",
            ),
        )

    def __str__(self) -> str:
        return self.name or self.address


class ActionItemChange(models.Model):
    """What became of an action item, and what was overwritten by it: the item's history."""

    class Origin(models.TextChoices):
        CRM = "crm", "CRM"
        CALENDAR = "calendar", "Mail app"

    item = models.ForeignKey(ActionItem, on_delete=models.CASCADE, related_name="changes")
    at = models.DateTimeField(db_default=Now())
    origin = models.CharField(max_length=10, choices=Origin.choices)
    user = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    #: A sentence such as “Changed in the mail app”.
    summary = models.CharField(max_length=200)
    #: {field: [before, after]}, as people read them.
    fields = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("-at", "-pk")
        indexes = (models.Index(fields=("item", "-at")),)

    def __str__(self) -> str:
        return self.summary
