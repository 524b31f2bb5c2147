"""To-dos and appointments: the list of a customer or contact, the dialog of one, its changes."""

from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import get_contact, get_customer, viewer
from accounts.models import Contact, Customer
from calendar_sync import changing, queries
from calendar_sync.access import get_action, get_deleted_action
from calendar_sync.changing import ChangeRefused
from calendar_sync.entries import shown_title
from calendar_sync.forms import CompletionForm, MoveForm, ToDoForm, length_words, written
from calendar_sync.models import ActionItem
from calendar_sync.models.actions import ActionItemQuerySet
from calendar_sync.views.answers import changed, tell
from crm_sync.forms import posted

#: Customers offered while somebody types.
CUSTOMERS_OFFERED = 20


# --- the list ------------------------------------------------------------------------------------
@require_safe
@never_cache
def customer_to_dos(request: HttpRequest, pk: int) -> HttpResponse:
    """The section of the customer page."""
    customer = get_customer(request, pk)
    items = ActionItem.objects.readable_by(viewer(request)).of_customer(customer)
    return _to_do_list(request, items, customer)


@require_safe
@never_cache
def contact_to_dos(request: HttpRequest, pk: int) -> HttpResponse:
    """The section of the contact page."""
    contact = get_contact(request, pk)
    items = ActionItem.objects.readable_by(viewer(request)).of_contact(contact)
    return _to_do_list(request, items, contact)


def _to_do_list(
    request: HttpRequest, items: ActionItemQuerySet, whose: Customer | Contact
) -> HttpResponse:
    found = queries.to_do_page(
        items, viewer=viewer(request), number=request.GET.get("page"), now=timezone.now()
    )
    parameter = "contact" if isinstance(whose, Contact) else "customer"
    context = {
        "rows": found.rows,
        "page": found.page,
        "list_url": request.path,
        "is_contact": isinstance(whose, Contact),
        "whose": whose,
        "new_url": f"{reverse('calendar_sync:action-new')}?{parameter}={whose.pk}",
    }
    return render(request, "calendar_sync/to_do_list.html", context)


# --- the dialog ----------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def action_new(request: HttpRequest) -> HttpResponse:
    """A new to-do. The address may name the customer or contact, a date and a time."""
    user, now = viewer(request), timezone.now()
    initial = _beginning(request, now=timezone.localtime(now))
    form = ToDoForm(posted(request), viewer=user, zone=user.zone, initial=initial)
    if form.is_valid():
        try:
            item = changing.create_action(form.values(), by=user, now=now)
        except ChangeRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"The to-do “{item.title}” was added.")
            return changed(request, _home_of(item), closes_dialog=True)
    context = _form_context(request, form) | {"back": reverse("calendar_sync:calendar")}
    return render(request, "calendar_sync/to_do_form.html", context)


def _beginning(request: HttpRequest, *, now: datetime) -> dict[str, Any]:
    """What a new to-do begins with: the next full hour, or what the address names."""
    hour = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    day, clock = hour.date(), hour.time()
    try:
        day = date.fromisoformat(request.GET.get("date", ""))
        clock = time(9)
        clock = time.fromisoformat(request.GET.get("time", "")).replace(tzinfo=None)
    except ValueError:
        pass  # an address that somebody changed by hand: the usual beginning
    initial: dict[str, Any] = {"owner": viewer(request), "date": day, "time": clock, "sync": True}
    if (pk := request.GET.get("contact", "")).isdecimal():
        contact = get_contact(request, int(pk))
        initial |= {"contact": contact, "customer": contact.customer}
    elif (pk := request.GET.get("customer", "")).isdecimal():
        initial["customer"] = get_customer(request, int(pk))
    return initial


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def action(request: HttpRequest, pk: int) -> HttpResponse:
    item = get_action(request, pk)
    return _appointment(request, item) if item.is_imported else _to_do(request, item)


def _to_do(request: HttpRequest, item: ActionItem) -> HttpResponse:
    user, now = viewer(request), timezone.now()
    form = ToDoForm(posted(request), viewer=user, zone=user.zone, item=item)
    if form.is_valid():
        try:
            item = changing.edit_action(item, form.changes(), by=user, now=now)
        except ChangeRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"The to-do “{item.title}” was saved.")
            return changed(request, _home_of(item), closes_dialog=True)
    context = _form_context(request, form) | {
        "item": item,
        "back": _home_of(item),
        "standing": queries.standing_of(item, viewer=user, now=now),
        "changes": item.changes.all(),
    }
    return render(request, "calendar_sync/to_do_form.html", context)


