"""The calendars: a user's own, a customer's, a contact's; and what they are filled from."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.access import get_contact, get_customer, viewer
from accounts.calendar_entries import MOST, Entry, Kind, Wanted
from accounts.calendar_entries import entries as find_entries
from accounts.models import Contact, Customer, User
from calendar_sync.forms import RangeForm
from calendar_sync.wording import When
from crm_sync.browser import is_piece


# --- pages ---------------------------------------------------------------------------------------
@require_safe
@never_cache
def calendar(request: HttpRequest) -> HttpResponse:
    """User Calendar / Appointments."""
    return _calendar(request, None, "")


@require_safe
@never_cache
def customer_calendar(request: HttpRequest, pk: int) -> HttpResponse:
    """Account Calendar: the section of the customer page, and a page of its own."""
    return _calendar(request, get_customer(request, pk), f"?customer={pk}")


@require_safe
@never_cache
def contact_calendar(request: HttpRequest, pk: int) -> HttpResponse:
    return _calendar(request, get_contact(request, pk), f"?contact={pk}")


def _calendar(request: HttpRequest, whose: Customer | Contact | None, query: str) -> HttpResponse:
    """`query` narrows the entries to the customer or contact whose calendar it is."""
    user = viewer(request)
    context: dict[str, Any] = {
        "whose": whose,
        "kinds": [(kind.value, _KIND_WORDS[kind], _KIND_ICONS[kind]) for kind in Kind],
        "reps": User.objects.readable_by(user).filter(is_active=True) if user.is_manager else [],
        # On the own calendar one's own is meant where the address names nobody.
        "usual_rep": user.pk if whose is None else "",
        "entries_url": reverse("calendar_sync:entries") + query,
        "new_url": reverse("calendar_sync:action-new") + query,
        "zone_name": timezone.get_current_timezone_name(),
        "is_page": not is_piece(request),
    }
    name = "calendar_grid" if is_piece(request) else "calendar"
    return render(request, f"calendar_sync/{name}.html", context)


_KIND_WORDS = {
    Kind.TO_DO: "To-dos",
    Kind.APPOINTMENT: "Appointments",
    Kind.EMAIL: "Emails",
}
_KIND_ICONS = {
    Kind.TO_DO: "checkbox",
    Kind.APPOINTMENT: "users",
    Kind.EMAIL: "mail",
}


# --- what they are filled from -------------------------------------------------------------------
@require_safe
@never_cache
def entries(request: HttpRequest) -> HttpResponse:
    """All entries of a span, from every room, as JSON: one request for what the screen shows.

    Times are wall clock in the viewer's zone, without an offset; the end of whole days is
    exclusive, as calendars in browsers count.
    """
    user = viewer(request)
    form = RangeForm(request.GET, viewer=user)
    if not form.is_valid():
        problems = [str(error) for errors in form.errors.values() for error in errors]
        return JsonResponse({"error": " ".join(problems)}, status=400)
    days = form.cleaned_data
    found = find_entries(
        Wanted(
            viewer=user,
            start=_midnight(days["start"], user.zone),
            end=_midnight(days["end"], user.zone),
            kinds=frozenset(form.kinds()),
            owner=days["rep"],
            customer=days["customer"],
            contact=days["contact"],
        )
    )
    now = timezone.now()
    shown = [_as_json(entry, user, now=now) for entry in found[:MOST]]
    if days["customer"] or days["contact"]:
        for entry in shown:
            entry.pop("customer", None)  # whose calendar it is stands above it
    return JsonResponse({"entries": shown, "isCut": len(found) >= MOST})


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time.min, zone)


def _as_json(entry: Entry, user: User, *, now: datetime) -> dict[str, object]:
    """What static/calendar.js reads. What is empty or no is left out; so is who looks."""
    zone, viewer_name = user.zone, user.display_name
    when = When(entry.start, entry.end, entry.all_day)
    shown: dict[str, object] = {
        "id": entry.id,
        "kind": entry.kind.value,
        "title": entry.title,
        "url": entry.url,
        "type": entry.type,
        "owners": ", ".join(entry.owners) if entry.owners != (viewer_name,) else "",
        "customer": entry.customer,
        "editable": entry.is_editable,
        "done": entry.is_done,
        "cancelled": entry.is_cancelled,
        "overdue": entry.kind == Kind.TO_DO
        and not entry.is_done
        and when.is_past(now=now, zone=zone),
    }
    if entry.all_day:
        first, last = when.days(zone)
        shown |= {"allDay": True, "start": first.isoformat()}
        if last > first:
            shown["end"] = (last + timedelta(days=1)).isoformat()
    else:
        shown["start"] = _on_the_wall(entry.start, zone)
        if entry.end > entry.start:
            shown["end"] = _on_the_wall(entry.end, zone)
    return {key: value for key, value in shown.items() if value}


def _on_the_wall(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None).isoformat()
