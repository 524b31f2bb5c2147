"""Addresses and domains whose mail is never logged."""

from collections.abc import Collection
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.db import models

from accounts.addresses import MAX_ADDRESS_LENGTH, normalise, normalise_domain
from accounts.models import User


class ExclusionQuerySet(models.QuerySet["Exclusion"]):
    def applying_to(self, user_ids: Collection[int]) -> Self:
        """The organisation's exclusions and the users' own."""
        return self.filter(models.Q(user=None) | models.Q(user_id__in=user_ids))


class Exclusion(models.Model):
    """One never-logged address or domain: for everybody, or for one user's mail only.

    A domain means exactly itself: `acme.example` does not cover `mail.acme.example`.
    """

    class Kind(models.TextChoices):
        ADDRESS = "address", "Address"
        DOMAIN = "domain", "Domain"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    value = models.CharField(max_length=MAX_ADDRESS_LENGTH)
    user = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.CASCADE, related_name="exclusions",
        help_text="Empty: for everybody.",
    )  # fmt: skip
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ExclusionQuerySet.as_manager()

    class Meta:
        ordering = ("kind", "value")
        constraints = (
            models.UniqueConstraint(
                fields=("kind", "value", "user"), name="exclusion_once_per_user"
            ),
            models.UniqueConstraint(
                fields=("kind", "value"),
                condition=models.Q(user=None),
                name="exclusion_once_for_everybody",
            ),
        )

    def clean(self) -> None:
        self.value = normalise_value(self.kind, self.value)

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.value = normalise_value(self.kind, self.value)
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        return self.value


def normalise_value(kind: str, value: str) -> str:
    """The value as it is compared. Raises ValidationError with a sentence where it is none."""
    if kind == Exclusion.Kind.DOMAIN:
        domain = normalise_domain(value)
        if not domain:
            raise ValidationError(f"“{value}” is not a domain such as example.com.")
        return domain
    address = normalise(value)
    if not address:
        raise ValidationError(f"“{value}” is not an email address.")
    return address
