"""How a provider call can fail, by what the caller should do next (design, “Failure classes”)."""


class ProviderError(Exception):
    """Base of all failures at a provider.

    `code` is short and stable (it is stored on rows and grouped on screens); the message is plain
    words without addresses, tokens or mail text, fit to be shown to a user.
    """

    code = "provider-error"

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code
        #: The HTTP status, where there was an answer.
        self.status = status


class TransientError(ProviderError):
    """Time-outs, 429, 5xx, refused connections, HTML instead of JSON: try again later.

    `retry_after` is in seconds from now, where the provider named it.
    """

    code = "provider-unavailable"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, status=status)
        self.retry_after = retry_after


class ReconnectRequired(ProviderError):
    """The grant is no longer accepted: only the rep can mend it, by authorising again."""

    code = "grant-rejected"


class PermanentError(ProviderError):
    """This one request will never succeed (4xx other than 401, 403 on the grant and 429)."""

    code = "request-refused"


class ItemGone(PermanentError):
    """404 or 410 for one item: it is no longer in the mailbox."""

    code = "gone"


class UnexpectedAnswer(ProviderError):
    """The provider answered something we do not understand (state `exception`)."""

    code = "unexpected-answer"


class ApplicationRejected(UnexpectedAnswer):
    """The provider refuses our own key, not a mailbox: only whoever runs this CRM can mend it.

    Never a ReconnectRequired, or one mistyped key would ask every rep to authorise again.
    """

    code = "application-key-rejected"


class HistoryExpired(PermanentError):
    """The provider no longer knows what happened since then: list anew (Gmail's 404)."""

    code = "history-expired"
