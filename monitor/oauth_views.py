"""OAuth connections: making, authorising, testing and ending the access to a monitored mailbox."""

from typing import Any
from urllib.parse import urlsplit

from csp.decorators import csp_update
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import (
    require_GET,
    require_http_methods,
    require_POST,
    require_safe,
)

from accounts import audit, system_settings
from accounts.access import admin_required, viewer
from accounts.audit import Action
from accounts.models import User
from crm_sync.browser import go_to
from crm_sync.forms import posted
from crm_sync.providers.errors import ProviderError
from email_sync import authorising_intake, connecting_intake
from email_sync.gateway import gmail
from email_sync.models import IntakeConnection
from monitor.oauth_forms import ConnectionForm

_google = urlsplit(settings.GOOGLE_AUTH_URI)

#: Browsers apply form-action to every redirect that follows a form. Only the page with the
#: Authorize button may send one to Google.
_may_leave = csp_update({"form-action": [f"{_google.scheme}://{_google.netloc}"]})


@admin_required
@require_safe
def connections(request: HttpRequest) -> HttpResponse:
    found = [
        (connection, connecting_intake.state_of(connection))
        for connection in IntakeConnection.objects.all()
    ]
    return render(request, "monitor/oauth_connections.html", {"connections": found})


@admin_required
@sensitive_post_parameters("client_secret")
@require_http_methods(["GET", "HEAD", "POST"])
def connection_new(request: HttpRequest) -> HttpResponse:
    return _edit(request, IntakeConnection())


@admin_required
@sensitive_post_parameters("client_secret")
@require_http_methods(["GET", "HEAD", "POST"])
@_may_leave  # type: ignore[arg-type]
def connection(request: HttpRequest, pk: int) -> HttpResponse:
    """One connection: its settings, the steps in Google's console, and its state.

    Saves, and with `then=authorise` goes on to Google: nothing that was typed is lost on the way.
    """
    return _edit(request, get_object_or_404(IntakeConnection, pk=pk))


@sensitive_variables("form")
def _edit(request: HttpRequest, connection: IntakeConnection) -> HttpResponse:
    is_new = connection.pk is None
    form = ConnectionForm(posted(request), instance=connection)
    if form.is_valid():
        if form.has_changed():
            connection = _save(form, by=viewer(request), is_new=is_new)
        if request.POST.get("then") == "authorise":
            return _leave_for_google(request, connection)
        messages.success(request, _saved(form, connection))
        return go_to(request, "monitor:oauth-connection", connection.pk)
    if form.errors:
        connection = IntakeConnection.objects.filter(pk=connection.pk).first() or connection
    context: dict[str, Any] = {
        "form": form,
        "connection": connection,
        "is_new": is_new,
        "can_authorise": bool(connection.client_id and connection.client_secret),
        "state": connecting_intake.state_of(connection),
        "redirect_uri": authorising_intake.redirect_uri(),
        "site": settings.PUBLIC_URL,
    }
    return render(request, "monitor/oauth_connection.html", context)


@transaction.atomic
def _save(form: ConnectionForm, *, by: User, is_new: bool) -> IntakeConnection:
    connection = form.save()
    what = "New connection" if is_new else "Settings of the connection"
    audit.record(Action.CHANGED_CONNECTION, actor=by, about=f"{what} “{connection.name}”")
    return connection


def _saved(form: ConnectionForm, connection: IntakeConnection) -> str:
    """What was saved, and what has to come next."""
    saved = f"The connection “{connection.name}” is saved."
    if not form.has_changed():
        return "Nothing was changed."
    if not connection.is_authorised:
        return f"{saved} Now authorise it."
    if connection.expected_address not in {"", connection.address}:
        return f"{saved} It still reads {connection.address}: re-authorise it for the other one."
    if {"client_id", "client_secret"} & set(form.changed_data):
        return f"{saved} Re-authorise it: Google's consent was given to the former client."
    return saved


def _leave_for_google(request: HttpRequest, connection: IntakeConnection) -> HttpResponse:
    """Off to Google's consent."""
    try:
        url = authorising_intake.begin(
            request.session, connection, by=viewer(request), now=timezone.now()
        )
    except ProviderError as error:
        messages.error(request, str(error))
        return redirect("monitor:oauth-connection", connection.pk)
    return HttpResponseRedirect(url)


@login_not_required
@require_GET
@sensitive_variables()
def callback(request: HttpRequest) -> HttpResponse:
    """Google sends the browser here, whatever came of it; the code does not stay in the address.

    Nor for those who have no business here: they are sent on without it, to sign in or to a 404.
    """
    by = request.user
    if not isinstance(by, User) or not by.is_admin:
        return redirect("monitor:oauth-connections")
    try:
        connection = authorising_intake.complete(
            request.session,
            answer_url=request.get_full_path(),
            answer_state=request.GET.get("state", ""),
            by=by,
            now=timezone.now(),
        )
    except authorising_intake.AuthorisationFailed as failure:
        messages.error(request, str(failure))
        if failure.connection is None:
            return redirect("monitor:oauth-connections")
        return redirect("monitor:oauth-connection", failure.connection.pk)
    audit.record(
        Action.CHANGED_CONNECTION, actor=by, about=f"Authorised the connection “{connection.name}”"
    )
    messages.success(request, _authorised(connection))
    return redirect("monitor:oauth-connection", connection.pk)


def _authorised(connection: IntakeConnection) -> str:
    """The green banner: for which address, and whether it is read already."""
    current = system_settings.current()
    what_next = "To have it read, choose it under"
    if connection.is_selected and (current.bcc or current.fwd):
        what_next = "Its mail is being read now: see"
    return format_html(
        'Connection Authorized for {}. {} <a href="{}">Email Forward / BCC</a>.',
        connection.address,
        what_next,
        reverse("monitor:intake"),
    )


@admin_required
@require_POST
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask Google whose mailbox it is; the answer on the spot."""
    connection = get_object_or_404(IntakeConnection, pk=pk)
    try:
        profile = gmail(connection).profile()
        answer, is_good = f"Google lets us read {profile.address}.", True
        if profile.address.lower() != connection.address:
            answer = f"{answer} That is not {connection.address}: authorise the connection again."
            is_good = False
    except ProviderError as error:
        answer, is_good = str(error), False
    context = {"answer": answer, "is_good": is_good, "connection": connection}
    return render(request, "monitor/oauth_answer.html", context)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def disconnect(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks first. What was logged stays; so does the history."""
    connection = get_object_or_404(IntakeConnection, pk=pk)
    if request.method == "POST":
        address = connection.address
        with transaction.atomic():
            connecting_intake.disconnect(connection)
            audit.record(
                Action.CHANGED_CONNECTION,
                actor=viewer(request),
                about=f"Disconnected the connection “{connection.name}”",
            )
        messages.success(request, f"{address or 'The mailbox'} is disconnected.")
        return go_to(request, "monitor:oauth-connection", pk)
    return render(request, "monitor/oauth_disconnect.html", {"connection": connection})


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Only a connection without access to a mailbox; what it brought stays with the reps."""
    connection = get_object_or_404(IntakeConnection, pk=pk)
    if request.method == "POST" and not connection.is_authorised:
        with transaction.atomic():
            connection.delete()
            audit.record(
                Action.CHANGED_CONNECTION,
                actor=viewer(request),
                about=f"Deleted the connection “{connection.name}”",
            )
        messages.success(request, f"The connection “{connection.name}” is deleted.")
        return go_to(request, "monitor:oauth-connections")
    return render(request, "monitor/oauth_delete.html", {"connection": connection})
