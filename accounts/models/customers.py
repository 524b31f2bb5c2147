"""Customers, their contacts, and which contacts are whose."""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.urls import reverse

from accounts.addresses import MAX_ADDRESS_LENGTH, domain_of, normalise
from accounts.models.users import User


class CustomerQuerySet(models.QuerySet["Customer"]):
    def search(self, words: str) -> "CustomerQuerySet":
        """Every word must occur in the number, the name, or a contact's name or address."""
        found = self
        for word in words.split():
            contacts = Contact.objects.search(word).values("customer")
            found = found.filter(
                models.Q(name__icontains=word)
                | models.Q(number__icontains=word)
                | models.Q(pk__in=contacts)
            )
        return found


class Customer(models.Model):
    """A customer or prospect account (advertiser)."""

    class Status(models.TextChoices):
        PROSPECT = "prospect", "Prospect"
        ACTIVE = "active", "Active"
        INACTIVE = "inactive", "Inactive"

    number = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=200, db_index=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    address = models.TextField(blank=True, help_text="Postal address")
    division = models.CharField(max_length=80, blank=True)
    account_manager = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="customers"
    )

    objects = CustomerQuerySet.as_manager()

    class Meta:
        ordering = ("name", "number")

    def get_absolute_url(self) -> str:
        return reverse("accounts:customer", args=[self.pk])

    def __str__(self) -> str:
        return self.name


class ContactQuerySet(models.QuerySet["Contact"]):
    def search(self, word: str) -> "ContactQuerySet":
        addresses = ContactAddress.objects.filter(address__contains=word.casefold())
        return self.filter(
            models.Q(first_name__icontains=word)
            | models.Q(last_name__icontains=word)
            | models.Q(pk__in=addresses.values("contact"))
        )

    def with_my_contact_flag(self, user: User) -> "ContactQuerySet":
        """Adds `is_my_contact`: whether the user has flagged the contact."""
        flags = MyContact.objects.filter(user=user, contact=models.OuterRef("pk"))
        return self.annotate(is_my_contact=models.Exists(flags))


class Contact(models.Model):
    """A person at a customer, with one or more email addresses."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="contacts")
    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100, blank=True)
    phone = models.CharField(max_length=60, blank=True)

    objects = ContactQuerySet.as_manager()

    class Meta:
        ordering = ("last_name", "first_name", "pk")
        indexes = (models.Index(fields=("last_name", "first_name")),)

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip() or "(no name)"

    def set_addresses(self, addresses: Iterable[str]) -> None:
        """Make these, normalised, the contact's addresses; those kept stay in their place."""
        wanted = list(dict.fromkeys(filter(None, map(normalise, addresses))))
        self.addresses.exclude(address__in=wanted).delete()
        known = set(self.addresses.values_list("address", flat=True))
        ContactAddress.objects.bulk_create(
            [
                ContactAddress(contact=self, address=address, domain=domain_of(address))
                for address in wanted
                if address not in known
            ]
        )

    def get_absolute_url(self) -> str:
        return reverse("accounts:contact", args=[self.pk])

    def __str__(self) -> str:
        return self.name


class ContactAddress(models.Model):
    """One email address of a contact, normalised. Two customers may share a person's address."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="addresses")
    address = models.CharField(max_length=MAX_ADDRESS_LENGTH, db_index=True)
    domain = models.CharField(max_length=255, db_index=True, editable=False)

    class Meta:
        ordering = ("pk",)
        verbose_name_plural = "contact addresses"
        constraints = (
            models.UniqueConstraint(fields=("contact", "address"), name="address_once_per_contact"),
        )

    def clean(self) -> None:
        if not normalise(self.address):
            raise ValidationError({"address": "This is not an email address."})

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.address = normalise(self.address)
        self.domain = domain_of(self.address)
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        return self.address


class MyContactQuerySet(models.QuerySet["MyContact"]):
    def flag(self, user: User, contacts: Iterable[Contact]) -> None:
        """Flag the contacts as the user's; those already flagged keep their date."""
        self.bulk_create(
            [MyContact(user=user, contact=contact) for contact in contacts], ignore_conflicts=True
        )


class MyContact(models.Model):
    """A user's flag on a contact: only flagged contacts' mail syncs for that user."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="my_contacts")
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="flags")
    since = models.DateTimeField(auto_now_add=True)
    #: When older mail was matched again for this flag (setting “look back days”).
    looked_back_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = MyContactQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("user", "contact"), name="flag_once_per_user"),
        )
        indexes = (
            models.Index(
                fields=("user",),
                condition=models.Q(looked_back_at=None),
                name="flag_not_looked_back",
            ),
        )

    def __str__(self) -> str:
        return f"{self.contact} is a contact of {self.user}"
