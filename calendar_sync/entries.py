"""Action items as calendars show them."""

from collections.abc import Iterable

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce

from accounts.calendar_entries import Entry, Kind, Wanted
from calendar_sync.models import ActionItem, Attendee
from calendar_sync.models.actions import ActionItemQuerySet

PRIVATE_TITLE = "Private appointment"


def action_items(wanted: Wanted) -> list[Entry]:
    """To-dos and imported appointments in the span that the viewer may read: one query.

    An appointment that several reps have is one entry with all their names.
    """
    meetings: dict[object, list[ActionItem]] = {}
    for item in _found(wanted):
        meetings.setdefault(_meeting_key(item), []).append(item)
    return [_entry(copies, wanted) for copies in meetings.values()]


def _found(wanted: Wanted) -> Iterable[ActionItem]:
    items = ActionItem.objects.readable_by(wanted.viewer).overlapping(wanted.start, wanted.end)
    if wanted.owner:
        items = items.filter(owner=wanted.owner)
    if wanted.customer:
        items = items.of_customer(wanted.customer)
    if wanted.contact:
        items = items.of_contact(wanted.contact)
    origins = {Kind.TO_DO: ActionItem.Origin.CRM, Kind.APPOINTMENT: ActionItem.Origin.IMPORTED}
    kept = [origin for kind, origin in origins.items() if kind in wanted.kinds]
    found = with_customer_name(items.filter(origin__in=kept)).only(*_SHOWN)
    return found.order_by("starts_at", "pk")[: wanted.most]


#: What a calendar shows of an item: a month may have thousands of them.
_SHOWN = (
    "origin", "title", "starts_at", "ends_at", "all_day", "ical_uid", "is_private",
    "completed_at", "cancelled_at",
    "type__name", "owner__first_name", "owner__last_name", "owner__username",
)  # fmt: skip


def with_customer_name(items: ActionItemQuerySet) -> ActionItemQuerySet:
    """Adds `customer_name`: its own customer's, else that of the first contact who is invited."""
    invited = Attendee.objects.filter(item=OuterRef("pk"), contacts__isnull=False).order_by("pk")
    return items.select_related("type", "owner").annotate(
        customer_name=Coalesce(
            "customer__name", Subquery(invited.values("contacts__customer__name")[:1])
        )
    )


def _meeting_key(item: ActionItem) -> object:
    """The same for one appointment in several calendars; to-dos are never the same."""
    if item.is_imported and item.ical_uid:
        return (item.ical_uid, item.starts_at, item.all_day)
    return item.pk


def shown_title(item: ActionItem) -> str:
    """A private appointment keeps only its time, whoever looks."""
    if item.is_private:
        return PRIVATE_TITLE
    return item.title or f"({item.type.name})"


def _entry(copies: list[ActionItem], wanted: Wanted) -> Entry:
    """The viewer's own copy is the one that opens, where there is one."""
    own = (item for item in copies if item.owner_id == wanted.viewer.pk)
    item = next(own, copies[0])
    return Entry(
        id=f"item-{item.pk}",
        kind=Kind.APPOINTMENT if item.is_imported else Kind.TO_DO,
        title=shown_title(item),
        start=item.starts_at,
        end=item.ends_at,
        all_day=item.all_day,
        url=item.get_absolute_url(),
        owners=tuple(sorted({copy.owner.display_name for copy in copies})),
        type=item.type.name,
        customer=getattr(item, "customer_name", "") or "",
        is_editable=not item.is_imported,
        is_done=item.completed_at is not None,
        is_cancelled=item.cancelled_at is not None,
    )
