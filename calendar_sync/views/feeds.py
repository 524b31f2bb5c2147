"""The calendar address: its panel on the profile, and the feed itself, which needs no login."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.http import http_date, quote_etag
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import viewer
from calendar_sync import feeds
from calendar_sync.models import CalendarFeed
from crm_sync.browser import go_to


@require_safe
@never_cache
def address(request: HttpRequest) -> HttpResponse:
    """The card on the profile."""
    feed = CalendarFeed.objects.filter(user=viewer(request)).first()
    context = {"feed": feed, "address": _address_of(feed) if feed else ""}
    return render(request, "calendar_sync/feed_address.html", context)


def _address_of(feed: CalendarFeed) -> str:
    # In the query: addresses are logged without it (deploy/gunicorn.conf.py, Django's own log).
    return f"{settings.PUBLIC_URL}{reverse('calendar_sync:feed')}?key={feed.secret}"


@require_POST
def make_address(request: HttpRequest) -> HttpResponse:
    feeds.make_feed(viewer(request))
    messages.success(request, "Your calendar address is made. Copy it into your calendar program.")
    return go_to(request, "accounts:profile")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def revoke_address(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        CalendarFeed.objects.filter(user=viewer(request)).delete()
        messages.success(request, "The calendar address no longer works.")
        return go_to(request, "accounts:profile")
    return render(request, "calendar_sync/feed_revoke.html")


@login_not_required
@require_safe
def feed(request: HttpRequest) -> HttpResponse:
    """The feed with the secret in `key`; without the right one there is nothing here."""
    found = feeds.find_feed(request.GET.get("key", ""))
    if found is None:
        raise Http404
    now = timezone.now()
    items = feeds.items_of(found.user, now=now)
    body = feeds.calendar(items, name=f"CRM: {found.user.display_name}")
    feeds.note_reading(found, body, now=now)
    response = HttpResponse(body, content_type="text/calendar; charset=utf-8")
    response["Content-Disposition"] = 'inline; filename="crm.ics"'
    response["ETag"] = quote_etag(found.content_digest)
    last_modified = int(found.changed_at.timestamp()) if found.changed_at else None
    if last_modified:
        response["Last-Modified"] = http_date(last_modified)
    answer = get_conditional_response(request, response["ETag"], last_modified, response)
    assert answer is not None
    # Kept by the program that reads it, by nobody on the way, and asked for again each time.
    answer["Cache-Control"] = "private, no-cache"
    return answer
