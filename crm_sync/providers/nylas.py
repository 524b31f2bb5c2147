"""Nylas v3: mailboxes, their folders, messages and calendars, and leave to read them.

What is read often (folders, pages, messages, events) goes over one pooled session and msgspec; the
SDK does the rest. It opens a connection for each call and decodes 1,700 messages a second, against
more than 100,000 here (design, “Fast by design”). Facts are quoted from the contract sheet, whose
sources are https://developer.nylas.com/docs/api/v3/ and the SDK itself.

Nothing here tries again: the caller backs off.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import requests
from django.conf import settings
from nylas import Client
from nylas.models.errors import AbstractNylasApiError
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from crm_sync.providers.errors import (
    ApplicationRejected,
    ItemGone,
    PermanentError,
    ProviderError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.nylas_calendar import (
    CALENDAR_FIELDS,
    EVENT_FIELDS,
    MARKER_KEY,
    read_calendar,
    read_calendars,
    read_event,
    read_events,
    written,
)
from crm_sync.providers.nylas_errors import (
    calendar_scopes_missing,
    calendars_unsupported,
    failure_of_answer,
    failure_of_status,
    failure_of_transport,
    grant_rejected,
    grant_unknown,
    says_insufficient_scopes,
    says_quota,
    sdk_failures,
)
from crm_sync.providers.nylas_wire import (
    clean_text,
    read_folders,
    read_headers,
    read_json,
    read_message,
    read_page,
    read_webhook,
    read_webhooks,
)
from crm_sync.providers.transport import POOL_SIZE, TIMEOUT, TRANSPORT_FAILURES
from crm_sync.providers.types import (
    Calendar,
    Event,
    EventDraft,
    EventPage,
    Folder,
    Grant,
    Message,
    MessageHeaders,
    MessagePage,
    Webhook,
)

#: Nylas's own limit for messages, folders, grants and events (contract sheet §3, §4, §5).
LARGEST_PAGE: Final = 200
#: How far from its time an event of ours is looked for: it may have been moved meanwhile.
SEARCH_MARGIN: Final = timedelta(days=31)

_HEADER_FIELDS: Final = "id,object,thread_id,date,subject,from,to,cc,bcc,folders,headers"
_MESSAGE_FIELDS: Final = f"{_HEADER_FIELDS},body,attachments"

#: What our webhook is told of; the variants of these (`.truncated` …) come by themselves
#: (contract sheet §6).
WEBHOOK_TRIGGERS: Final = (
    "message.created",
    "message.updated",
    "message.deleted",
    "event.created",
    "event.updated",
    "event.deleted",
    "calendar.created",
    "calendar.updated",
    "calendar.deleted",
    "grant.updated",
    "grant.expired",
    "grant.deleted",
)

_PROVIDERS: Final = frozenset({"google", "microsoft", "ews", "imap", "yahoo", "icloud"})
#: IMAP and Yahoo have no calendars (contract sheet §5).
_CALENDAR_PROVIDERS: Final = frozenset({"google", "microsoft", "ews", "icloud", "virtual-calendar"})
#: Providers that do not know `show_cancelled`
#: (https://developer.nylas.com/docs/reference/api/events/get-all-events/).
_WITHOUT_CANCELLED: Final = frozenset({"icloud", "ews"})
_POSSIBLE_KEY: Final = re.compile(r"[!-~]+")


def from_settings() -> "NylasGateway":
    """The gateway of this process for the address, key and client id in the settings."""
    return _shared(settings.NYLAS_API_URI, settings.NYLAS_API_KEY, settings.NYLAS_CLIENT_ID)


@lru_cache(maxsize=4)
def _shared(api_uri: str, api_key: str, client_id: str) -> "NylasGateway":
    return NylasGateway(api_uri=api_uri, api_key=api_key, client_id=client_id)


class NylasGateway:
    """A MailGateway, a CalendarGateway, an AuthorisationGateway and a WebhookGateway.

    Safe to share among threads and across a fork.

    `timeout` is in seconds: to connect, and between two pieces of an answer.
    """

    def __init__(
        self,
        *,
        api_uri: str,
        api_key: str,
        client_id: str,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> None:
        self._api_uri = api_uri.rstrip("/")  # The SDK would ask for “//v3/…” (contract sheet §1).
        self._api_key = api_key
        self._client_id = client_id
        self._timeout = timeout
        self._sdk = Client(api_key, self._api_uri, timeout)
        self._sessions: dict[int, requests.Session] = {}
        #: Grants whose provider refused to list cancelled events. Forgetting costs two requests.
        self._without_cancelled: set[str] = set()

    # --- mail (MailGateway) ----------------------------------------------------------------------

    def folders(self, grant_id: str) -> list[Folder]:
        """All folders, over as many pages as there are.

        Not by the SDK: it turns attributes into text, and loses the status of failures that decide
        here whether a rep must authorise again (contract sheet §10, pitfall 3; §7).
        """
        return _all_pages(
            lambda query: read_folders(self._of_grant(grant_id, "folders", query=query)),
            {"limit": LARGEST_PAGE},
        )

    def message_page(
        self,
        grant_id: str,
        *,
        folder_id: str,
        received_after: datetime | None,
        page_token: str | None = None,
        limit: int = LARGEST_PAGE,
    ) -> MessagePage:
        """Headers only: neither body nor snippet is asked for (design, invariant 3).

        Besides the usual: ItemGone where the folder is gone; PermanentError “page-token-refused”
        where the listing must begin anew. A cursor may come back that was followed before
        (contract sheet §1, “Paging”): the caller, who knows the listing, must notice.
        """
        query: dict[str, str | int] = {
            "limit": min(limit, LARGEST_PAGE),
            "in": folder_id,
            "fields": "include_basic_headers",
            "select": _HEADER_FIELDS,
        }
        if received_after is not None:
            query["received_after"] = int(received_after.timestamp())
        if page_token:
            query["page_token"] = page_token
        return read_page(self._of_grant(grant_id, "messages", query=query))

    def message_headers(self, grant_id: str, message_id: str) -> MessageHeaders:
        """One message as a listing would give it: neither body nor snippet is asked for.

        Besides the usual: ItemGone, and PermanentError “unreadable-message”.
        """
        query = {"fields": "include_basic_headers", "select": _HEADER_FIELDS}
        content = self._of_grant(grant_id, "messages", message_id, query=query)
        return read_headers(content, message_id)

    def message(self, grant_id: str, message_id: str) -> Message:
        """One message with its text; a text over `nylas_wire.LONGEST_BODY` is cut and says so.

        Besides the usual: ItemGone, and PermanentError “unreadable-message”.
        """
        query = {"fields": "include_basic_headers", "select": _MESSAGE_FIELDS}
        content = self._of_grant(grant_id, "messages", message_id, query=query)
        return read_message(content, message_id)

    # --- calendars (CalendarGateway) -------------------------------------------------------------
    # Not by the SDK: it refuses a `when` without its form's name, loses original_start_time, and
    # does not quote the ids of events (contract sheet §5; §10, pitfall 5).

    def calendars(self, grant_id: str) -> list[Calendar]:
        """All calendars. PermanentError “calendars-unsupported” where the provider has none."""
        try:
            return _all_pages(
                lambda query: read_calendars(self._of_calendar(grant_id, "calendars", query=query)),
                {"limit": LARGEST_PAGE, "select": CALENDAR_FIELDS},
            )
        except (PermanentError, TransientError) as error:
            # How Nylas says so is not documented, so what the grant is decides.
            is_refusal = isinstance(error, PermanentError) or error.status == 501
            if is_refusal and self.grant(grant_id).provider not in _CALENDAR_PROVIDERS:
                raise calendars_unsupported(error.status) from None
            raise

    def event_page(
        self,
        grant_id: str,
        *,
        calendar_id: str,
        start: datetime,
        end: datetime,
        updated_after: datetime | None = None,
        page_token: str | None = None,
    ) -> EventPage:
        """Besides the usual: ItemGone where the calendar is gone; PermanentError
        “page-token-refused” where the listing must begin anew. The caller must notice a cursor
        that comes back.
        """
        query: dict[str, str | int] = {
            "calendar_id": calendar_id,
            "limit": LARGEST_PAGE,
            "start": int(start.timestamp()),
            "end": int(end.timestamp()),
            "expand_recurring": "true",
            "select": EVENT_FIELDS,
        }
        if updated_after is not None:
            query["updated_after"] = int(updated_after.timestamp())
        if page_token:
            query["page_token"] = page_token
        return read_events(self._events_with_cancelled(grant_id, query), calendar_id)

    def _events_with_cancelled(self, grant_id: str, query: Mapping[str, str | int]) -> bytes:
        """Cancelled events are asked for wherever the provider knows them."""
        if grant_id not in self._without_cancelled:
            try:
                with_cancelled = {**query, "show_cancelled": "true"}
                return self._of_calendar(grant_id, "events", query=with_cancelled)
            except PermanentError as error:
                if error.status != 400 or "page_token" in query:
                    raise
                # Never for a 400 alone: deleted events would go unnoticed.
                if self.grant(grant_id).provider not in _WITHOUT_CANCELLED:
                    raise
            self._without_cancelled.add(grant_id)
        return self._of_calendar(grant_id, "events", query=query)

    def event(self, grant_id: str, event_id: str, *, calendar_id: str) -> Event:
        """Besides the usual: ItemGone. One that was deleted may also come as cancelled (Google)."""
        query = {"calendar_id": calendar_id, "select": EVENT_FIELDS}
        content = self._of_calendar(grant_id, "events", event_id, query=query)
        return read_event(content, calendar_id, event_id=event_id)

    def find_event(
        self, grant_id: str, marker: str, *, calendar_id: str, start: datetime, end: datetime
    ) -> Event | None:
        """None only after the window was listed as well: whoever hears it makes another event."""
        # No other filter may stand beside this one (contract sheet §4, “metadata_pair”).
        by_marker = {"calendar_id": calendar_id, "metadata_pair": f"{MARKER_KEY}:{marker}"}
        try:
            found = self._find_event(grant_id, marker, by_marker)
        except PermanentError as error:
            if error.status not in {400, 422}:
                raise
            found = None
        window: dict[str, str | int] = {
            "calendar_id": calendar_id,
            "start": int((start - SEARCH_MARGIN).timestamp()),
            "end": int((end + SEARCH_MARGIN).timestamp()),
            "expand_recurring": "false",
        }
        return found or self._find_event(grant_id, marker, window)

    def _find_event(
        self, grant_id: str, marker: str, query: Mapping[str, str | int]
    ) -> Event | None:
        """The marker is looked for on the answers themselves: a filter may have been ignored."""

        def page(query: Mapping[str, str | int]) -> tuple[list[Event], str | None]:
            content = self._of_calendar(grant_id, "events", query=query)
            events = read_events(content, str(query["calendar_id"]))
            return list(events.events), events.next_page

        for event in _pages(page, {**query, "limit": LARGEST_PAGE, "select": EVENT_FIELDS}):
            is_whole = event.status != "cancelled" and not event.master_event_id
            if is_whole and event.marker == marker:
                return event
        return None

    def create_event(self, grant_id: str, draft: EventDraft, *, calendar_id: str) -> Event:
        """Besides the usual: ItemGone where the calendar is gone, PermanentError
        “read-only-calendar”. After a TransientError or UnexpectedAnswer the event may exist:
        `find_event` knows.
        """
        body = {**written(draft), "participants": []}
        content = self._write(grant_id, "POST", "", body, calendar_id)
        return read_event(content, calendar_id)

    def update_event(
        self, grant_id: str, event_id: str, draft: EventDraft, *, calendar_id: str
    ) -> Event:
        """Besides the usual: PermanentError “read-only-event” and “read-only-calendar”.

        Participants are left out, so they stay as they are: whoever was invited in the mail app
        must not be uninvited by us.
        """
        content = self._write(grant_id, "PUT", event_id, written(draft), calendar_id)
        return read_event(content, calendar_id, event_id=event_id)

    def delete_event(self, grant_id: str, event_id: str, *, calendar_id: str) -> None:
        try:
            self._write(grant_id, "DELETE", event_id, None, calendar_id)
        except ItemGone:
            pass

    def _write(
        self,
        grant_id: str,
        method: str,
        event_id: str,
        body: Mapping[str, Any] | None,
        calendar_id: str,
    ) -> bytes:
        pieces = ("events", event_id) if event_id or method != "POST" else ("events",)
        # Microsoft and iCloud notify all the same (contract sheet §5): nobody may be invited.
        query = {"calendar_id": calendar_id, "notify_participants": "false"}
        try:
            return self._of_calendar(grant_id, *pieces, query=query, method=method, body=body)
        except ReconnectRequired as error:
            if error.status != 403:
                raise
            refused = error
        raise self._refused_write(grant_id, event_id, calendar_id, refused) from None

    def _refused_write(
        self, grant_id: str, event_id: str, calendar_id: str, refused: ReconnectRequired
    ) -> ProviderError:
        """What a 403 for a write is about: the calendar, the event, or the mailbox's permissions.

        Raises what asking ends in. A mailbox whose calendar can be read is not given up.
        """
        query = {"select": CALENDAR_FIELDS}
        content = self._of_calendar(grant_id, "calendars", calendar_id, query=query)
        if read_calendar(content).is_read_only:
            return PermanentError(
                "This calendar can only be read.", code="read-only-calendar", status=403
            )
        if event_id and self.event(grant_id, event_id, calendar_id=calendar_id).is_read_only:
            return PermanentError(
                "This event can only be read: somebody else organises it.",
                code="read-only-event",
                status=403,
            )
        if refused.code == "calendar-scopes-missing":
            return refused
        return PermanentError(
            "The calendar does not let us write this.", code="write-refused", status=403
        )

    def _of_calendar(
        self,
        grant_id: str,
        *pieces: str,
        query: Mapping[str, str | int],
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
    ) -> bytes:
        try:
            return self._of_grant(grant_id, *pieces, query=query, method=method, body=body)
        except ReconnectRequired as error:
            if error.code == "insufficient-scopes":
                raise calendar_scopes_missing(error.status) from None
            raise

    # --- authorisation (AuthorisationGateway) ----------------------------------------------------

    def detect_provider(self, address: str) -> str | None:
        """google, microsoft, ews, imap, yahoo or icloud; None where Nylas cannot tell.

        At most 20 calls a minute for the whole application (contract sheet §2).
        """
        with self._sdk_call():
            detected = self._sdk.auth.detect_provider({"email": address}).data
        # The SDK does not check types: the provider may be anything at all.
        provider = detected.provider if detected.detected else None
        return provider if isinstance(provider, str) and provider in _PROVIDERS else None

    def authorisation_url(
        self, *, provider: str, redirect_uri: str, state: str, login_hint: str
    ) -> str:
        """Where to send the rep's browser. Blank values are left out.

        Scopes are those of the application at Nylas. `online`: we call with the API key and the
        grant's id, so no refresh token need exist (contract sheet §2).
        """
        config = {
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "provider": provider,
            "state": state,
            "login_hint": login_hint,
            "access_type": "online",
        }
        # A fresh dict: the SDK writes into it, and would send None as the text “None”.
        url: str = self._sdk.auth.url_for_oauth2({k: v for k, v in config.items() if v})
        return url

    def exchange_code(self, code: str, *, redirect_uri: str) -> Grant:
        """The grant behind a code, which works once, whatever the outcome (contract sheet §2).

        PermanentError “code-refused”: the rep must begin again.
        """
        request = {
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self._client_id,
            "client_secret": self._api_key,
        }
        with self._sdk_call():
            try:
                answer = self._sdk.auth.exchange_code_for_token(request)
            except AbstractNylasApiError as error:
                raise _exchange_failure(error) from None
        if not (isinstance(answer.grant_id, str) and answer.grant_id):
            raise UnexpectedAnswer("Nylas accepted the authorisation but named no grant.")
        if not (isinstance(answer.email, str) and answer.email):
            return self.grant(answer.grant_id)
        return Grant(answer.grant_id, clean_text(answer.email), _text(answer.provider))

    def grant(self, grant_id: str) -> Grant:
        """Raises ReconnectRequired “grant-unknown” where Nylas has no such grant."""
        piece = _piece(grant_id)  # The SDK does not quote it (contract sheet §1).
        with self._sdk_call():
            try:
                found = self._sdk.grants.find(piece).data
            except AbstractNylasApiError as error:
                if error.status_code in {404, 410}:
                    raise grant_unknown(error.status_code) from None
                if error.status_code in {401, 403}:
                    raise self._rejection(error.status_code) from None
                raise
        return _grant(found)

    def grants(self) -> Iterator[Grant]:
        """All grants of the application, by offset: this listing has no cursor (contract sheet §3).

        The end is an empty page: a server may give fewer than asked for. Grants made or deleted
        meanwhile move the offsets, so none is given twice.
        """
        seen: set[str] = set()
        offset = 0
        while True:
            with self._sdk_call():
                page = self._sdk.grants.list({"limit": LARGEST_PAGE, "offset": offset}).data
            fresh = [grant for grant in map(_grant, page) if grant.id not in seen]
            if not fresh:
                if len(page) >= LARGEST_PAGE:
                    raise UnexpectedAnswer("Nylas repeats the same page of grants.")
                return
            seen.update(grant.id for grant in fresh)
            yield from fresh
            offset += len(page)

    def revoke_grant(self, grant_id: str) -> None:
        """A grant that is already gone is fine."""
        piece = _piece(grant_id)
        try:
            with self._sdk_call():
                try:
                    self._sdk.grants.destroy(piece)
                except AbstractNylasApiError as error:
                    if error.status_code not in {404, 410}:
                        raise
        except (TransientError, UnexpectedAnswer) as failure:
            # The SDK also fails after a deletion whose answer was empty (contract sheet §7).
            is_unread = failure.code in {"not-json", "unexpected-answer"}
            if not is_unread or not self._is_grant_unknown(grant_id):
                raise

    def _is_grant_unknown(self, grant_id: str) -> bool:
        try:
            self.grant(grant_id)
        except ReconnectRequired:
            return True
        except ProviderError:
            return False
        return False

    # --- webhooks (WebhookGateway) ---------------------------------------------------------------
    # Not by the SDK: one trigger that it does not know fails the whole list, and it loses the
    # secret of an answer without created_at (contract sheet §10, pitfall 4).

    def webhooks(self) -> list[Webhook]:
        return _all_pages(
            lambda query: read_webhooks(
                _content(self._get("/v3/webhooks", query)), wanted=WEBHOOK_TRIGGERS
            ),
            {},
        )

    def create_webhook(self, url: str) -> tuple[Webhook, str]:
        """PermanentError “challenge-failed” where Nylas cannot reach `url`."""
        request = {
            "trigger_types": list(WEBHOOK_TRIGGERS),
            "webhook_url": url,
            "description": "Email and calendar sync of the CRM",
        }
        response = self._send("POST", "/v3/webhooks", request)
        if response.status_code == 400 and b'"70005"' in response.content:
            raise PermanentError(
                "Nylas asked the webhook's address for its challenge and got no right answer. The "
                "address (PUBLIC_URL) must be reachable from the internet.",
                code="challenge-failed",
                status=400,
            )
        webhook, secret = read_webhook(_content(response), wanted=WEBHOOK_TRIGGERS)
        if not webhook.id or not secret:
            raise UnexpectedAnswer("Nylas made a webhook but did not tell its secret.")
        return webhook, secret

    def mend_webhook(self, webhook_id: str) -> Webhook:
        request = {"trigger_types": list(WEBHOOK_TRIGGERS), "status": "active"}
        response = self._send("PUT", f"/v3/webhooks/{_piece(webhook_id)}", request)
        _require_known_webhook(response)
        return read_webhook(_content(response), wanted=WEBHOOK_TRIGGERS)[0]

    def rotate_webhook_secret(self, webhook_id: str) -> str:
        """The documentation and the SDK ask differently (contract sheet §6): one of them works."""
        piece = _piece(webhook_id)
        response = self._send("POST", f"/v3/webhooks/rotate-secret/{piece}", {})
        if response.status_code in {404, 405}:
            response = self._send("PUT", f"/v3/webhooks/{piece}/rotate-secret", {})
        _require_known_webhook(response)
        secret = read_webhook(_content(response), wanted=WEBHOOK_TRIGGERS)[1]
        if not secret:
            raise UnexpectedAnswer("Nylas changed the webhook's secret but did not tell it.")
        return secret

    # --- the connection itself -------------------------------------------------------------------

    def check(self) -> str:
        """One cheap call with our key; a sentence of facts, or the usual errors with remedies.

        Not by the SDK, which loses the status of an answer that is not JSON.
        """
        started = time.monotonic()
        response = self._get("/v3/grants", {"limit": 1})
        status = response.status_code
        is_answer = 200 <= status < 300
        if not is_answer and status not in {404, 405}:
            raise failure_of_answer(response)
        answer = read_json(response.content) if is_answer else None
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
            raise UnexpectedAnswer(
                "Nylas's service was not found at this address. Check NYLAS_API_URI.",
                code="wrong-address",
                status=status,
            )
        taken = round((time.monotonic() - started) * 1000)
        host = urlsplit(self._api_uri).netloc.rpartition("@")[2]
        return f"{host} accepts the API key (answered in {taken} ms)."

    # --- HTTP ------------------------------------------------------------------------------------

    def _of_grant(
        self,
        grant_id: str,
        *pieces: str,
        query: Mapping[str, str | int],
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
    ) -> bytes:
        path = "/".join(["/v3/grants", *map(_piece, (grant_id, *pieces))])
        response = self._request(method, path, query=query, body=body)
        status = response.status_code
        failure = _failure_unless_success(response)
        if failure is None:
            return response.content
        if isinstance(failure, TransientError):
            raise failure
        if "page_token" in query and status in {400, 404, 410, 422}:
            raise PermanentError(
                "Nylas no longer accepts our place in this listing. It begins anew.",
                code="page-token-refused",
                status=status,
            )
        if status in {401, 403, 404}:
            raise self._grant_failure(grant_id, response)
        raise _item_gone(status) if status == 410 else failure

    def _grant_failure(self, grant_id: str, response: requests.Response) -> ProviderError:
        """What a 401, 403 or 404 below a grant is about; the item, where nothing larger is lost.

        A 404 alone does not tell a deleted grant from a deleted message, so the grant is asked for:
        or else all the messages of a deleted grant would pass for deleted.
        """
        status = response.status_code
        if status == 404:
            found = self._get(f"/v3/grants/{_piece(grant_id)}", {})
            failure = _failure_unless_success(found)
            if failure is None:
                return _item_gone(status)
            if isinstance(failure, PermanentError) and failure.status in {404, 410}:
                folders = self._get(f"/v3/grants/{_piece(grant_id)}/folders", {"limit": 1})
                # Whoever lists folders of a grant knows it, whatever was said before.
                return _item_gone(status) if folders.ok else grant_unknown(status)
            return self._rejection(401) if isinstance(failure, ApplicationRejected) else failure
        if status == 403 and says_insufficient_scopes(response.content):
            return ReconnectRequired(
                "The mailbox was authorised without all the permissions that are needed. "
                "It must be authorised again, with every permission allowed.",
                code="insufficient-scopes",
                status=status,
            )
        if status == 403 and says_quota(response.content):
            return failure_of_status(429, response.headers)
        return self._rejection(status)

    def _rejection(self, status: int) -> ProviderError:
        """Whose fault the 401 or 403 of one grant is: the grant's, or that of our key.

        The body of such an answer is not confirmed (contract sheet §11), so a question follows that
        concerns no grant. Otherwise one mistyped key would ask every rep to authorise again.
        """
        failure = _failure_unless_success(self._get("/v3/grants", {"limit": 1}))
        is_undecided = isinstance(failure, TransientError | UnexpectedAnswer)
        return failure if failure and is_undecided else grant_rejected(status)

    def _get(self, path: str, query: Mapping[str, str | int]) -> requests.Response:
        return self._request("GET", path, query=query)

    def _send(self, method: str, path: str, body: Mapping[str, Any]) -> requests.Response:
        return self._request(method, path, body=body)

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> requests.Response:
        """One answer, whatever its status. Raises for what never became an answer."""
        self._require_possible_key()
        url = f"{self._api_uri}{path}"
        if query:
            url += "?" + urlencode(query, quote_via=quote, safe="", errors="replace")
        try:
            return self._session().request(
                method, url, json=body, timeout=self._timeout, allow_redirects=False
            )
        except TRANSPORT_FAILURES as error:
            raise failure_of_transport(error) from None

    def _session(self) -> requests.Session:
        # By process: two processes that share a socket after a fork read each other's answers.
        # setdefault is atomic, so racing threads agree; a lock could be held during the fork.
        process = os.getpid()
        session = self._sessions.get(process)
        return session or self._sessions.setdefault(process, _new_session(self._api_key))

    def _sdk_call(self) -> AbstractContextManager[None]:
        self._require_possible_key()
        return sdk_failures()

    def _require_possible_key(self) -> None:
        if not _POSSIBLE_KEY.fullmatch(self._api_key):
            raise ApplicationRejected(
                "The API key of Nylas is missing, or holds characters that no key has. "
                "Set NYLAS_API_KEY."
            )


class _Bearer(AuthBase):
    # As `auth`, not as a header: requests would let a netrc entry replace a header.
    def __init__(self, api_key: str) -> None:
        self._authorization = f"Bearer {api_key}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._authorization
        return request


def _new_session(api_key: str) -> requests.Session:
    session = requests.Session()
    adapter = HTTPAdapter(pool_connections=2, pool_maxsize=POOL_SIZE, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.auth = _Bearer(api_key)
    session.headers["Accept"] = "application/json"
    # Mailboxes share the session: no answer for one may leave a cookie for another.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


def _failure_unless_success(response: requests.Response) -> ProviderError | None:
    return None if 200 <= response.status_code < 300 else failure_of_answer(response)


def _content(response: requests.Response) -> bytes:
    """The body of a success; raises for anything else."""
    if failure := _failure_unless_success(response):
        raise failure
    return response.content


def _require_known_webhook(response: requests.Response) -> None:
    if response.status_code in {404, 410}:
        raise PermanentError(
            "Nylas does not know this webhook. Register one.",
            code="webhook-unknown",
            status=response.status_code,
        )


def _piece(text: str) -> str:
    """One piece of a path. Blank, “.” and “..” would make another path, hence another question."""
    if text in {"", ".", ".."}:
        raise PermanentError("This id cannot be asked for.", code="impossible-id")
    return quote(text, safe="", errors="replace")


_ItemT = TypeVar("_ItemT")
_ReadPage = Callable[[Mapping[str, str | int]], tuple[list[_ItemT], str | None]]


def _all_pages(read: _ReadPage[_ItemT], query: Mapping[str, str | int]) -> list[_ItemT]:
    return list(_pages(read, query))


def _pages(read: _ReadPage[_ItemT], query: Mapping[str, str | int]) -> Iterator[_ItemT]:
    """What all pages hold, in order. Raises where a page comes back that was read before."""
    tokens: set[str] = set()
    while True:
        items, cursor = read(query)
        yield from items
        if cursor is None:
            return
        if cursor in tokens:
            raise TransientError(
                "Nylas repeated a page of its listing. We try again later.", code="repeated-cursor"
            )
        tokens.add(cursor)
        query = {**query, "page_token": cursor}


def _item_gone(status: int) -> ItemGone:
    return ItemGone("This is no longer in the mailbox.", status=status)


def _exchange_failure(error: AbstractNylasApiError) -> ProviderError:
    """`error` is an OAuth word where the answer had the OAuth shape (contract sheet §7)."""
    status = error.status_code or 0
    word = str(getattr(error, "error", ""))
    if word != "invalid_grant" and (
        status == 401 or word in {"invalid_client", "unauthorized_client"}
    ):
        return failure_of_status(401)
    failure = failure_of_status(status, error.headers)
    if isinstance(failure, TransientError):
        return failure
    return PermanentError(
        "Nylas did not accept the authorisation: it was used before or took too long. "
        "Please begin again.",
        code="code-refused",
        status=status,
    )


def _grant(found: Any) -> Grant:
    # The SDK does not check types, and fills what is missing with None (contract sheet §10).
    if not (isinstance(found.id, str) and found.id):
        raise UnexpectedAnswer("Nylas named a grant without an id.")
    is_valid = found.grant_status != "invalid"
    return Grant(found.id, _text(found.email), _text(found.provider), is_valid=is_valid)


def _text(value: object) -> str:
    return clean_text(value) if isinstance(value, str) else ""
