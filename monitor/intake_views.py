"""Email Forward and/or BCC Configuration: what is logged from which mailbox, and how it goes."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import audit, system_settings
from accounts.access import admin_required, viewer
from accounts.audit import Action
from accounts.models import User
from crm_sync.browser import go_to
from crm_sync.forms import posted
from email_sync import connecting_intake
from email_sync.intake import is_wanted
from email_sync.models import IntakeConnection, IntakeReview
from monitor import intake_queries
from monitor.intake_forms import IntakeForm


@admin_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def configuration(request: HttpRequest) -> HttpResponse:
    current, selected = system_settings.current(), _selected()
    form = IntakeForm(posted(request), initial=IntakeForm.initial_of(current, selected))
    if form.is_valid():
        is_changed = _apply(form, current, selected, by=viewer(request))
        _tell(request, form.cleaned_data["connection"], is_changed=is_changed)
        return go_to(request, "monitor:intake")
    context = {"form": form, **_how_it_goes(request, current, selected)}
    return render(request, "monitor/intake.html", context)


@admin_required
@require_safe
@never_cache
def state(request: HttpRequest) -> HttpResponse:
    """How it goes, alone: the page asks for it again and again (htmx)."""
    context = _how_it_goes(request, system_settings.current(), _selected())
    return render(request, "monitor/intake_state.html", context)


def _selected() -> IntakeConnection | None:
    return IntakeConnection.objects.filter(is_selected=True).first()


def _how_it_goes(
    request: HttpRequest, current: system_settings.Settings, selected: IntakeConnection | None
) -> dict[str, Any]:
    now, zone = timezone.now(), viewer(request).zone
    context: dict[str, Any] = {"settings": current, "connection": selected}
    if selected is not None:
        context |= {
            "reading": intake_queries.reading_of(selected, settings=current, now=now),
            "is_wanted": is_wanted(current),
            "periods": intake_queries.periods(selected, now=now, zone=zone),
            "open_reviews": IntakeReview.objects.open().count(),
        }
    return context


@transaction.atomic
def _apply(
    form: IntakeForm,
    current: system_settings.Settings,
    selected: IntakeConnection | None,
    *,
    by: User,
) -> bool:
    """Store what changed and write it into the audit list; whether anything did."""
    wanted, now = form.cleaned_data["connection"], timezone.now()
    changes = form.changes(current)
    for name, value in changes.items():
        system_settings.change(name, value, by=by)
    if wanted != selected:
        if wanted is not None:
            connecting_intake.select(wanted, now=now)
        elif selected is not None:
            connecting_intake.deselect(selected)
        about = f"Connection in use: {wanted.name if wanted else 'none'}"
        audit.record(Action.CHANGED_CONNECTION, actor=by, about=about)
    elif wanted is not None and changes:
        connecting_intake.want_pass(wanted, now=now)
    return bool(changes) or wanted != selected


def _tell(request: HttpRequest, wanted: IntakeConnection | None, *, is_changed: bool) -> None:
    if not is_changed:
        messages.info(request, "Nothing was changed.")
    elif wanted is not None and not wanted.is_authorised:
        connection_url = reverse("monitor:oauth-connection", args=[wanted.pk])
        messages.success(
            request,
            format_html(
                "The configuration is saved. Nothing is read until “{}” is authorised: "
                '<a href="{}">authorise it</a>.',
                wanted.name,
                connection_url,
            ),
        )
    else:
        messages.success(request, "The configuration is saved. It holds from the next pass on.")


@admin_required
@require_POST
def sync_now(request: HttpRequest) -> HttpResponse:
    """Queue a pass over the intake mailbox."""
    connection = IntakeConnection.objects.selected().first()
    if connection is None:
        messages.error(request, "No authorised connection is selected: nothing to read.")
    else:
        connecting_intake.want_pass(connection, now=timezone.now())
        messages.success(request, f"{connection.address} is read as soon as a worker is free.")
    return redirect("monitor:intake")
