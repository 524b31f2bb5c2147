"""Action types: the kinds of to-dos, and whether they are synced by default (seed 001)."""

from django.contrib import messages
from django.db.models import Count, ProtectedError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import admin_required
from calendar_sync.forms import ActionTypeForm
from calendar_sync.models import ActionType
from calendar_sync.models.actions import IMPORTED
from crm_sync.browser import go_to
from crm_sync.forms import posted


@admin_required
@require_safe
def action_types(request: HttpRequest) -> HttpResponse:
    types = ActionType.objects.annotate(item_count=Count("items"))
    context = {
        "types": types.exclude(name__iexact=IMPORTED),
        "imported": types.filter(name__iexact=IMPORTED).first(),
    }
    return render(request, "calendar_sync/action_types.html", context)


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def action_type_new(request: HttpRequest) -> HttpResponse:
    return _edit(request, ActionType())


@admin_required
@require_http_methods(["GET", "HEAD", "POST"])
def action_type(request: HttpRequest, pk: int) -> HttpResponse:
    return _edit(request, _chosen(pk))


def _chosen(pk: int) -> ActionType:
    """The type of imported appointments is not an admin's to change."""
    return get_object_or_404(ActionType.objects.exclude(name__iexact=IMPORTED), pk=pk)


def _edit(request: HttpRequest, action_type: ActionType) -> HttpResponse:
    is_new = action_type.pk is None
    form = ActionTypeForm(posted(request), instance=action_type)
    if form.is_valid():
        form.save()
        done = "was added" if is_new else "was saved"
        messages.success(request, f"The type “{action_type}” {done}.")
        return go_to(request, "calendar_sync:action-types")
    in_use = 0 if is_new else action_type.items.count()
    context = {"form": form, "type": action_type, "is_new": is_new, "in_use": in_use}
    return render(request, "calendar_sync/action_type_form.html", context)


@admin_required
@require_POST
def action_type_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Only a type that no to-do has; the others are switched off instead."""
    action_type = _chosen(pk)
    try:
        action_type.delete()
    except ProtectedError:
        messages.error(
            request,
            f"The type “{action_type}” has to-dos and cannot be deleted. Switch “Can be chosen” "
            "off instead.",
        )
    else:
        messages.success(request, f"The type “{action_type}” was deleted.")
    return go_to(request, "calendar_sync:action-types")
