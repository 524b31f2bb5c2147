"""The audit list: who looked at other people's mail, exported, or changed how the CRM works."""

from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.access import admin_required, viewer
from accounts.models import AuditEntry, User
from accounts.models.audit import AuditQuerySet

ENTRIES_PER_PAGE = 100


#: Far beyond these, time zones lead out of the calendar.
_DAYS = [MinValueValidator(date(1970, 1, 1)), MaxValueValidator(date(2999, 12, 31))]


class AuditFilter(forms.Form):
    """The line of filters above the list; what makes no sense in an address is ignored."""

    actor = forms.CharField(required=False, max_length=200)
    owner = forms.CharField(required=False, max_length=200)
    action = forms.ChoiceField(
        required=False, choices=[("", "Anything"), *AuditEntry.Action.choices]
    )
    since = forms.DateField(required=False, validators=_DAYS)
    until = forms.DateField(required=False, validators=_DAYS)
    before = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)

    def wanted(self) -> dict[str, Any]:
        """The filters that are set and make sense."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}


@admin_required
@require_safe
@never_cache
def audit_list(request: HttpRequest) -> HttpResponse:
    """Newest first, by key: a page costs the same however long the list has grown."""
    filters = AuditFilter(request.GET)
    wanted = filters.wanted()
    entries = list(_found(wanted, viewer(request))[: ENTRIES_PER_PAGE + 1])
    has_more = len(entries) > ENTRIES_PER_PAGE
    shown = entries[:ENTRIES_PER_PAGE]
    context = {
        "entries": shown,
        "older": shown[-1].pk if has_more else None,
        "filters": filters,
        "wanted": wanted,
        "is_narrowed": bool(wanted.keys() - {"before"}),
    }
    return render(request, "monitor/audit.html", context)


def _found(wanted: dict[str, Any], user: User) -> AuditQuerySet:
    """The entries that fit; days are days in the reader's zone, both included."""
    entries = AuditEntry.objects.order_by("-pk")
    if actor := wanted.get("actor"):
        entries = entries.filter(actor_name__icontains=actor)
    if owner := wanted.get("owner"):
        entries = entries.filter(owner_name__icontains=owner)
    if action := wanted.get("action"):
        entries = entries.filter(action=action)
    if before := wanted.get("before"):
        entries = entries.filter(pk__lt=before)
    since, until = wanted.get("since"), wanted.get("until")
    return entries.between(
        datetime.combine(since, time.min, user.zone) if since else None,
        datetime.combine(until + timedelta(days=1), time.min, user.zone) if until else None,
    )
