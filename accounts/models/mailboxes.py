"""A user's connection to their mailbox: settings, grant, evidence for its state, lease."""

import hashlib
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models.functions import Now

from accounts.addresses import MAX_ADDRESS_LENGTH, normalise
from accounts.models.users import User
from accounts.rules import Failure, State
from crm_sync.fields import EncryptedTextField


def grant_digest(grant_id: str) -> str:
    """What a grant is looked up by, since the grant itself is stored encrypted. "" for none."""
    return hashlib.sha256(grant_id.encode()).hexdigest() if grant_id else ""


class Mailbox(models.Model):
    """A user's external mail/calendar connection. One per user (seed 001, “User Security Screen”).

    The grant belongs to `authorised_address`; `address` is what the user entered. `sync_from` is
    the start of the sync and outlives re-authorising.
    """

    class Provider(models.TextChoices):
        GOOGLE = "google", "Google"
        MICROSOFT = "microsoft", "Microsoft 365"
        EXCHANGE = "ews", "Microsoft Exchange"
        IMAP = "imap", "IMAP"
        YAHOO = "yahoo", "Yahoo"
        ICLOUD = "icloud", "iCloud"

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="mailbox")
    address = models.CharField(
        "user name / email address", max_length=MAX_ADDRESS_LENGTH, blank=True
    )
    provider = models.CharField(max_length=20, blank=True, choices=Provider.choices)

    email_enabled = models.BooleanField("enable email sync", default=False)
    folder_names = models.TextField("email folder(s)", blank=True)
    #: For a mailbox in which the provider marks no folder, or the wrong one, as Sent.
    sent_folder_name = models.CharField("Sent folder", max_length=200, blank=True)
    calendar_enabled = models.BooleanField("enable calendar sync", default=False)
    calendar_name = models.CharField(max_length=200, blank=True)
    days_after = models.PositiveIntegerField("sync days after today", null=True, blank=True)

    grant_id = EncryptedTextField(blank=True, editable=False)
    grant_digest = models.CharField(max_length=64, blank=True, editable=False)
    authorised_address = models.CharField(max_length=MAX_ADDRESS_LENGTH, blank=True, editable=False)
    authorised_at = models.DateTimeField(null=True, blank=True, editable=False)
    sync_from = models.DateTimeField(null=True, blank=True)
    #: When the provider last refused the grant; empty while it is accepted.
    rejected_at = models.DateTimeField(null=True, blank=True, editable=False)
    rejection = models.CharField(max_length=300, blank=True, editable=False)

    class Meta:
        verbose_name_plural = "mailboxes"
        constraints = (
            models.UniqueConstraint(
                fields=("grant_digest",),
                condition=~models.Q(grant_digest=""),
                name="grant_of_one_user_only",
            ),
        )

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.address = normalise(self.address)
        self.grant_digest = grant_digest(self.grant_id)
        if (fields := kwargs.get("update_fields")) and "grant_id" in fields:
            kwargs["update_fields"] = {*fields, "grant_digest"}
        super().save(*args, **kwargs)
        switched_off = [kind for kind in MailboxSync.Kind if not self.is_enabled(kind)]
        self.syncs.filter(kind__in=switched_off).interrupt()

    @property
    def is_authorised(self) -> bool:
        return bool(self.grant_digest)

    @property
    def own_addresses(self) -> frozenset[str]:
        """Mail from these was sent by the user; they never match. Normalised."""
        aliases = (alias.address for alias in self.user.aliases.all())
        own = (self.address, self.authorised_address, normalise(self.user.email), *aliases)
        return frozenset(filter(None, own))

    def is_enabled(self, kind: str) -> bool:
        return self.email_enabled if kind == MailboxSync.Kind.EMAIL else self.calendar_enabled

    def __str__(self) -> str:
        return self.address or f"mailbox of {self.user}"


