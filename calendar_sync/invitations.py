"""What is kept of an external event: pure functions over plain values."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from accounts.addresses import MAX_ADDRESS_LENGTH, normalise
from calendar_sync.descriptions import (
    LONGEST_LOCATION,
    LONGEST_TITLE,
    UNTITLED,
    one_line,
    readable,
)
from crm_sync.providers.types import Attendee, Event, EventTime

PRIVATE_TITLE = "Private appointment"
#: Attendees that are kept; more than this many is a mailing list.
MOST_ATTENDEES = 1_000

ContactsByAddress = Mapping[str, tuple[int, ...]]


class Invited(Struct, frozen=True):
    """Somebody in an appointment. `address` is normalised, "" where there is none."""

    address: str
    name: str
    status: str
    is_organiser: bool
    contacts: tuple[int, ...]


class Appointment(Struct, frozen=True):
    """An external event as the CRM keeps it; of a private one only the time."""

    title: str
    time: EventTime
    location: str
    note: str
    ical_uid: str
    is_private: bool
    invited: tuple[Invited, ...]

    @property
    def fingerprint(self) -> str:
        """What is compared to know whether anything is new."""
        return blake2b(msgspec.json.encode(self), digest_size=8).hexdigest()


def addresses_in(event: Event) -> set[str]:
    """Everybody's normalised address."""
    return {person.address for person in _people(event, {}) if person.address}


def concerns_contact(event: Event, contacts: ContactsByAddress) -> bool:
    return any(address in contacts for address in addresses_in(event))


def appointment_of(event: Event, contacts: ContactsByAddress) -> Appointment:
    """What is kept of the event, which must have a time."""
    assert event.time is not None
    if event.is_private:
        return Appointment(PRIVATE_TITLE, event.time, "", "", event.ical_uid[:500], True, ())
    return Appointment(
        title=one_line(event.title)[:LONGEST_TITLE] or UNTITLED,
        time=event.time,
        location=one_line(event.location)[:LONGEST_LOCATION],
        note=readable(event.description),
        ical_uid=event.ical_uid[:500],
        is_private=False,
        invited=tuple(_people(event, contacts)),
    )


def _people(event: Event, contacts: ContactsByAddress) -> Iterable[Invited]:
    """Organiser first; each address once, those without one each by themselves."""
    people: dict[str, Invited] = {}
    if event.organiser is not None:
        organiser = _invited(event.organiser, contacts, is_organiser=True)
        people[organiser.address or "organiser"] = organiser
    for number, attendee in enumerate(event.attendees[:MOST_ATTENDEES]):
        person = _invited(attendee, contacts, is_organiser=False)
        known = people.get(person.address) if person.address else None
        if known is None:
            people[person.address or str(number)] = person
        else:
            people[person.address] = replace(
                known, name=known.name or person.name, status=known.status or person.status
            )
    return people.values()


def _invited(person: Attendee, contacts: ContactsByAddress, *, is_organiser: bool) -> Invited:
    address = normalise(person.address)[:MAX_ADDRESS_LENGTH]
    return Invited(
        address=address,
        name=one_line(person.name)[:200],
        status=person.status[:20],
        is_organiser=is_organiser,
        contacts=contacts.get(address, ()),
    )
