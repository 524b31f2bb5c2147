"""Gmail: the monitored mailbox to which reps BCC or forward mail, read as it was received.

google-api-python-client writes the requests, by the description of the API that it ships;
`google_http` sends them and `gmail_wire` reads the answers. Facts are quoted from the contract
sheet, whose sources are https://developers.google.com/workspace/gmail/api and the libraries
themselves.

Nothing here tries again, but for one fresh access token: the caller backs off.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from django.conf import settings
from googleapiclient.discovery import build
from googleapiclient.model import JsonModel
from msgspec import Struct

from crm_sync.providers.errors import HistoryExpired, ItemGone, PermanentError
from crm_sync.providers.gmail_errors import not_gmail
from crm_sync.providers.gmail_wire import (
    read_history,
    read_labels,
    read_message,
    read_messages,
    read_new_label,
    read_profile,
)
from crm_sync.providers.google_http import GoogleHttp
from crm_sync.providers.transport import TIMEOUT
from crm_sync.providers.types import (
    IntakeCredentials,
    IntakeMessage,
    IntakePage,
    IntakeProfile,
)

#: Gmail's own limits (contract sheet §4).
LARGEST_PAGE: Final = 500
LARGEST_BATCH: Final = 1000

#: Drafts are not sent yet; old chats are no mail. Spam and Trash are left out by default.
_QUERY: Final = "-in:drafts -in:chats"
#: What can bring a message in: it arrives, or somebody takes it out of Spam (“labelRemoved”).
_HISTORY_TYPES: Final = ["messageAdded", "labelRemoved"]
_ME: Final = "me"


def from_settings(credentials: IntakeCredentials) -> "GmailGateway":
    """A gateway for one pass: Google's addresses are in the settings, the rest is the mailbox's."""
    return GmailGateway(
        credentials,
        api_endpoint=settings.GMAIL_API_ENDPOINT,
        token_uri=settings.GOOGLE_TOKEN_URI,
    )


class GmailGateway:
    """An IntakeGateway for one set of credentials, safe to share among threads.

    `timeout` is in seconds: to connect, and between two pieces of an answer.
    """

    def __init__(
        self,
        credentials: IntakeCredentials,
        *,
        api_endpoint: str,
        token_uri: str,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> None:
        self._http = GoogleHttp(
            credentials, api_endpoint=api_endpoint, token_uri=token_uri, timeout=timeout
        )
        self._api = _api(api_endpoint.rstrip("/"))
        self._label_ids: dict[str, str] = {}

    # --- reading ---------------------------------------------------------------------------------

    def profile(self) -> IntakeProfile:
        return read_profile(self._ask_all(self._api.users.getProfile(userId=_ME)))

    def message_page(self, *, page_token: str | None = None) -> IntakePage:
        """Besides the usual: PermanentError “page-token-refused” where the listing must begin
        anew. A token may come back that was followed before: the caller must notice.
        """
        request = self._api.messages.list(
            userId=_ME,
            q=_QUERY,
            includeSpamTrash=False,
            maxResults=LARGEST_PAGE,
            pageToken=page_token,
        )
        try:
            return read_messages(self._ask_all(request))
        except PermanentError as refusal:
            if page_token:
                raise _page_refused(refusal.status) from None
            raise

    def history_page(self, history_id: str, *, page_token: str | None = None) -> IntakePage:
        """Messages that arrived since, and those that somebody took out of Spam or Trash.

        Besides HistoryExpired: PermanentError “page-token-refused”, as for a listing.
        """
        request = self._api.history.list(
            userId=_ME,
            startHistoryId=history_id,
            historyTypes=_HISTORY_TYPES,
            maxResults=LARGEST_PAGE,
            pageToken=page_token,
        )
        try:
            return read_history(self._ask(request))
        except PermanentError as refusal:
            if page_token and refusal.status != 404:
                raise _page_refused(refusal.status) from None
            # 404 by the documentation; 400 where it is no number at all.
            raise HistoryExpired(
                "Gmail no longer knows what happened since the last pass. The mailbox is listed "
                "anew.",
                status=refusal.status,
            ) from None

    def message(self, message_id: str) -> IntakeMessage:
        """Drafts, Spam and Trash are given too, if asked for: their `label_ids` say so.

        Besides the usual: ItemGone, and PermanentError “unreadable-message”.
        """
        _require_possible(message_id)
        request = self._api.messages.get(userId=_ME, id=message_id, format="raw")
        return read_message(self._ask_item(request), message_id)

    # --- labelling -------------------------------------------------------------------------------

    def label(self, message_ids: Sequence[str], *, name: str) -> None:
        """Messages that are gone are passed over.

        PermanentError “label-refused” where Gmail does not take the name.
        """
        for start in range(0, len(message_ids), LARGEST_BATCH):
            self._label_batch(list(message_ids[start : start + LARGEST_BATCH]), name.strip())

    def _label_batch(self, message_ids: list[str], name: str) -> None:
        body: dict[str, Any] = {"addLabelIds": [self._label_id(name)]}
        request = self._api.messages.batchModify(userId=_ME, body={"ids": message_ids, **body})
        try:
            self._ask(request)
        except PermanentError:
            # A message is gone, or somebody deleted the label that we remember.
            self._label_ids.pop(name, None)
        else:
            return
        body = {"addLabelIds": [self._label_id(name)]}
        for message_id in message_ids:
            with suppress(ItemGone):
                self._ask_item(self._api.messages.modify(userId=_ME, id=message_id, body=body))

    def _label_id(self, name: str) -> str:
        known = self._label_ids.get(name)
        if known is None:
            known = self._label_ids[name] = self._find_label(name) or self._create_label(name)
        return known

    def _find_label(self, name: str) -> str | None:
        """Gmail tells names apart without case. Its own labels are refused: to put TRASH on a
        message would delete it.
        """
        wanted = name.casefold()
        for label_id, label_name, is_system in read_labels(
            self._ask_all(self._api.labels.list(userId=_ME))
        ):
            if label_name.casefold() == wanted:
                if is_system:
                    raise _label_refused(None)
                return label_id
        return None

    def _create_label(self, name: str) -> str:
        body = {"name": name, "labelListVisibility": "labelShow", "messageListVisibility": "show"}
        try:
            return read_new_label(self._ask(self._api.labels.create(userId=_ME, body=body)))
        except PermanentError as refusal:
            # 409: another pass has just made it.
            found = self._find_label(name) if refusal.status == 409 else None
            if found is None:
                raise _label_refused(refusal.status) from None
            return found

    # --- requests --------------------------------------------------------------------------------

    def _ask(self, request: Any) -> bytes:
        content: bytes = request.execute(http=self._http)
        return content

    def _ask_all(self, request: Any) -> bytes:
        """For what every mailbox has: a 404 says that nobody of Gmail's answers there."""
        try:
            return self._ask(request)
        except PermanentError as refusal:
            if refusal.status == 404:
                raise not_gmail(404) from None
            raise

    def _ask_item(self, request: Any) -> bytes:
        try:
            return self._ask(request)
        except PermanentError as refusal:
            if refusal.status in {404, 410}:
                raise ItemGone("This is no longer in the mailbox.", status=refusal.status) from None
            raise


