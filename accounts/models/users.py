"""Users of the CRM: reps, managers, admins."""

import zoneinfo
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.core.exceptions import ValidationError
from django.db import models

from accounts.addresses import MAX_ADDRESS_LENGTH, normalise


def validate_time_zone(name: str) -> None:
    """Accept only names that the time zone database knows, such as Europe/Berlin."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"“{name}” is not a time zone. Use a name such as Europe/Berlin.")


class UserQuerySet(models.QuerySet["User"]):
    def readable_by(self, viewer: "User") -> "UserQuerySet":
        """Whose mail the viewer may read: a rep own, a manager their reps' too, an admin all."""
        if viewer.is_admin:
            return self
        if viewer.role == User.Role.MANAGER:
            return self.filter(models.Q(pk=viewer.pk) | models.Q(manager=viewer))
        return self.filter(pk=viewer.pk)


class UserManager(DjangoUserManager["User"]):
    def get_queryset(self) -> UserQuerySet:
        return UserQuerySet(self.model, using=self._db)

    def readable_by(self, viewer: "User") -> UserQuerySet:
        return self.get_queryset().readable_by(viewer)

    def create_superuser(self, *args: Any, **fields: Any) -> "User":
        fields.setdefault("role", User.Role.ADMIN)
        return super().create_superuser(*args, **fields)


class User(AbstractUser):
    """Somebody who signs in. Their own mail is known by these addresses: `own_addresses`."""

    class Role(models.TextChoices):
        REP = "rep", "Rep"
        MANAGER = "manager", "Manager"
        ADMIN = "admin", "Admin"

    role = models.CharField(max_length=10, choices=Role.choices, default=Role.REP)
    manager = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="reps"
    )
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        ordering = ("last_name", "first_name", "username")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(role__in=("rep", "manager", "admin")), name="user_role_known"
            ),
        )

    def save(self, *args: Any, **kwargs: Any) -> None:
        # Django's own admin site goes with the role, so that there is one switch.
        self.is_staff = self.is_admin
        super().save(*args, **kwargs)
        if not self.is_active:
            self._stop_syncing()

    def _stop_syncing(self) -> None:
        """Somebody who left: a pass that runs now stores nothing more."""
        if mailbox := getattr(self, "mailbox", None):
            mailbox.syncs.all().interrupt()

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """In Django's own admin site an admin may do everything."""
        return (self.is_active and self.is_admin) or super().has_perm(perm, obj)

    def has_module_perms(self, app_label: str) -> bool:
        return (self.is_active and self.is_admin) or super().has_module_perms(app_label)

    @property
    def is_admin(self) -> bool:
        return self.role == self.Role.ADMIN or self.is_superuser

    @property
    def is_manager(self) -> bool:
        """Managers and admins: those who see other people's mail."""
        return self.role == self.Role.MANAGER or self.is_admin

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        try:
            return zoneinfo.ZoneInfo(self.time_zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            return zoneinfo.ZoneInfo("UTC")

    def __str__(self) -> str:
        return self.display_name


class UserAlias(models.Model):
    """A further address of a user: mail from it was sent by them, and it never matches."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="aliases")
    address = models.CharField(max_length=MAX_ADDRESS_LENGTH, unique=True)

    class Meta:
        ordering = ("address",)
        verbose_name_plural = "user aliases"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.address = normalise(self.address)
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        return self.address


class ShutterState(models.Model):
    """A section of the customer page that a user has closed; open is the default and has no row."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="closed_shutters")
    section = models.CharField(max_length=40)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("user", "section"), name="shutter_once_per_user"),
        )

    def __str__(self) -> str:
        return f"{self.section} closed"
