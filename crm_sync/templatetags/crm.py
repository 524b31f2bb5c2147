"""What templates of every room draw: icons, times, numbers, sorting, paging, navigation."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django import template
from django.conf import settings
from django.core.paginator import Page
from django.template import Context
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

ICONS = settings.BASE_DIR / "static" / "vendor" / "icons"
#: After this the day says more than a number of days.
LONGEST_AGO = timedelta(days=14)


# --- icons -------------------------------------------------------------------------------------
@register.simple_tag
def icon(name: str, classes: str = "") -> SafeString:
    """A Tabler icon, inline. Decoration: the word beside it carries the meaning."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false" viewBox="0 0 24 24" fill="none"'
        ' stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">'
        "{}</svg>",
        classes,
        _drawing(name),
    )


@lru_cache(maxsize=500)
def _drawing(name: str) -> SafeString:
    try:
        source = (ICONS / f"{name}.svg").read_text()
    except FileNotFoundError:
        raise template.TemplateSyntaxError(
            f"There is no icon “{name}”. Add it to static/icons.txt and run scripts/assets.py."
        ) from None
    inside = source[source.index(">") + 1 : source.rindex("</svg>")]
    return mark_safe(" ".join(inside.split()))  # noqa: S308 - a file of ours


# --- times and numbers -------------------------------------------------------------------------
@register.simple_tag
def ago(moment: datetime | None, otherwise: str = "–") -> SafeString:
    """“3 min ago” (or “in 2 min”), with the exact time in the user's zone on hover."""
    if moment is None:
        return format_html('<span class="text-secondary">{}</span>', otherwise)
    return _time(moment, in_words(moment, timezone.now()), "data-ago")


@register.simple_tag
def exact(moment: datetime | None, otherwise: str = "–") -> SafeString:
    """“12 Nov 2025 09:14” in the user's zone, with seconds and the zone on hover."""
    if moment is None:
        return format_html('<span class="text-secondary">{}</span>', otherwise)
    return _time(moment, f"{_day(moment)} {timezone.localtime(moment):%H:%M}", "data-exact")


@register.simple_tag
def day(moment: datetime | None, otherwise: str = "–") -> SafeString:
    """“12 Nov 2025”, with the exact time on hover."""
    if moment is None:
        return format_html('<span class="text-secondary">{}</span>', otherwise)
    return _time(moment, _day(moment), "data-day")


def in_words(moment: datetime, now: datetime) -> str:
    """How long ago, or in how long. static/page.js counts on with the same words."""
    distance = abs(now - moment)
    if distance > LONGEST_AGO:
        return _day(moment)
    if distance < timedelta(seconds=45):
        return "just now" if moment <= now else "in a moment"
    words = _length(distance)
    return f"{words} ago" if moment <= now else f"in {words}"


def _length(distance: timedelta) -> str:
    minutes = max(1, round(distance.total_seconds() / 60))
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h"
    days = minutes // (24 * 60)
    return "1 day" if days == 1 else f"{days} days"


def _day(moment: datetime) -> str:
    local = timezone.localtime(moment)
    return f"{local.day} {local:%b %Y}"


def _time(moment: datetime, words: str, kind: str) -> SafeString:
    local = timezone.localtime(moment)
    zone = timezone.get_current_timezone_name()
    title = f"{local:%A} {_day(moment)}, {local:%H:%M:%S} {local:%Z} ({zone})"
    return format_html(
        '<time datetime="{}" title="{}" class="text-nowrap" {}>{}</time>',
        moment.isoformat(timespec="seconds"),
        title,
        kind,
        words,
    )


@register.filter
def number(value: int | None) -> str:
    """1,240; a dash for nothing known."""
    return "–" if value is None else f"{value:,}"


@register.filter
def initials(person: Any) -> str:
    """Two letters for an avatar."""
    words = str(person).split() or ["?"]
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()


@register.filter
def words(text: str) -> list[str]:
    """A list of words, for a loop over fixed names in a template."""
    return text.split()


# --- sorting, paging, navigation ---------------------------------------------------------------
@register.inclusion_tag("sort_header.html", takes_context=True)
def sort_header(
    context: Context, key: str, title: str, *, current: str, classes: str = ""
) -> dict[str, object]:
    """A column heading that sorts by `key`, and the other way when it does already.

    `current` is the sort in force: a key, with “-” in front where it is descending.
    """
    direction = {key: "ascending", f"-{key}": "descending"}.get(current, "")
    wanted = f"-{key}" if direction == "ascending" else key
    query = context["request"].GET.copy()
    query["sort"] = wanted
    query.pop("page", None)
    return {
        "title": title,
        "direction": direction,
        "classes": classes,
        "href": f"?{query.urlencode()}",
    }


@register.simple_tag(takes_context=True)
def page_link(context: Context, name: str, number: int) -> str:
    """The address of another page of the same list: everything else in the query stays."""
    query = context["request"].GET.copy()
    query[name] = str(number)
    return f"?{query.urlencode()}"


@register.filter
def page_numbers(page: Page[Any]) -> Iterator[int | None]:
    """The numbers to offer, None for a gap."""
    for value in page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1):
        yield value if isinstance(value, int) else None


@register.inclusion_tag("nav_link.html", takes_context=True)
def nav_link(
    context: Context, name: str, title: str, icon: str, *, count: int = 0
) -> dict[str, object]:
    """One line of the navigation; `count` is how much waits there."""
    href = reverse(name)
    is_here = context["request"].path.startswith(href)
    return {"href": href, "title": title, "icon": icon, "is_here": is_here, "count": count}
