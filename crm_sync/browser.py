"""Answers to a browser, whether it asked for a page or, through htmx, for a piece of one."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.cache import patch_vary_headers
from django_htmx.http import HttpResponseClientRedirect


def go_to(request: HttpRequest, to: Any, *args: Any, **kwargs: Any) -> HttpResponse:
    """On to another page. htmx would follow a plain redirect and put that page into a dialog."""
    onward: type[HttpResponse] = HttpResponseRedirect
    if is_piece(request):
        onward = HttpResponseClientRedirect
    return onward(resolve_url(to, *args, **kwargs))


def is_piece(request: HttpRequest) -> bool:
    """Whether htmx asks: for a dialog, a section, a polled piece, and not for a page."""
    return bool(getattr(request, "htmx", False))


class PrivatePagesMiddleware:
    """Pages hold people's mail: no copy of them stays with the browser or on the way to it.

    One address also answers with a page or with a piece of it, so a kept copy could be the wrong
    one of the two.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "private, no-store")
        patch_vary_headers(response, ["HX-Request"])
        return response