def _appointment(request: HttpRequest, item: ActionItem) -> HttpResponse:
    """What came from a calendar stays as it is there: only its completion is the CRM's."""
    user, now = viewer(request), timezone.now()
    form = CompletionForm(posted(request), item=item)
    if form.is_valid():
        try:
            item = changing.edit_action(item, form.changes(), by=user, now=now)
        except ChangeRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "The appointment was saved.")
            return changed(request, _home_of(item), closes_dialog=True)
    today = timezone.localtime(now).date()
    context = {
        "item": item,
        "form": form,
        "title": shown_title(item),
        "when": queries.when_of(item).words(zone=user.zone, today=today),
        "length": length_words(int((item.ends_at - item.starts_at).total_seconds()) // 60),
        "whose": queries.whose_calendar(item.owner, user),
        "attendees": item.attendees.all(),
        "changes": item.changes.all(),
        "back": _home_of(item),
    }
    return render(request, "calendar_sync/appointment.html", context)


def _form_context(request: HttpRequest, form: ToDoForm) -> dict[str, Any]:
    return {"form": form, "zone_name": timezone.get_current_timezone_name()}


def _home_of(item: ActionItem) -> str:
    """The page on which an item is at home."""
    if item.customer:
        return item.customer.get_absolute_url()
    return reverse("calendar_sync:calendar")


@require_safe
@never_cache
def customer_options(request: HttpRequest) -> HttpResponse:
    """Customers that fit what is typed, for the field's list."""
    words = request.GET.get("customer", "").strip()
    viewer(request)
    found = Customer.objects.search(words)[:CUSTOMERS_OFFERED] if words else []
    context = {"options": [written(customer) for customer in found]}
    return render(request, "calendar_sync/customer_options.html", context)


@require_safe
@never_cache
def contact_options(request: HttpRequest) -> HttpResponse:
    """The contacts of the customer that was chosen, for the field's list."""
    user = viewer(request)
    form = ToDoForm(request.GET, viewer=user, zone=user.zone)
    context = {"contacts": form.fields["contact"].queryset}  # type: ignore[attr-defined]
    return render(request, "calendar_sync/contact_options.html", context)


# --- one click -----------------------------------------------------------------------------------
@require_POST
def action_complete(request: HttpRequest, pk: int) -> HttpResponse:
    item = get_action(request, pk)
    item = changing.complete(item, by=viewer(request), now=timezone.now())
    undo = reverse("calendar_sync:action-reopen", args=[pk])
    tell(request, f"“{shown_title(item)}” is completed.", undo=undo)
    return changed(request, _home_of(item))


@require_POST
def action_reopen(request: HttpRequest, pk: int) -> HttpResponse:
    item = changing.reopen(get_action(request, pk), by=viewer(request), now=timezone.now())
    messages.success(request, f"“{shown_title(item)}” is open again.")
    return changed(request, _home_of(item))


@require_POST
def action_move(request: HttpRequest, pk: int) -> HttpResponse:
    """Where it was dragged to on a calendar; also the Undo of that."""
    item, user = get_action(request, pk), viewer(request)
    form = MoveForm(request.POST)
    if not form.is_valid():
        return HttpResponse("This is not a time.", status=400, content_type="text/plain")
    before = _as_dragged(item, user.zone)
    try:
        times = form.times_for(item, zone=user.zone)
        item = changing.reschedule(item, **times, by=user, now=timezone.now())
    except ChangeRefused as refusal:
        messages.error(request, str(refusal))
    else:
        when = queries.when_of(item).words(zone=user.zone, today=timezone.localdate())
        tell(request, f"“{item.title}” is now {when}.", undo=request.path, **before)
    return changed(request, _home_of(item))


def _as_dragged(item: ActionItem, zone: Any) -> dict[str, object]:
    """Its times as `MoveForm` takes them."""
    if item.all_day:
        end = item.last_day + timedelta(days=1)
        return {"start": item.first_day.isoformat(), "end": end.isoformat(), "all_day": "on"}
    start, end = item.starts_at.astimezone(zone), item.ends_at.astimezone(zone)
    return {"start": f"{start:%Y-%m-%dT%H:%M:%S}", "end": f"{end:%Y-%m-%dT%H:%M:%S}"}


@require_POST
def action_sync_again(request: HttpRequest, pk: int) -> HttpResponse:
    item, user = get_action(request, pk), viewer(request)
    item = changing.sync_again(item, by=user, now=timezone.now())
    messages.success(request, f"“{item.title}” is sent to the calendar again.")
    return changed(request, _home_of(item), closes_dialog=True)


# --- deleting ------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def action_delete(request: HttpRequest, pk: int) -> HttpResponse:
    item, user = get_action(request, pk), viewer(request)
    if request.method == "POST":
        changing.delete_action(item, by=user, now=timezone.now())
        undo = reverse("calendar_sync:action-restore", args=[pk])
        tell(request, f"“{shown_title(item)}” was deleted.", undo=undo)
        return changed(request, _home_of(item), closes_dialog=True)
    context = {
        "item": item,
        "title": shown_title(item),
        "whose": queries.whose_calendar(item.owner, user),
        "is_in_calendar": any(link.event_id for link in item.links.all()),
    }
    return render(request, "calendar_sync/action_delete.html", context)


@require_POST
def action_restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Undo a deletion."""
    item = changing.restore_action(
        get_deleted_action(request, pk), by=viewer(request), now=timezone.now()
    )
    messages.success(request, f"“{shown_title(item)}” is back.")
    return changed(request, _home_of(item))
