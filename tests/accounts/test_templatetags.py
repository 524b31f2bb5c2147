"""What templates of every room draw."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.paginator import Paginator
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory
from django.utils import timezone

from accounts.rules import State
from accounts.states import APPEARANCES, appearance
from crm_sync.templatetags import crm

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def render(source: str, **values) -> str:
    request = RequestFactory().get("/list/", values.pop("query", {}))
    return Template("{% load crm mailboxes %}" + source).render(
        Context({"request": request, **values})
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (10, "just now"),
        (-10, "in a moment"),
        (50, "1 min ago"),
        (180, "3 min ago"),
        (-120, "in 2 min"),
        (59 * 60, "59 min ago"),
        (2 * 3600 + 59 * 60, "2 h ago"),
        (25 * 3600, "1 day ago"),
        (3 * 86400, "3 days ago"),
        (20 * 86400, "2 Nov 2026"),
    ],
)
def test_times_in_words(seconds, words):
    assert crm.in_words(NOW - timedelta(seconds=seconds), NOW) == words


def test_the_exact_time_is_in_the_users_zone():
    with timezone.override(ZoneInfo("America/New_York")):
        html = str(crm.ago(NOW))
        assert str(crm.exact(NOW)).endswith(">22 Nov 2026 07:00</time>")
    assert 'datetime="2026-11-22T12:00:00+00:00"' in html
    assert 'title="Sunday 22 Nov 2026, 07:00:00 EST (America/New_York)"' in html


def test_no_time_is_a_dash_or_words():
    assert "–" in render("{% ago nothing %}", nothing=None)
    assert "not yet" in render("{% ago nothing 'not yet' %}", nothing=None)


def test_numbers_have_separators():
    assert crm.number(1240) == "1,240"
    assert crm.number(None) == "–"


def test_an_icon_is_inline_and_hidden_from_readers():
    html = render("{% icon 'mail' 'text-red' %}")
    assert html.startswith('<svg class="icon text-red" aria-hidden="true"')
    assert 'xmlns="' not in html


def test_an_icon_that_is_not_there_is_named():
    with pytest.raises(TemplateSyntaxError, match="no-such-icon"):
        crm.icon("no-such-icon")


def test_a_heading_sorts_and_then_the_other_way():
    source = "{% sort_header 'name' 'Name' current=sort %}"
    first = render(source, sort="number", query={"q": "a b", "page": "3"})
    assert 'href="?q=a+b&amp;sort=name"' in first
    assert "aria-sort" not in first
    again = render(source, sort="name")
    assert 'href="?sort=-name"' in again
    assert 'aria-sort="ascending"' in again
    assert 'aria-sort="descending"' in render(source, sort="-name")


def test_paging_keeps_the_query_and_says_where_one_is():
    page = Paginator(range(1300), 50).page(2)
    html = render("{% include 'paging.html' with noun='emails' %}", page=page, query={"q": "x"})
    assert "51–100" in html
    assert "of 1,300 emails" in html
    assert 'href="?q=x&amp;page=3"' in html
    assert 'aria-current="page">2<' in html


@pytest.mark.parametrize("state", State)
def test_every_state_is_a_word_with_a_colour_an_icon_and_a_sentence(state):
    shown = appearance(state)
    html = render("{% state_badge state %}", state=state)
    assert shown.label in html
    assert f"status-{shown.colour}" in html
    assert "<svg" in html
    assert shown.sentence.endswith(".")
    assert len(APPEARANCES) == len(State)


def test_a_badge_is_reached_with_the_keyboard():
    assert 'tabindex="0"' in render("{% state_badge 'running' %}")