class Schedule(models.Model):
    """When something is read next, who is reading it now, and how it went: rows, never the queue.

    A lease is taken by `accounts.leases`; the end of a pass gives it back with the evidence
    (`accounts.outcomes.EVIDENCE`). With a null `next_due_at` no automatic attempt will be made.
    """

    next_due_at = models.DateTimeField(null=True, blank=True, db_index=True)
    #: When the dispatcher last put it on the queue; empty again when a worker took it.
    queued_at = models.DateTimeField(null=True, blank=True)

    #: "host:process:random" of whoever reads now; empty when nobody does.
    lease_holder = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    last_started_at = models.DateTimeField(null=True, blank=True)
    #: The last pass that read everything there was to read.
    last_success_at = models.DateTimeField(null=True, blank=True)
    #: A class of failure (`accounts.rules.Failure`), its code, and the cause in plain words.
    failure = models.CharField(max_length=20, blank=True)
    failure_code = models.CharField(max_length=60, blank=True)
    failure_text = models.CharField(max_length=500, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    #: Attempts in a row that ended with this code.
    failure_count = models.PositiveIntegerField(default=0)
    stopped_at = models.DateTimeField(null=True, blank=True)

    #: When the folders (calendars) were first listed after authorising.
    listed_at = models.DateTimeField(null=True, blank=True)
    #: When everything since the start had been read for the first time.
    backfilled_at = models.DateTimeField(null=True, blank=True)
    #: What the last pass could not read: a list of {"name", "cause"}.
    problems = models.JSONField(default=list, blank=True)

    class Meta:
        abstract = True

    @property
    def is_running(self) -> bool:
        """Whether somebody held the lease when the row was read (a dead holder counts too)."""
        return bool(self.lease_holder)


class MailboxSyncQuerySet(models.QuerySet["MailboxSync"]):
    def enabled(self) -> "MailboxSyncQuerySet":
        """Those that are switched on, authorised, and whose user is active."""
        kinds = models.Q(kind="email", mailbox__email_enabled=True) | models.Q(
            kind="calendar", mailbox__calendar_enabled=True
        )
        return self.filter(kinds, mailbox__user__is_active=True).exclude(mailbox__grant_digest="")

    def with_state(self) -> "MailboxSyncQuerySet":
        """Adds `state`: what `accounts.rules.derive_state` makes of the row, for filters and sums.

        The same order of cases; a test holds the two equal for all evidence there can be.
        """
        is_on = models.Q(kind="email", mailbox__email_enabled=True) | models.Q(
            kind="calendar", mailbox__calendar_enabled=True
        )
        is_rejected = models.Q(mailbox__rejected_at__isnull=False)
        cases = (
            (models.Q(mailbox__grant_digest=""), State.NOT_CONNECTED),
            (~is_on & is_rejected, State.INVALID),
            (~is_on, State.VALID),
            (is_rejected | models.Q(failure=Failure.RECONNECT), State.INVALID_CREDENTIALS),
            (models.Q(stopped_at__isnull=False), State.STOPPED),
            (models.Q(failure=Failure.BUG), State.SYNC_ERROR),
            (models.Q(failure=Failure.NOT_UNDERSTOOD), State.EXCEPTION),
            (models.Q(listed_at=None), State.INITIALIZING),
            (~models.Q(problems=[]) | models.Q(failure=Failure.TRANSIENT), State.PARTIAL),
            (models.Q(backfilled_at__isnull=False), State.RUNNING),
        )
        whens = (models.When(case, then=models.Value(str(state))) for case, state in cases)
        return self.annotate(
            state=models.Case(
                *whens,
                default=models.Value(str(State.DOWNLOADING)),
                output_field=models.CharField(),
            )
        )

    def interrupt(self) -> None:
        """End what reads these now: a pass without its lease stores nothing more and gives up."""
        self.update(lease_holder="", lease_until=None, queued_at=None)

    def due(self, now: datetime) -> "MailboxSyncQuerySet":
        return self.enabled().filter(
            next_due_at__lte=now, mailbox__rejected_at=None, stopped_at=None
        )


class MailboxSync(Schedule):
    """The email or the calendar side of a mailbox: each has its own lease, state and schedule."""

    class Kind(models.TextChoices):
        EMAIL = "email", "Email"
        CALENDAR = "calendar", "Calendar"

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="syncs")
    kind = models.CharField(max_length=10, choices=Kind.choices)

    objects = MailboxSyncQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("mailbox", "kind"), name="one_sync_of_a_kind"),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.mailbox}"


class Run(models.Model):
    """One pass, or several idle ones in a row folded into one row (`passes`).

    Each kind of schedule has its runs under the name `runs`, by a foreign key called `sync`.
    """

    class Outcome(models.TextChoices):
        RUNNING = "running", "Running"
        COMPLETE = "complete", "Complete"
        PARTIAL = "partial", "Partial"
        FAILED = "failed", "Failed"
        ABANDONED = "abandoned", "Abandoned"

    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.RUNNING)
    passes = models.PositiveIntegerField(default=1)
    #: Messages (events) listed, and of those the ones that were new, by what became of them.
    seen = models.PositiveIntegerField(default=0)
    matched = models.PositiveIntegerField(default=0)
    unmatched = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    failure_code = models.CharField(max_length=60, blank=True)
    failure_text = models.CharField(max_length=500, blank=True)

    class Meta:
        abstract = True
        ordering = ("-started_at",)

    def __str__(self) -> str:
        return f"{self.outcome} at {self.started_at:%Y-%m-%d %H:%M}"


class SyncRun(Run):
    """A pass over one side of a mailbox."""

    sync = models.ForeignKey(MailboxSync, on_delete=models.CASCADE, related_name="runs")

    class Meta(Run.Meta):
        indexes = (models.Index(fields=("sync", "-started_at")),)
