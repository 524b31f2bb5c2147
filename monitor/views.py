"""The Email Integration Monitor, the history of one mailbox, and the settings of the sync."""

from collections import Counter
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import gateway, system_settings
from accounts.access import admin_required, get_readable_user, viewer
from accounts.connecting import want_sync
from accounts.models import Mailbox
from accounts.states import APPEARANCES
from crm_sync.browser import go_to, is_piece
from crm_sync.providers.errors import ProviderError
from email_sync import connecting_intake
from email_sync.models import IntakeConnection
from email_sync.models.ledger import LedgerQuerySet
from monitor import intake_queries, queries
from monitor.forms import COMFORTABLE_INTERVAL, HistoryFilter, MailboxFilter, SettingsForm
from monitor.histories import history_rows, tabs

MAILBOXES_PER_PAGE = 50


@admin_required
@require_safe
@never_cache
def mailboxes(request: HttpRequest) -> HttpResponse:
    """Every user whose sync is on. The list asks for itself again and again (htmx)."""
    now, current = timezone.now(), system_settings.current()
    filters = MailboxFilter(request.GET)
    rows = queries.mailbox_rows(now=now, interval=current.interval)
    summary = queries.summarise(rows, now=now)
    found = queries.narrowed(
        queries.sorted_rows(rows, filters.value("sort")),
        text=filters.value("text"),
        state=filters.value("state"),
        group=filters.value("group"),
    )
    page = Paginator(found, MAILBOXES_PER_PAGE).get_page(request.GET.get("page"))
    queries.complete(list(page), now=now)
    context = {
        "page": page,
        "summary": summary,
        "groups": [(group, summary.groups[group]) for group in queries.Group],
        "filters": filters,
        "is_narrowed": filters.is_narrowing,
        "settings": current,
        "now": now,
        "appearances": APPEARANCES,
    }
    name = "mailbox_list" if _is_wanted_alone(request, "mailboxes") else "mailboxes"
    return render(request, f"monitor/{name}.html", context)


def _is_wanted_alone(request: HttpRequest, piece: str) -> bool:
    """Whether htmx asks for the piece with this id and not for the page or dialog around it."""
    return request.headers.get("HX-Target") == piece


@admin_required
@require_POST
def sync_now(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a user's mailbox due at once, also one that had stopped."""
    mailbox = get_object_or_404(Mailbox.objects.select_related("user"), user_id=pk)
    if mailbox.is_authorised and not mailbox.rejected_at:
        want_sync(mailbox, now=timezone.now())
        messages.success(request, f"{mailbox} is read as soon as a worker is free.")
    else:
        name = mailbox.user.display_name
        messages.error(request, f"{mailbox} cannot be read: ask {name} to authorise it first.")
    if not is_piece(request):
        return go_to(request, "monitor:mailboxes")
    now, current = timezone.now(), system_settings.current()
    row = queries.mailbox_row(mailbox.user, now=now, interval=current.interval)
    context = {"row": row, "settings": current, "now": now, "is_alone": True}
    return render(request, "monitor/mailbox_row.html", context)


@require_safe
@never_cache
def history(request: HttpRequest, pk: int) -> HttpResponse:
    """What was processed of a user's mail and why: in a dialog, or as a page of its own."""
    user = viewer(request)
    owner = get_readable_user(request, pk)
    row = queries.mailbox_row(
        owner, now=timezone.now(), interval=system_settings.current().interval
    )
    return _history(
        request,
        queries.history(owner, user),
        queries.outcome_counts(owner),
        mailbox=row.mailbox if row else None,
        context={"title": f"Sync history of {owner.display_name}", "owner": owner, "row": row},
    )


@admin_required
@require_safe
@never_cache
def intake_history(request: HttpRequest, pk: int) -> HttpResponse:
    """What came through an intake connection, also from senders who are nobody here."""
    connection = get_object_or_404(IntakeConnection, pk=pk)
    return _history(
        request,
        queries.history_of_intake(connection, viewer(request)),
        intake_queries.outcome_counts(connection),
        context={
            "title": f"History of {connection.name}",
            "connection": connection,
            "connection_state": connecting_intake.state_of(connection),
        },
    )


def _history(
    request: HttpRequest,
    entries: LedgerQuerySet,
    counts: Counter[str],
    *,
    context: dict[str, Any],
    mailbox: Mailbox | None = None,
) -> HttpResponse:
    """A history, or the next page of one, as the tab and the filters in the address say."""
    user = viewer(request)
    shown_tabs = tabs(counts, chosen=request.GET.get("tab", ""))
    outcome = next(tab.outcome for tab in shown_tabs if tab.is_chosen)
    filters = HistoryFilter(request.GET, outcome=outcome)
    narrowing = filters.narrowing()
    found = queries.filtered(entries.filter(outcome=outcome), narrowing, zone=user.zone)
    page = queries.history_page(found, after=request.GET.get("after", ""))
    rows = history_rows(page.entries, viewer=user, mailbox=mailbox)
    context |= {
        "tabs": shown_tabs,
        "outcome": outcome,
        "filters": filters,
        "is_narrowed": narrowing != queries.Narrowing(),
        "rows": rows,
        "has_several_ways": not all(row.ways.is_plain for row in rows),
        "older": page.older,
    }
    name = "history_rows" if _is_wanted_alone(request, "history-more") else "history"
    return render(request, f"monitor/{name}.html", context)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def sync_settings(request: HttpRequest) -> HttpResponse:
    current = system_settings.current()
    form = SettingsForm(request.POST or None, initial=SettingsForm.initial_of(current))
    if request.method == "POST" and form.is_valid():
        changes = form.changes(current)
        for name, text in changes.items():
            current = system_settings.change(name, text, by=viewer(request))
        _tell_what_changed(request, changes, current)
        return go_to(request, "monitor:settings")
    context = {
        "form": form,
        "settings": current,
        "is_interval_short": current.interval < COMFORTABLE_INTERVAL,
        "api_address": settings.NYLAS_API_URI,
        "client_id": settings.NYLAS_CLIENT_ID,
        "has_key": bool(settings.NYLAS_API_KEY),
    }
    return render(request, "monitor/settings.html", context)


def _tell_what_changed(
    request: HttpRequest, changes: dict[str, str], current: system_settings.Settings
) -> None:
    if not changes:
        messages.info(request, "Nothing was changed.")
        return
    messages.success(request, "The settings are saved. They hold from the next pass on.")
    if "interval" in changes and current.interval < COMFORTABLE_INTERVAL:
        messages.warning(
            request,
            f"An interval of {current.interval} min reads every mailbox that often and slows the "
            "sync down; 5 or 10 is recommended.",
        )


@admin_required
@require_POST
def test_connection(request: HttpRequest) -> HttpResponse:
    """Ask Nylas whether it accepts our key, and say what it answered."""
    context: dict[str, object] = {}
    try:
        context["answer"] = gateway.nylas().check()
    except ProviderError as error:
        context["error"] = error
    return render(request, "monitor/connection_answer.html", context)
