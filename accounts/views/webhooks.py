"""Where Nylas delivers its webhooks; it proves itself by a signature, not by signing in."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts import webhooks
from accounts.webhooks import MOST_BYTES, Verdict

_LONGEST_CHALLENGE = 256

_ANSWERS = {
    Verdict.ACCEPTED: (200, ""),
    Verdict.DUPLICATE: (200, ""),
    Verdict.IGNORED: (200, ""),
    Verdict.UNKNOWN_GRANT: (200, ""),
    Verdict.MALFORMED: (400, "This is not a notification in the form that we know."),
    Verdict.TOO_LARGE: (413, "This is too large for a notification."),
    Verdict.BAD_SIGNATURE: (401, "The signature is missing or does not fit."),
}


@csrf_exempt
@login_not_required
@require_http_methods(["GET", "POST"])
def nylas_webhook(request: HttpRequest) -> HttpResponse:
    """GET answers a registration's challenge, POST takes a notification (contract sheet §6)."""
    if request.method == "GET":
        return _answer_challenge(request.GET.get("challenge", ""))
    try:
        body = _body(request)
    except UnreadablePostError:
        return _plain("The request broke off.", 400)
    now = timezone.now()
    if body is None:
        verdict = Verdict.TOO_LARGE
        webhooks.count(verdict, now=now)
    else:
        signature = request.headers.get("X-Nylas-Signature", "")
        verdict = webhooks.receive(body, signature=signature, now=now)
    status, sentence = _ANSWERS[verdict]
    return _plain(sentence, status)


def _answer_challenge(challenge: str) -> HttpResponse:
    if not 0 < len(challenge) <= _LONGEST_CHALLENGE:
        return _plain("This address takes Nylas's notifications.", 400)
    return _plain(challenge, 200)


def _body(request: HttpRequest) -> bytes | None:
    """The bytes as they came; None where there are too many. Not `request.body`: that refuses more
    than a form may have, and before us."""
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    if length > MOST_BYTES:
        return None
    body = request.read(MOST_BYTES + 1)
    return body if len(body) <= MOST_BYTES else None


def _plain(text: str, status: int) -> HttpResponse:
    # Never to be taken for a page: the challenge is whatever the caller says it is.
    return HttpResponse(
        text,
        status=status,
        content_type="text/plain; charset=utf-8",
        headers={"X-Content-Type-Options": "nosniff"},
    )
