"""What the database knows about the addresses of a batch of messages; a fixed number of queries."""

from collections.abc import Collection, Container, Iterable, Mapping

from msgspec.structs import replace

from accounts.models import ContactAddress, MyContact
from accounts.system_settings import Settings
from email_sync.models import Exclusion
from email_sync.rules import Exclusions, KnownContact

#: Values in one `IN (…)`; a page may name a million addresses.
_QUERY_VALUES = 5_000


def contacts_by_address(user_id: int, addresses: Iterable[str]) -> dict[str, list[KnownContact]]:
    """Every contact that has one of the normalised addresses; the user's flagged ones are marked.

    Two queries for a page of messages, whatever the number of contacts in the database.
    """
    found = contacts_having(addresses)
    return marked(found, flags_of([user_id], found).get(user_id, set()))


def contacts_having(addresses: Iterable[str]) -> dict[str, list[KnownContact]]:
    """Every contact that has one of the normalised addresses, nobody's flags marked yet."""
    wanted = list(dict.fromkeys(addresses))
    found: dict[str, list[KnownContact]] = {}
    for start in range(0, len(wanted), _QUERY_VALUES):
        rows = (
            ContactAddress.objects.filter(address__in=wanted[start : start + _QUERY_VALUES])
            .select_related("contact__customer")
            .order_by("contact_id")
        )
        for row in rows:
            customer = row.contact.customer
            found.setdefault(row.address, []).append(
                KnownContact(
                    id=row.contact_id,
                    name=row.contact.name,
                    customer_id=customer.pk,
                    customer=customer.name,
                    customer_number=customer.number,
                    is_mine=False,
                )
            )
    return found


def flags_of(
    user_ids: Collection[int], found: Mapping[str, list[KnownContact]]
) -> dict[int, set[int]]:
    """Which of the contacts each of the users has flagged."""
    contact_ids = {contact.id for contacts in found.values() for contact in contacts}
    flags: dict[int, set[int]] = {}
    if user_ids and contact_ids:
        rows = MyContact.objects.filter(user_id__in=user_ids, contact_id__in=contact_ids)
        for user_id, contact_id in rows.values_list("user_id", "contact_id"):
            flags.setdefault(user_id, set()).add(contact_id)
    return flags


def marked(
    found: Mapping[str, list[KnownContact]], mine: Container[int]
) -> dict[str, list[KnownContact]]:
    """The same contacts with one user's flags."""
    return {
        address: [replace(c, is_mine=True) if c.id in mine else c for c in contacts]
        for address, contacts in found.items()
    }


def exclusions_of(user_ids: Collection[int], settings: Settings) -> dict[int, Exclusions]:
    """What is never logged for each of these users: one query."""
    applying = Exclusion.objects.applying_to(user_ids) if user_ids else Exclusion.objects.none()
    rows = list(applying.values_list("user_id", "kind", "value"))

    def values(user_id: int, wanted: str) -> frozenset[str]:
        owners = {None, user_id}
        return frozenset(v for owner, kind, v in rows if kind == wanted and owner in owners)

    return {
        user_id: Exclusions(
            addresses=values(user_id, Exclusion.Kind.ADDRESS),
            domains=values(user_id, Exclusion.Kind.DOMAIN),
            company_domains=frozenset(settings.company_domains),
        )
        for user_id in user_ids
    }
