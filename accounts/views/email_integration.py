"""The profile's Email Integration tab: settings, connection, folders. An admin opens anybody's."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import connecting, gateway, system_settings
from accounts.access import get_mailbox, get_mailbox_owner, viewer
from accounts.calendars import choose_calendar
from accounts.calendars import offered as offered_calendars
from accounts.connection import connections_of
from accounts.folders import choose_folders, last_part, offered, split_names
from accounts.forms import DisconnectForm, MailboxForm
from accounts.models import Mailbox, User
from accounts.rules import State
from accounts.sections import profile_panels
from crm_sync.browser import go_to, is_piece
from crm_sync.forms import posted
from crm_sync.providers.errors import ProviderError


@require_http_methods(["GET", "HEAD", "POST"])
def own_mailbox(request: HttpRequest) -> HttpResponse:
    return _settings(request, viewer(request))


@require_http_methods(["GET", "HEAD", "POST"])
def mailbox_of_user(request: HttpRequest, pk: int) -> HttpResponse:
    return _settings(request, get_mailbox_owner(request, pk))


def tab_of(request: HttpRequest, owner: User) -> str:
    """The address of the tab: one's own, or an admin's view of somebody else's."""
    if owner == viewer(request):
        return reverse("accounts:email-integration")
    return reverse("accounts:user-email-integration", args=[owner.pk])


def _settings(request: HttpRequest, owner: User) -> HttpResponse:
    mailbox = get_mailbox(owner)
    form = MailboxForm(posted(request), instance=mailbox)
    if form.is_valid():
        _save(form)
        messages.success(request, "The email integration settings were saved.")
        return redirect(tab_of(request, owner))
    context = _panel(request, owner, get_mailbox(owner) if form.errors else mailbox)
    context |= {"form": form, "tab": "email", "panels": profile_panels(owner, viewer(request))}
    return render(request, "accounts/email_integration.html", context)


def _save(form: MailboxForm) -> None:
    """Store only what the form holds: the grant may change at the same moment."""
    mailbox = form.save(commit=False)
    mailbox.save(update_fields=form.Meta.fields if mailbox.pk else None)
    if mailbox.is_authorised and form.changes_what_is_read:
        connecting.want_sync(mailbox, now=timezone.now())


def _panel(request: HttpRequest, owner: User, mailbox: Mailbox) -> dict[str, Any]:
    """What the connection panel shows."""
    sides = connections_of(mailbox, settings=system_settings.current(), now=timezone.now())
    return {
        "owner": owner,
        "is_own": owner == viewer(request),
        "mailbox": mailbox,
        "sides": sides,
        # What both sides have in common (a rejected grant, a pause) is told once.
        "causes": dict.fromkeys(side.cause for side in sides if side.cause),
        "pauses": dict.fromkeys(side.pause for side in sides if side.pause),
        "is_busy": any(side.is_busy for side in sides),
        "can_sync": any(side.can_sync for side in sides),
        "is_stopped": any(side.state == State.STOPPED for side in sides),
        "must_authorise_again": any(side.must_authorise_again for side in sides),
        "tab_url": tab_of(request, owner),
    }


@require_safe
def connection(request: HttpRequest, pk: int) -> HttpResponse:
    """The connection panel alone; the page asks for it again and again."""
    owner = get_mailbox_owner(request, pk)
    context = _panel(request, owner, get_mailbox(owner))
    return render(request, "accounts/connection.html", context)


@require_POST
def sync_now(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for a pass and return at once; the panel shows how it goes."""
    owner = get_mailbox_owner(request, pk)
    mailbox = get_mailbox(owner)
    if mailbox.is_authorised:
        connecting.want_sync(mailbox, now=timezone.now())
    if not is_piece(request):
        return redirect(tab_of(request, owner))
    context = _panel(request, owner, get_mailbox(owner))
    response = render(request, "accounts/connection.html", context)
    response["HX-Trigger-After-Settle"] = "sync-wanted"
    return response


@require_safe
def folders(request: HttpRequest, pk: int) -> HttpResponse:
    """The mailbox's real folders, asked for now; names in the field that fit none are marked."""
    owner = get_mailbox_owner(request, pk)
    mailbox = get_mailbox(owner)
    names = request.GET.get("folder_names", mailbox.folder_names)
    context: dict[str, Any] = {"owner": owner, "mailbox": mailbox}
    if mailbox.is_authorised:
        try:
            found = gateway.nylas().folders(mailbox.grant_id)
        except ProviderError as error:
            context["error"] = str(error)
        else:
            choice = choose_folders(found, names=names, sent_name=mailbox.sent_folder_name)
            named = choice.selected if split_names(names) else ()
            context["problems"] = choice.problems
            context["folders"] = [
                {"name": last_part(f.name), "path": f.name, "is_chosen": f in named}
                for f in offered(found)
            ]
    return render(request, "accounts/folders.html", context)


@require_safe
def calendars(request: HttpRequest, pk: int) -> HttpResponse:
    """The field for the calendar's name, as a list of the real calendars, asked for now."""
    owner = get_mailbox_owner(request, pk)
    mailbox = get_mailbox(owner)
    name = request.GET.get("calendar_name", mailbox.calendar_name).strip()
    context: dict[str, Any] = {"owner": owner, "mailbox": mailbox, "name": name}
    context["form"] = MailboxForm(instance=mailbox, initial={"calendar_name": name})
    if mailbox.is_authorised:
        try:
            found = gateway.nylas().calendars(mailbox.grant_id)
        except ProviderError as error:
            context["error"] = str(error)
        else:
            choice = choose_calendar(found, name=name)
            context |= {"choice": choice, "calendars": offered_calendars(found)}
    return render(request, "accounts/calendar_choice.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def disconnect(request: HttpRequest, pk: int) -> HttpResponse:
    owner = get_mailbox_owner(request, pk)
    mailbox = get_mailbox(owner)
    form = DisconnectForm(posted(request))
    if form.is_valid() and _disconnect(form, mailbox):
        messages.success(
            request, "Disconnected. Nothing is read any more; emails already here stay."
        )
        return go_to(request, tab_of(request, owner))
    context = _panel(request, owner, mailbox) | {"form": form}
    return render(request, "accounts/disconnect.html", context)


def _disconnect(form: DisconnectForm, mailbox: Mailbox) -> bool:
    """Whether it worked; the form says why not."""
    try:
        provider = gateway.nylas() if form.cleaned_data["revoke"] else None
        connecting.disconnect(mailbox, gateway=provider)
    except ProviderError as error:
        form.add_error(
            None,
            f"{error} Nothing was changed. Try again, or untick the box to disconnect here only.",
        )
        return False
    return True
