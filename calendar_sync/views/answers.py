"""What the views of this app answer after a change."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django_htmx.http import trigger_client_event

from crm_sync.browser import go_to, is_piece


def changed(request: HttpRequest, to: Any, *, closes_dialog: bool = False) -> HttpResponse:
    """Tell the page that action items changed, so that lists and calendars ask again.

    Without a page around the request, that is after a reload of a dialog, go to `to`.
    """
    if not is_piece(request):
        return go_to(request, to)
    response = render(request, "messages.html", {"is_extra": True})
    trigger_client_event(response, "actions-changed", after="swap")
    if closes_dialog:
        trigger_client_event(response, "dialog-close", after="swap")
    return response


def tell(request: HttpRequest, sentence: str, *, undo: str, **values: object) -> None:
    """Say what was done, with an Undo that posts the values to the address `undo`."""
    context = {"sentence": sentence, "url": undo, "values": values}
    messages.success(request, render_to_string("calendar_sync/undo_message.html", context, request))
