"""Questions that span several rows of this app."""

from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from accounts.models import Contact, Customer, MyContact, User
from accounts.models.customers import ContactQuerySet, CustomerQuerySet

_ORDERS = {
    "name": ("name", "number"),
    "number": ("number",),
    "status": ("status", "name"),
    "division": ("division", "name"),
    "manager": ("account_manager__last_name", "account_manager__first_name", "name"),
}


def customer_list(user: User, *, q: str, status: str, mine: bool, sort: str) -> CustomerQuerySet:
    """Customers that fit the filters, each with its contacts counted, and those that are mine."""
    my_contacts = MyContact.objects.filter(user=user)
    customers = Customer.objects.search(q).select_related("account_manager")
    if status:
        customers = customers.filter(status=status)
    if mine:
        customers = customers.filter(pk__in=my_contacts.values("contact__customer"))
    order = _ORDERS[sort.removeprefix("-")]
    if sort.startswith("-"):
        order = (f"-{order[0]}", *order[1:])
    return customers.annotate(
        contact_count=_count(Contact.objects.filter(customer=OuterRef("pk")), "customer"),
        my_contact_count=_count(
            my_contacts.filter(contact__customer=OuterRef("pk")), "contact__customer"
        ),
    ).order_by(*order, "pk")


def _count(rows: QuerySet[Any], by: str) -> Coalesce:
    counted = rows.order_by().values(by).annotate(rows=Count("pk")).values("rows")
    return Coalesce(Subquery(counted), 0)


def contacts_of(customer: Customer, user: User) -> ContactQuerySet:
    """The customer's contacts with their addresses and since when each is the user's."""
    return with_flag_date(customer.contacts.all(), user).prefetch_related("addresses")


def with_flag_date(contacts: ContactQuerySet, user: User) -> ContactQuerySet:
    """Adds `flagged_since`: when the user flagged the contact, None where they did not."""
    flags = MyContact.objects.filter(user=user, contact=OuterRef("pk"))
    return contacts.annotate(flagged_since=Subquery(flags.values("since")[:1]))


def history_of(contact: Contact) -> list[str]:
    """What the rooms above hold that refers to the contact, as in “3 email contacts”.

    Asked of the database's own relations, so that a room built later counts too.
    """
    found = []
    for relation in Contact._meta.related_objects:
        model = relation.related_model
        if model._meta.app_label == Contact._meta.app_label:
            continue
        count = model._default_manager.filter(**{relation.field.name: contact}).count()
        if count:
            names = model._meta
            noun = names.verbose_name if count == 1 else names.verbose_name_plural
            found.append(f"{count:,} {noun}")
    return found
