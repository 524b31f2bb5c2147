"""What calendars show, offered by the rooms above, which do not know each other.

An app registers a provider in its `AppConfig.ready`; the calendar asks all of them for one span of
days. A provider asks the database a fixed number of questions, however many entries there are.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from accounts.models import Contact, Customer, User

#: More entries than this at once nobody reads; the calendar says so.
MOST = 5000


class Kind(StrEnum):
    TO_DO = "to-do"
    APPOINTMENT = "appointment"
    EMAIL = "email"


@dataclass(frozen=True)
class Entry:
    """One thing on a calendar.

    `start` and `end` are instants; of an entry that is `all_day`, midnight UTC of its first and its
    last day (inclusive). `owners` are the names of everybody in whose calendar or mail it is.
    """

    id: str
    kind: Kind
    title: str
    start: datetime
    end: datetime
    url: str
    owners: tuple[str, ...]
    all_day: bool = False
    type: str = ""
    customer: str = ""
    #: Whether the viewer may drag it to another time: posted to `url` + “move/”.
    is_editable: bool = False
    is_done: bool = False
    is_cancelled: bool = False


@dataclass(frozen=True)
class Wanted:
    """What a viewer asks to see: everything that begins before `end` and is not over at `start`.

    `owner` narrows to one user's, `customer` or `contact` to what belongs to them. A provider
    leaves out what the viewer may not read, and stops at `most` entries.
    """

    viewer: User
    start: datetime
    end: datetime
    kinds: frozenset[Kind] = frozenset(Kind)
    owner: User | None = None
    customer: Customer | None = None
    contact: Contact | None = None
    most: int = MOST


Provider = Callable[[Wanted], Iterable[Entry]]

_providers: list[tuple[frozenset[Kind], Provider]] = []


def register(provider: Provider, *, kinds: Iterable[Kind]) -> None:
    """Offer entries; the provider is asked when one of its kinds is wanted."""
    _providers.append((frozenset(kinds), provider))


def entries(wanted: Wanted) -> list[Entry]:
    """What all rooms have for it, in the order of time."""
    found = [
        entry
        for kinds, provider in _providers
        if kinds & wanted.kinds
        for entry in provider(wanted)
    ]
    return sorted(found, key=lambda entry: (entry.start, entry.id))
