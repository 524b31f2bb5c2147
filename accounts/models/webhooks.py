"""What we keep of the provider's webhooks: their secrets, what was received, and how often."""

from datetime import date, datetime, timedelta

from django.db import models, transaction

from crm_sync.fields import EncryptedTextField

#: How long a secret is accepted after it was replaced: what was signed with it is still under way.
SECRET_OUTLIVES_ROTATION = timedelta(hours=1)


class WebhookRegistrationQuerySet(models.QuerySet["WebhookRegistration"]):
    def current(self) -> "WebhookRegistrationQuerySet":
        return self.filter(retired_at=None)

    def accepted(self, now: datetime) -> "WebhookRegistrationQuerySet":
        """Those whose secret a signature may be made with."""
        return self.filter(
            models.Q(retired_at=None) | models.Q(retired_at__gt=now - SECRET_OUTLIVES_ROTATION)
        )

    @transaction.atomic
    def adopt(self, nylas_id: str, secret: str, *, now: datetime) -> "WebhookRegistration":
        """Store a webhook's secret as the one it signs with from now on."""
        self.current().filter(nylas_id=nylas_id).update(retired_at=now)
        return self.create(nylas_id=nylas_id, secret=secret, created_at=now)


class WebhookRegistration(models.Model):
    """One secret of our webhook at Nylas, which tells it only when it makes or rotates it."""

    nylas_id = models.CharField(max_length=200)
    secret = EncryptedTextField(editable=False)
    created_at = models.DateTimeField()
    #: When it was rotated, or the webhook was found to be gone.
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = WebhookRegistrationQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-pk")

    def __str__(self) -> str:
        return self.nylas_id


class WebhookNotification(models.Model):
    """One notification that was received, by its own id, so that a repeat is known as one."""

    notification_id = models.CharField(max_length=64, unique=True)
    type = models.CharField(max_length=60)
    received_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ("-received_at", "-pk")

    def __str__(self) -> str:
        return f"{self.type} at {self.received_at:%Y-%m-%d %H:%M}"


class WebhookCounterQuerySet(models.QuerySet["WebhookCounter"]):
    def add(self, name: str, *, day: date) -> None:
        """Count one more: a single UPDATE, but for the first of a day."""
        today = self.filter(day=day, name=name)
        if not today.update(count=models.F("count") + 1):
            self.bulk_create([WebhookCounter(day=day, name=name)], ignore_conflicts=True)
            today.update(count=models.F("count") + 1)


class WebhookCounter(models.Model):
    """How many requests of a UTC day ended in a certain way (`accounts.webhooks.Verdict`)."""

    day = models.DateField()
    name = models.CharField(max_length=20)
    count = models.PositiveBigIntegerField(default=0)

    objects = WebhookCounterQuerySet.as_manager()

    class Meta:
        ordering = ("-day", "name")
        constraints = (
            models.UniqueConstraint(fields=("day", "name"), name="webhook_count_once_per_day"),
        )

    def __str__(self) -> str:
        return f"{self.count} {self.name} on {self.day}"
