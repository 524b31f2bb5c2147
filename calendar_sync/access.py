"""Who may open an action item, and change it: its owner, the owner's manager, an admin."""

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from accounts.access import viewer
from accounts.models import User
from calendar_sync.models import ActionItem
from calendar_sync.queries import with_details


def get_action(request: HttpRequest, pk: int) -> ActionItem:
    user = viewer(request)
    items = ActionItem.objects.readable_by(user)
    return get_object_or_404(with_details(items, user), pk=pk)


def get_deleted_action(request: HttpRequest, pk: int) -> ActionItem:
    """One that the viewer could read before it was deleted."""
    owners = User.objects.readable_by(viewer(request))
    deleted = ActionItem.objects.exclude(deleted_at=None).filter(owner__in=owners)
    return get_object_or_404(deleted.select_related("type", "owner"), pk=pk)
