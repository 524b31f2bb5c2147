"""Answers to a browser, whether it asked for a page or, through htmx, for a piece of one."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django_htmx.http import HttpResponseClientRedirect


def go_to(request: HttpRequest, to: Any, *args: Any, **kwargs: Any) -> HttpResponse:
    """On to another page. A plain redirect would put that page into the dialog of the present one."""
    if is_piece(request):
        return HttpResponseClientRedirect(resolve_url(to, *args, **kwargs))
    return redirect(to, *args, **kwargs)


def is_piece(request: HttpRequest) -> bool:
    """Whether htmx asks: for a dialog, a section, a polled piece, and not for a page."""
    return bool(getattr(request, "htmx", False))
