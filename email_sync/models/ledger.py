"""The ledger: one entry for each processed message, matched or not, and why."""

from datetime import date, datetime
from typing import Self

from django.db import models
from django.db.models.functions import Now

from accounts.addresses import MAX_ADDRESS_LENGTH
from accounts.models import ContactAddress, Mailbox, User
from email_sync.models.emails import Email
from email_sync.models.intake import IntakeReview


class Source(models.TextChoices):
    """How a message came in."""

    NYLAS = "nylas", "Nylas"
    BCC = "bcc", "BCC"
    FWD = "fwd", "FWD"
    SYSTEM = "system", "System"


class LedgerQuerySet(models.QuerySet["LedgerEntry"]):
    def readable_by(self, viewer: User) -> Self:
        if viewer.is_admin:
            return self
        return self.filter(user__in=User.objects.readable_by(viewer))

    def for_user(self, user: User) -> Self:
        return self.filter(user=user)

    def of_email(self, email: Email) -> Self:
        """The entries of every way by which an email came in."""
        further = LedgerEntry.further_emails.through.objects.filter(email=email)
        return self.filter(models.Q(email=email) | models.Q(pk__in=further.values("ledgerentry")))

    def matched(self) -> Self:
        return self.filter(outcome=LedgerEntry.Outcome.MATCHED)

    def unmatched(self) -> Self:
        return self.filter(outcome=LedgerEntry.Outcome.UNMATCHED)

    def expired(self, before: datetime) -> Self:
        """Entries of messages that did not match, processed before then, not yet emptied."""
        return self.exclude(outcome=LedgerEntry.Outcome.MATCHED).filter(
            processed_at__lt=before, expired_at=None
        )

    def of_address(self, address: str) -> Self:
        """Entries in which this normalised address of somebody else stands."""
        found = LedgerAddress.objects.filter(address=address)
        return self.filter(pk__in=found.values("entry"))

    def of_domain(self, domain: str) -> Self:
        """Entries in which somebody else's address has exactly this domain."""
        found = LedgerAddress.objects.filter(domain=domain)
        return self.filter(pk__in=found.values("entry"))

    def empty(self, *, now: datetime) -> int:
        """Remove all but what prevents a double: user, key, source, outcome and times.

        Questions about them can no longer be answered and end as dismissed. Call it in a
        transaction; the queryset must be by primary keys, not by what it changes.
        """
        LedgerAddress.objects.filter(entry__in=self).delete()
        IntakeReview.objects.filter(entry__in=self).empty(now=now)
        return self.update(
            expired_at=now,
            message_id="",
            subject="",
            from_address="",
            to=[],
            cc=[],
            contacts=[],
            customers=[],
            trace={},
        )


