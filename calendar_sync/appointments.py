"""Appointments of people's own calendars that concern a contact: imported, and followed from then
on. One way: nothing of this is written to a calendar.

An appointment whose last contact has left stays, since it was one. One that was deleted in the CRM
is followed too, out of sight, so that it neither comes back nor is out of date if it is restored.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef
from django.db.models.functions import Lower

from accounts.models import ContactAddress, Mailbox, User, UserAlias
from calendar_sync import history
from calendar_sync.contents import set_time
from calendar_sync.invitations import (
    Appointment,
    Invited,
    addresses_in,
    appointment_of,
    concerns_contact,
)
from calendar_sync.models import ActionItem, ActionItemChange, ActionType, Attendee, EventLink
from calendar_sync.models.actions import IMPORTED
from calendar_sync.passing import Pass
from calendar_sync.series import start_of
from crm_sync.providers.types import Event

ITEM_FIELDS = (
    "title starts_at ends_at all_day time_zone location note is_private ical_uid cancelled_at"
).split()
#: Names that one entry of the history lists.
_NAMES_LISTED = 10


# --- new ones ------------------------------------------------------------------------------------


def take_in(run: Pass, events: Sequence[Event]) -> None:
    """Import those of the events that are dated in the window and concern a contact."""
    dated = [e for e in events if e.time is not None and run.window.holds(e.time)]
    contacts = contacts_of(run, dated)
    chosen = [event for event in dated if concerns_contact(event, contacts)]
    if not chosen:
        return
    appointments = {event.id: appointment_of(event, contacts) for event in chosen}
    former = _without_link(run, appointments.values())
    new: list[tuple[Event, ActionItem]] = []
    links: list[EventLink] = []
    for event in chosen:
        appointment = appointments[event.id]
        item = former.pop(_meeting(appointment), None) if appointment.ical_uid else None
        if item is None:
            item = _new_item(run, appointment)
            new.append((event, item))
        links.append(_new_link(run, item, event, appointment))
    ActionItem.objects.bulk_create([item for _, item in new])
    _add_attendees([(item, appointments[event.id].invited) for event, item in new])
    for link in links:
        link.item_id = link.item.pk
    EventLink.objects.bulk_create(links)
    made = {item.pk for _, item in new}
    for link, event in zip(links, chosen, strict=True):
        if link.item_id not in made:
            _update(run, link, appointments[event.id])
    run.result.matched += len(new)


def _new_item(run: Pass, appointment: Appointment) -> ActionItem:
    item = ActionItem(
        origin=ActionItem.Origin.IMPORTED,
        owner=run.user,
        type=_imported_type(run),
        created_at=run.started_at,
        changed_at=run.started_at,
    )
    _fill(item, appointment)
    return item


def _imported_type(run: Pass) -> ActionType:
    if run.imported_type is None:
        run.imported_type, _ = ActionType.objects.get_or_create(
            name=IMPORTED, defaults={"sync_by_default": False, "is_active": False}
        )
    return run.imported_type


def _fill(item: ActionItem, appointment: Appointment) -> None:
    set_time(item, appointment.time)
    item.title = appointment.title
    item.location = appointment.location
    item.note = appointment.note
    item.is_private = appointment.is_private
    item.ical_uid = appointment.ical_uid


def _new_link(run: Pass, item: ActionItem, event: Event, appointment: Appointment) -> EventLink:
    return EventLink(
        item=item,
        mailbox=run.mailbox,
        calendar_id=run.cursor.calendar_id,
        event_id=event.id,
        master_event_id=event.master_event_id[:500],
        original_start=(event.original_start or start_of(event)) if event.master_event_id else None,
        agreed={"seen": appointment.fingerprint},
        seen_at=run.cursor.listing_started_at if run.cursor.is_whole_listing else None,
    )


def _meeting(appointment: Appointment) -> tuple[str, datetime | None]:
    moment = appointment.time.starts_at
    return appointment.ical_uid, moment or start_of(Event("", "", time=appointment.time))


def _without_link(
    run: Pass, appointments: Iterable[Appointment]
) -> dict[tuple[str, datetime | None], ActionItem]:
    """Items of the same meetings that this rep has already, of a mailbox or a calendar that is no
    longer followed: they are taken up again instead of being doubled."""
    uids = {appointment.ical_uid for appointment in appointments if appointment.ical_uid}
    if not uids:
        return {}
    followed = EventLink.objects.live().filter(
        item=OuterRef("pk"), mailbox=run.mailbox, calendar_id=run.cursor.calendar_id
    )
    items = ActionItem.objects.filter(
        ~Exists(followed), origin=ActionItem.Origin.IMPORTED, owner=run.user, ical_uid__in=uids
    )
    found: dict[tuple[str, datetime | None], ActionItem] = {
        (item.ical_uid, item.starts_at): item for item in items.order_by("-pk")
    }
    EventLink.objects.filter(item__in=found.values(), mailbox=run.mailbox).delete()
    return found


def _add_attendees(pairs: Iterable[tuple[ActionItem, Iterable[Invited]]]) -> None:
    rows, contacts = [], []
    for item, people in pairs:
        for person in people:
            rows.append(
                Attendee(
                    item=item,
                    address=person.address,
                    name=person.name,
                    status=person.status,
                    is_organiser=person.is_organiser,
                )
            )
            contacts.append(person.contacts)
    Attendee.objects.bulk_create(rows)
    through = Attendee.contacts.through
    through.objects.bulk_create(
        [
            through(attendee_id=row.pk, contact_id=contact)
            for row, ids in zip(rows, contacts, strict=True)
            for contact in ids
        ],
        ignore_conflicts=True,
    )


# --- those that are known ------------------------------------------------------------------------


def follow(run: Pass, pairs: Sequence[tuple[EventLink, Event]]) -> None:
    """Bring imported items to what their events say now."""
    for link, event in pairs:
        if event.status == "cancelled" and link.gone_at is None and not link.item.cancelled_at:
            link.gone_at = run.started_at
            link.save(update_fields=["gone_at"])
    living = [(link, event) for link, event in pairs if event.status != "cancelled"]
    contacts = contacts_of(run, [event for _, event in living])
    news = []
    for link, event in living:
        appointment = appointment_of(event, contacts)
        is_back = link.gone_at is not None or link.item.cancelled_at is not None
        is_same = link.agreed == {"seen": appointment.fingerprint} and link.event_id == event.id
        if is_back or not is_same:
            news.append((link, event, appointment))
    for link, event, appointment in news:
        link.event_id, link.gone_at = event.id, None
        if run.window.holds(appointment.time):
            _update(run, link, appointment)
        link.save(update_fields=["event_id", "gone_at", "agreed"])


def _update(run: Pass, link: EventLink, appointment: Appointment) -> None:
    item = ActionItem.objects.select_for_update().get(pk=link.item_id)
    rows = []
    if item.cancelled_at is not None:
        item.cancelled_at = None
        rows.append(_row(run, item, "No longer cancelled in the mail app"))
    before = history.values_of(item, run.user.zone)
    if appointment.is_private and not item.is_private:
        # What it was is nobody's business any more, in the history neither.
        item.changes.update(fields={})
        rows.append(_row(run, item, "Made private in the mail app"))
    _fill(item, appointment)
    item.save(update_fields=ITEM_FIELDS)
    fields = history.changed(before, history.values_of(item, run.user.zone), before)
    if people := _update_attendees(item, appointment.invited):
        fields["Attendees"] = people
    if fields and not item.is_private:
        rows.append(_row(run, item, "Changed in the mail app", fields))
    ActionItemChange.objects.bulk_create(rows)
    link.agreed = {"seen": appointment.fingerprint}
    run.result.matched += 1


def _row(
    run: Pass, item: ActionItem, summary: str, fields: dict[str, list[str]] | None = None
) -> ActionItemChange:
    return history.row(item, summary, at=run.started_at, is_from_mail_app=True, fields=fields)


def _update_attendees(item: ActionItem, invited: Sequence[Invited]) -> list[str]:
    """Make these the item's attendees; [before, after] where people came or went.

    A contact that an attendee was linked with stays linked, also when nobody flags it any more.
    """
    rows = list(item.attendees.prefetch_related("contacts"))
    known = {row.address: row for row in rows if row.address}
    wanted = {person.address: person for person in invited if person.address}
    nameless = [person for person in invited if not person.address]
    names = [row.name for row in rows if not row.address]
    is_same_crowd = names == [person.name for person in nameless]
    gone = [row.pk for row in rows if row.address and row.address not in wanted]
    gone += [] if is_same_crowd else [row.pk for row in rows if not row.address]
    new = [person for address, person in wanted.items() if address not in known]
    new += [] if is_same_crowd else nameless
    Attendee.objects.filter(pk__in=gone).delete()
    _add_attendees([(item, new)])
    for address in known.keys() & wanted.keys():
        _update_attendee(known[address], wanted[address])
    if not gone and not new:
        return []
    return [
        _names(row.name or row.address for row in rows),
        _names(person.name or person.address for person in invited),
    ]


def _update_attendee(row: Attendee, person: Invited) -> None:
    values = (person.name, person.status, person.is_organiser)
    if (row.name, row.status, row.is_organiser) != values:
        row.name, row.status, row.is_organiser = values
        row.save(update_fields=["name", "status", "is_organiser"])
    if missing := set(person.contacts) - {contact.pk for contact in row.contacts.all()}:
        row.contacts.add(*missing)


def _names(names: Iterable[str]) -> str:
    known = list(names)
    listed = ", ".join(known[:_NAMES_LISTED])
    more = len(known) - _NAMES_LISTED
    return (f"{listed} and {more} more" if more > 0 else listed) or "–"


# --- whose appointments count --------------------------------------------------------------------


def contacts_of(run: Pass, events: Iterable[Event]) -> dict[str, tuple[int, ...]]:
    """The contacts that have the events' addresses, as far as the setting counts them: one query,
    and three more for addresses that were not met before. Never the rep or a colleague."""
    addresses = {address for event in events for address in addresses_in(event)}
    addresses -= run.own_addresses
    if not addresses:
        return {}
    rows = ContactAddress.objects.filter(address__in=addresses)
    if run.settings.appointments == "my-contacts":
        rows = rows.filter(contact__flags__user=run.user)
    found: dict[str, tuple[int, ...]] = {}
    for address, contact in rows.order_by("contact_id").values_list("address", "contact_id"):
        found[address] = (*found.get(address, ()), contact)
    colleagues = _colleagues(run, found)
    return {address: ids for address, ids in found.items() if address not in colleagues}


def _colleagues(run: Pass, addresses: Iterable[str]) -> set[str]:
    """Those of the addresses that belong to users of the CRM."""
    unknown = [address for address in addresses if address not in run.colleagues]
    if unknown:
        users = User.objects.annotate(own=Lower("email")).filter(own__in=unknown)
        known = {
            *users.values_list("own", flat=True),
            *UserAlias.objects.filter(address__in=unknown).values_list("address", flat=True),
            *Mailbox.objects.filter(address__in=unknown).values_list("address", flat=True),
        }
        run.colleagues.update({address: address in known for address in unknown})
    return {address for address in addresses if run.colleagues[address]}
