"""The brake: deletions that wait until an admin allows them."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.access import admin_required, get_mailbox_owner, viewer
from calendar_sync.brake import release_brake
from calendar_sync.models import CalendarCursor
from calendar_sync.queries import held_cursors, whose_calendar
from crm_sync.browser import go_to


@require_safe
@never_cache
def brake(request: HttpRequest) -> HttpResponse:
    """The panel on the profile and on an admin's view of it (`?user=`); empty with nothing held."""
    user = viewer(request)
    asked_for = request.GET.get("user", "")
    owner = get_mailbox_owner(request, int(asked_for)) if asked_for.isdecimal() else user
    cursor = held_cursors().filter(mailbox__user=owner).first()
    held = cursor.held_deletions if cursor else {}
    context = {
        "cursor": cursor,
        "there": held.get("there", 0),
        "here": held.get("here", 0),
        "total": sum(held.values()),
        "whose": whose_calendar(owner, user),
    }
    return render(request, "calendar_sync/brake.html", context)


@admin_required
@require_POST
def release(request: HttpRequest, pk: int) -> HttpResponse:
    """Allow what was held, once; the next pass carries it out."""
    cursor = get_object_or_404(CalendarCursor.objects.select_related("mailbox__user"), pk=pk)
    if cursor.held_at is None:
        messages.info(request, "Nothing is held any more.")
    else:
        release_brake(cursor, by=viewer(request), now=timezone.now())
        messages.success(request, "Allowed: the next pass carries the deletions out.")
    owner = cursor.mailbox.user
    if owner == viewer(request):
        return go_to(request, "accounts:email-integration")
    return go_to(request, "accounts:user-email-integration", owner.pk)
