"""Emails: messages stored in the CRM, each for one user."""

from datetime import datetime

from django.db import models
from django.db.models.functions import Now
from django.urls import reverse

from accounts.addresses import MAX_ADDRESS_LENGTH
from accounts.models import Contact, Customer, User


class EmailQuerySet(models.QuerySet["Email"]):
    def readable_by(self, viewer: User) -> "EmailQuerySet":
        """Emails that are not hidden, of users whose mail the viewer may read."""
        shown = self.filter(hidden_at=None)
        if viewer.is_admin:
            return shown
        return shown.filter(user__in=User.objects.readable_by(viewer))

    def hidden_from(self, viewer: User) -> "EmailQuerySet":
        """Hidden emails that the viewer may bring back: those that they could read before."""
        return self.exclude(hidden_at=None).filter(user__in=User.objects.readable_by(viewer))

    def hide(self, *, now: datetime) -> int:
        """Hide in the CRM what is not hidden yet; the row stays, so that no sync brings it back."""
        return self.filter(hidden_at=None).update(hidden_at=now)

    def of_customer(self, customer: Customer) -> "EmailQuerySet":
        links = EmailContact.objects.filter(contact__customer=customer)
        return self.filter(pk__in=links.values("email"))

    def of_contact(self, contact: Contact) -> "EmailQuerySet":
        return self.filter(pk__in=EmailContact.objects.filter(contact=contact).values("email"))


class Email(models.Model):
    """One message stored in the CRM for one user, because it matched.

    `body_html` is sanitised (`email_sync.html`); `body_text` is the same without markup.
    `sent_at` is the server's receipt time. `thread_key` is the same for all of one conversation,
    also across users.
    """

    class Direction(models.TextChoices):
        SENT = "sent", "Sent"
        RECEIVED = "received", "Received"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="emails")
    message_key = models.CharField(max_length=40)
    message_id = models.TextField(blank=True)
    thread_key = models.CharField(max_length=40, db_index=True)
    #: The provider's own conversation, by which a reply without References finds its thread.
    provider_thread_id = models.CharField(max_length=500, blank=True)
    direction = models.CharField(max_length=10, choices=Direction.choices)
    subject = models.TextField(blank=True)
    sent_at = models.DateTimeField()
    body_text = models.TextField(blank=True)
    body_html = models.TextField(blank=True)
    #: Names, types and sizes (bytes): a list of {"name", "type", "size"}. Contents are not kept.
    attachments = models.JSONField(default=list, blank=True)
    #: What an inline forward of it is known by (`email_sync.fingerprints`).
    fingerprint = models.CharField(max_length=40, blank=True)
    #: Whether it was cut out of a forward, so that its own Message-ID is not known.
    is_inline = models.BooleanField(default=False)
    stored_at = models.DateTimeField(db_default=Now())
    #: When it was deleted in the CRM: hidden here, untouched in the mail app.
    hidden_at = models.DateTimeField(null=True, blank=True)

    objects = EmailQuerySet.as_manager()

    class Meta:
        ordering = ("-sent_at", "-pk")
        constraints = (
            models.UniqueConstraint(fields=("user", "message_key"), name="email_once_per_user"),
        )
        indexes = (
            models.Index(fields=("user", "-sent_at")),
            models.Index(fields=("user", "provider_thread_id")),
            models.Index(
                fields=("user", "fingerprint"),
                condition=~models.Q(fingerprint=""),
                name="email_by_fingerprint",
            ),
        )

    def get_absolute_url(self) -> str:
        return reverse("email_sync:email-detail", args=[self.pk])

    def __str__(self) -> str:
        return f"email {self.pk}"


class EmailParticipant(models.Model):
    """Somebody named in an email's headers."""

    class Role(models.TextChoices):
        FROM = "from", "From"
        TO = "to", "To"
        CC = "cc", "Cc"
        BCC = "bcc", "Bcc"

    email = models.ForeignKey(Email, on_delete=models.CASCADE, related_name="participants")
    role = models.CharField(max_length=4, choices=Role.choices)
    address = models.CharField(max_length=MAX_ADDRESS_LENGTH)
    name = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("pk",)
        constraints = (
            models.UniqueConstraint(
                fields=("email", "role", "address"), name="participant_once_per_role"
            ),
        )

    def __str__(self) -> str:
        return self.name or self.address


class EmailContact(models.Model):
    """The link from an email to a contact it belongs to."""

    email = models.ForeignKey(Email, on_delete=models.CASCADE, related_name="links")
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="email_links")

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("email", "contact"), name="link_once_per_contact"),
        )

    def __str__(self) -> str:
        return f"email {self.email_id} – contact {self.contact_id}"