class LedgerEntry(models.Model):
    """One processed message of one user from one source.

    For a message that did not match it holds addresses, subject, date and reason; never text.
    `trace` is how the decision was made (`email_sync.rules.Decision`).
    """

    class Outcome(models.TextChoices):
        MATCHED = "matched", "Matched"
        UNMATCHED = "unmatched", "Unmatched"
        EXCLUDED = "excluded", "Excluded"
        FAILED = "failed", "Failed"

    class Reason(models.TextChoices):
        MATCHED = "matched", "One of the user's contacts"
        NOT_MY_CONTACT = "not-my-contact", "A contact, but not one of the user's"
        UNKNOWN_ADDRESS = "unknown-address", "No contact has any of the addresses"
        BEFORE_SYNC_START = "before-sync-start", "Dated before the start of the sync"
        EXCLUDED_ADDRESS = "excluded-address", "An address that is never logged"
        EXCLUDED_DOMAIN = "excluded-domain", "A domain that is never logged"
        INTERNAL_ONLY = "internal-only", "Everybody in it is inside the company"
        DELETED_IN_CRM = "deleted-in-crm", "Deleted in the CRM"
        PROCESSING_ERROR = "processing-error", "Could not be read"
        AUTOMATED_MAIL = "automated-mail", "Written by a machine"
        CALENDAR_INVITE = "calendar-invite", "A calendar invitation"
        LOOP = "loop", "Came from the intake mailbox itself"
        SENDER_NOT_REGISTERED = "sender-not-registered", "From nobody who is a user here"
        SENDER_NOT_AUTHENTICATED = "sender-not-authenticated", "Not proved to be from the user"
        FORWARD_UNPARSED = "forward-unparsed", "The forwarded mail was not found in it"
        FORWARD_UNSURE = "forward-unsure", "The forwarded mail's sender is not certain"
        SEVERAL_ORIGINALS = "several-originals", "Several emails could be the original"
        AUTOMATIC_FORWARD = "automatic-forward", "Forwarded by a mail account, not by a person"
        SOURCE_OFF = "source-off", "This way of logging is switched off"

    #: Empty for mail to the intake that is from nobody who is a user here.
    user = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.CASCADE, related_name="ledger"
    )
    mailbox = models.ForeignKey(
        Mailbox, null=True, blank=True, on_delete=models.SET_NULL, related_name="ledger"
    )
    #: The intake connection through which it came, for BCC and FWD.
    intake = models.ForeignKey(
        "email_sync.IntakeConnection",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="ledger",
    )
    source = models.CharField(max_length=10, choices=Source.choices)
    message_key = models.CharField(max_length=40)
    message_id = models.TextField(blank=True)
    #: The provider's own id, by which webhooks and retries find the message.
    provider_id = models.CharField(max_length=500, blank=True)
    folder = models.CharField(max_length=500, blank=True)
    direction = models.CharField(max_length=10, choices=Email.Direction.choices)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reason = models.CharField(max_length=30, choices=Reason.choices)
    subject = models.TextField(blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    processed_at = models.DateTimeField(db_default=Now())
    from_address = models.CharField(max_length=MAX_ADDRESS_LENGTH, blank=True)
    to = models.JSONField(default=list, blank=True)
    cc = models.JSONField(default=list, blank=True)
    #: The flagged addresses that matched, and the numbers of their customers.
    contacts = models.JSONField(default=list, blank=True)
    customers = models.JSONField(default=list, blank=True)
    trace = models.JSONField(default=dict, blank=True)
    email = models.ForeignKey(
        Email, null=True, blank=True, on_delete=models.SET_NULL, related_name="ledger"
    )
    #: The other originals of a forward that held several messages.
    further_emails = models.ManyToManyField(Email, blank=True, related_name="further_ledger")
    #: How often the text was asked for in vain; at the limit the failure is final.
    attempts = models.PositiveSmallIntegerField(default=0)
    expired_at = models.DateTimeField(null=True, blank=True)

    objects = LedgerQuerySet.as_manager()

    class Meta:
        ordering = ("-processed_at", "-pk")
        verbose_name_plural = "ledger entries"
        constraints = (
            models.UniqueConstraint(
                fields=("user", "message_key", "source"), name="entry_once_per_source"
            ),
            models.UniqueConstraint(
                fields=("message_key", "source"),
                condition=models.Q(user=None),
                name="entry_without_user_once_per_source",
            ),
        )
        indexes = (
            models.Index(fields=("user", "outcome", "-sent_at", "-id")),
            models.Index(fields=("user", "provider_id")),
            models.Index(fields=("processed_at",)),
            models.Index(
                fields=("intake", "outcome", "-sent_at", "-id"),
                condition=models.Q(intake__isnull=False),
                name="ledger_of_intake",
            ),
            models.Index(
                fields=("intake", "provider_id"),
                condition=models.Q(intake__isnull=False),
                name="ledger_in_gmail",
            ),
            models.Index(
                fields=("processed_at",),
                condition=models.Q(expired_at=None) & ~models.Q(outcome="matched"),
                name="ledger_to_expire",
            ),
            models.Index(
                fields=("mailbox",), condition=models.Q(outcome="failed"), name="ledger_failed"
            ),
        )

    def __str__(self) -> str:
        return f"{self.outcome} ({self.reason})"


class LedgerAddressQuerySet(models.QuerySet["LedgerAddress"]):
    def of_contacts(self, contact_ids: list[int]) -> "models.QuerySet[LedgerAddress, int]":
        """The keys of entries in which one of the contacts' addresses stands."""
        addresses = ContactAddress.objects.filter(contact__in=contact_ids)
        return self.filter(address__in=addresses.values("address")).values_list("entry", flat=True)


class LedgerAddress(models.Model):
    """An address of somebody else in a ledger entry: by these a ledger of millions is searched."""

    entry = models.ForeignKey(LedgerEntry, on_delete=models.CASCADE, related_name="addresses")
    address = models.CharField(max_length=MAX_ADDRESS_LENGTH, db_index=True)
    domain = models.CharField(max_length=255, db_index=True)

    objects = LedgerAddressQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "ledger addresses"

    def __str__(self) -> str:
        return self.address


class DailyCountQuerySet(models.QuerySet["DailyCount"]):
    def add(self, user_id: int, day: date, counts: dict[tuple[str, str], int]) -> None:
        """Add to the counts of (source, outcome); call it in the transaction that stores them."""
        for (source, outcome), count in sorted(counts.items()):
            row = {"user_id": user_id, "day": day, "source": source, "outcome": outcome}
            more = {"count": models.F("count") + count}
            if not self.filter(**row).update(**more):
                # Another worker may make the first of the day just now: then add to that.
                self.bulk_create([DailyCount(**row)], ignore_conflicts=True)
                self.filter(**row).update(**more)


class DailyCount(models.Model):
    """Ledger entries of one user, by the UTC day they were processed on, source and outcome.

    Kept up to date in the transactions that write the ledger, so that no screen counts the ledger.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="daily_counts")
    day = models.DateField()
    source = models.CharField(max_length=10, choices=Source.choices)
    outcome = models.CharField(max_length=10, choices=LedgerEntry.Outcome.choices)
    #: Below zero where what failed on an earlier day was made good on this one.
    count = models.IntegerField(default=0)

    objects = DailyCountQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("user", "day", "source", "outcome"), name="count_once_per_day"
            ),
        )
        # The monitor asks for one day of everybody.
        indexes = (models.Index(fields=("day",)),)

    def __str__(self) -> str:
        return f"{self.count} {self.outcome} on {self.day}"
