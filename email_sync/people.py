"""Who the users are, as the intake must know them: a fixed number of queries."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from accounts.addresses import normalise
from accounts.models import Mailbox, User, UserAlias
from email_sync.intake_rules import People, Rep, canonical
from email_sync.models import TrustedSender


def all_people() -> People:
    """Every user with every address, and which of those are known to be theirs.

    Known are the address of their account here, the one that the provider authorised, and those
    that an admin entered (aliases, trusted senders); not what users typed themselves.
    """
    typed: dict[int, set[str]] = defaultdict(set)
    known: dict[int, set[str]] = defaultdict(set)
    trusted = list(TrustedSender.objects.values_list("user_id", "address"))
    for user_id, address in [*trusted, *UserAlias.objects.values_list("user_id", "address")]:
        known[user_id].add(address)
    mailboxes = Mailbox.objects.values_list("user_id", "address", "authorised_address")
    for user_id, address, authorised in mailboxes:
        typed[user_id].add(address)
        known[user_id].add(authorised)
    users = User.objects.order_by("pk")
    for user_id, address in users.values_list("pk", "email"):
        known[user_id].add(normalise(address))
    reps = {
        user.pk: Rep(
            id=user.pk,
            name=user.display_name,
            own=frozenset(known[user.pk] | typed[user.pk]) - {""},
            time_zone=user.time_zone,
        )
        for user in users.filter(is_active=True).only(
            "username", "first_name", "last_name", "time_zone"
        )
    }
    return People(
        reps=reps,
        verified=_by_address(reps, known, normalise),
        by_mailbox=_by_address(reps, known, canonical),
        trusted=frozenset(address for _, address in trusted),
        everybody=frozenset(a for addresses in known.values() for a in addresses) - {""},
    )


def _by_address(
    users: Iterable[int], addresses: Mapping[int, set[str]], form: Callable[[str], str]
) -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = defaultdict(set)
    for user_id in users:
        for address in map(form, addresses[user_id]):
            if address:
                found[address].add(user_id)
    return {address: frozenset(ids) for address, ids in found.items()}