# --- the client ----------------------------------------------------------------------------------


class _Api(Struct, frozen=True):
    """The methods by which requests are written. Making these objects is slow, so they are kept."""

    users: Any
    messages: Any
    history: Any
    labels: Any


class _Unread(JsonModel):  # type: ignore[misc]
    """Writes requests as JSON and leaves the answers to us."""

    def response(self, resp: Any, content: bytes) -> bytes:
        return content


@lru_cache(maxsize=4)
def _api(endpoint: str) -> _Api:
    """Shared by all gateways and threads, for it only writes; each request is sent by a gateway's
    own `http`. The description is the bundled one: no network.
    """
    client = build(
        "gmail",
        "v1",
        http=object(),
        model=_Unread(),
        static_discovery=True,
        cache_discovery=False,
        client_options={"api_endpoint": endpoint},
    )
    users = client.users()
    return _Api(users, users.messages(), users.history(), users.labels())


def _require_possible(message_id: str) -> None:
    """Blank, “.” and “..” would make another path, hence another question."""
    if message_id in {"", ".", ".."}:
        raise PermanentError("This id cannot be asked for.", code="impossible-id")


def _page_refused(status: int | None) -> PermanentError:
    return PermanentError(
        "Gmail no longer accepts our place in this listing. It begins anew.",
        code="page-token-refused",
        status=status,
    )


def _label_refused(status: int | None) -> PermanentError:
    return PermanentError(
        "Gmail does not accept this name for the label. Choose another one.",
        code="label-refused",
        status=status,
    )
