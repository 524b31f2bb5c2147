"""Every way a call to Gmail, or for an access token, can fail (contract sheet §3, §6)."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync.providers.errors import (
    ApplicationRejected,
    ProviderError,
    ReconnectRequired,
    TransientError,
    UnexpectedAnswer,
)
from crm_sync.providers.gmail import GmailGateway
from crm_sync.providers.gmail_errors import (
    READ_MAIL,
    failure_of_answer,
    failure_of_exchange,
    failure_of_refresh,
)
from crm_sync.providers.gmail_wire import (
    read_history,
    read_labels,
    read_message,
    read_messages,
    read_new_label,
    read_profile,
)
from crm_sync.providers.transport import pool_for, retry_after
from tests.conftest import free_port
from tests.providers.scripted_google import (
    CLIENT_ID,
    CLIENT_SECRET,
    CREDENTIALS,
    REFRESH_TOKEN,
    answer,
    bearer_of,
    failure,
    form_of,
    refusal,
)
from tests.providers.scripted_nylas import HTML

PROFILE = {"emailAddress": "crm.intake@northsound.example", "historyId": "1"}


def kind_and_code(error: ProviderError) -> tuple[type[ProviderError], str]:
    return type(error), error.code


# --- access tokens -------------------------------------------------------------------------------


def test_the_first_call_asks_for_an_access_token_and_the_next_ones_share_it(google, gmail):
    google.answers(PROFILE).answers(PROFILE)
    gmail.profile()
    gmail.profile()
    assert [bearer_of(asked) for asked in google.asked] == ["ya29.1", "ya29.1"]
    (asked,) = google.asked_tokens
    assert form_of(asked) == {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN,
    }


@pytest.mark.parametrize("expires_in", [60, "60", 0])
def test_a_token_that_soon_ends_is_replaced_before_a_call(google, gmail, expires_in):
    google.gives_token({"access_token": "ya29.short", "expires_in": expires_in})
    google.answers(PROFILE).answers(PROFILE)
    gmail.profile()
    gmail.profile()
    assert [bearer_of(asked) for asked in google.asked] == ["ya29.short", "ya29.2"]


def test_a_401_is_answered_with_one_fresh_token_and_the_same_request(google, gmail):
    google.refuses(401, "authError").answers(PROFILE)
    assert gmail.profile().history_id == "1"
    assert [bearer_of(asked) for asked in google.asked] == ["ya29.1", "ya29.2"]
    assert google.asked[0].target == google.asked[1].target


def test_a_change_is_sent_again_whole_after_a_401(google, gmail):
    google.answers({"labels": [{"id": "L", "name": "x"}]}).refuses(401, "authError")
    google.answers(status=204)
    gmail.label(["1"], name="x")
    assert google.asked[1].body == google.asked[2].body
    assert json.loads(google.asked[2].body) == {"ids": ["1"], "addLabelIds": ["L"]}


def test_a_401_that_stays_asks_for_a_new_authorisation(google, gmail):
    google.refuses(401, "authError").refuses(401, "authError")
    error = failure(gmail.profile)
    assert kind_and_code(error) == (ReconnectRequired, "grant-rejected")
    assert "Authorise the connection again" in str(error)
    assert (len(google.asked), len(google.asked_tokens)) == (2, 2)


def test_a_refresh_that_fails_after_a_401_can_succeed_in_the_next_call(google, gmail):
    google.refuses(401, "authError").answers(PROFILE)
    google.gives_token({"access_token": "ya29.a"}).gives_token(status=503)
    assert isinstance(failure(gmail.profile), TransientError)
    assert gmail.profile().history_id == "1"


def test_threads_that_wait_for_a_token_share_a_failure_too(google, gmail):
    google.gives_token({"error": "invalid_grant"}, status=400, delay=0.3)
    with ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(failure, gmail.profile) for _ in range(4)]
        errors = [call.result() for call in calls]
    assert {error.code for error in errors} == {"grant-rejected"}
    assert len(google.asked_tokens) == 1
    assert google.asked == []


def oauth(word: object, **more: object) -> dict[str, object]:
    return {"error": word, "error_description": "ann.secret@example.com: no", **more}


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, oauth("invalid_grant"), ReconnectRequired, "grant-rejected"),
        (401, oauth("invalid_grant"), ReconnectRequired, "grant-rejected"),
        (400, oauth("invalid_grant", error_subtype="invalid_rapt"),
         ReconnectRequired, "grant-rejected"),
        (401, oauth("invalid_client"), ApplicationRejected, "client-rejected"),
        (400, oauth("unauthorized_client"), ApplicationRejected, "client-rejected"),
        (401, oauth("deleted_client"), ApplicationRejected, "client-rejected"),
        (400, oauth("admin_policy_enforced"), ReconnectRequired, "refused-by-policy"),
        (500, oauth("internal_failure"), TransientError, "provider-unavailable"),
        (400, oauth("internal_failure"), TransientError, "provider-unavailable"),
        (503, HTML, TransientError, "provider-unavailable"),
        (503, b"", TransientError, "provider-unavailable"),
        (403, HTML, TransientError, "not-json"),
        (400, b"", TransientError, "not-json"),
        (400, {"error": {"message": "ann.secret"}}, TransientError, "not-json"),
        (429, oauth("rate_limit"), TransientError, "rate-limited"),
        (403, oauth("rateLimitExceeded"), TransientError, "rate-limited"),
        (400, oauth("invalid_request"), UnexpectedAnswer, "unexpected-answer"),
        (302, b"", UnexpectedAnswer, "redirected"),
        (200, HTML, TransientError, "not-json"),
        (200, b'{"access_token": "ya29', TransientError, "not-json"),
        (200, b"", TransientError, "not-json"),
        (200, [], UnexpectedAnswer, "unexpected-answer"),
        (200, {}, UnexpectedAnswer, "unexpected-answer"),
        (200, oauth("invalid_grant"), UnexpectedAnswer, "unexpected-answer"),
        (200, {"access_token": None}, UnexpectedAnswer, "unexpected-answer"),
        (200, {"access_token": ""}, UnexpectedAnswer, "unexpected-answer"),
        (200, {"access_token": "ya29\r\nX: y"}, UnexpectedAnswer, "unexpected-answer"),
        (200, {"access_token": "ya29.é"}, UnexpectedAnswer, "unexpected-answer"),
        (200, {"access_token": "ya29.a", "expires_in": "soon"},
         UnexpectedAnswer, "unexpected-answer"),
        (200, {"access_token": "ya29.a", "expires_in": 1e300},
         UnexpectedAnswer, "unexpected-answer"),
    ],
    ids=str,
)  # fmt: skip
def test_every_failure_of_the_token_endpoint_is_one_of_ours(
    google, gmail, status, body, kind, code
):
    google.gives_token(body, status=status, headers={"Location": "https://evil.example/"})
    assert kind_and_code(failure(gmail.profile)) == (kind, code)
    # Nobody sleeps in a worker to try again, and Gmail is not asked without a token.
    assert len(google.asked_tokens) == 1
    assert google.asked == []


def test_the_token_endpoint_may_say_when_to_come_back(google, gmail):
    google.gives_token(status=503, headers={"Retry-After": "120"})
    error = failure(gmail.profile)
    assert isinstance(error, TransientError)
    assert error.retry_after == 120


# --- answers of the API --------------------------------------------------------------------------


def newer(status: int, reason: str, message: str = "no") -> Any:
    """The newer shape, without `errors`."""
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}
    error = {"code": status, "message": message, "status": "X", "details": [{}, None, detail]}
    return answer({"error": error}, status=status)


@pytest.mark.parametrize(
    ("given", "kind", "code"),
    [
        (refusal(403, "rateLimitExceeded"), TransientError, "rate-limited"),
        (refusal(403, "userRateLimitExceeded"), TransientError, "rate-limited"),
        (refusal(403, "dailyLimitExceeded"), TransientError, "rate-limited"),
        (refusal(403, "forbidden", "Quota exceeded for quota metric 'Queries'"),
         TransientError, "rate-limited"),
        (newer(403, "RATE_LIMIT_EXCEEDED"), TransientError, "rate-limited"),
        (refusal(429, "rateLimitExceeded"), TransientError, "rate-limited"),
        (answer(status=429), TransientError, "rate-limited"),
        (refusal(403, "insufficientPermissions"), ReconnectRequired, "insufficient-scopes"),
        (newer(403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), ReconnectRequired, "insufficient-scopes"),
        (refusal(403, "accessNotConfigured"), ApplicationRejected, "api-not-enabled"),
        (newer(403, "SERVICE_DISABLED", "no quota project"),
         ApplicationRejected, "api-not-enabled"),
        (refusal(403, "domainPolicy"), ReconnectRequired, "refused-by-policy"),
        (refusal(403, "forbidden"), ReconnectRequired, "access-refused"),
        (answer({"error": {"code": 403}}, status=403), ReconnectRequired, "access-refused"),
        (answer({"error": "message"}, status=403), ReconnectRequired, "access-refused"),
        (answer(["error"], status=403), TransientError, "not-json"),
        (answer(b"Forbidden", status=403), TransientError, "not-json"),
        (answer(HTML, status=403), TransientError, "not-json"),
        (answer(HTML, status=404), TransientError, "not-json"),
        (answer(HTML, status=400), TransientError, "not-json"),
        (refusal(400, "failedPrecondition", "Mail service not enabled"),
         ReconnectRequired, "no-mailbox"),
        (refusal(500, "backendError"), TransientError, "provider-unavailable"),
        (answer(HTML, status=502), TransientError, "provider-unavailable"),
        (answer(b"", status=504), TransientError, "provider-unavailable"),
        (answer(b"", status=408), TransientError, "provider-unavailable"),
        (answer(b"", status=301, headers={"Location": "https://evil.example/"}),
         UnexpectedAnswer, "redirected"),
        (answer(HTML), TransientError, "not-json"),
        (answer(b""), TransientError, "not-json"),
        (answer(b'{"messages": [{"id": "1"'), TransientError, "not-json"),
        (answer(b"\xff\xfe"), TransientError, "not-json"),
        (answer(b'{"x":' * 100_000), TransientError, "not-json"),
        (answer({"messages": []}, missing_bytes=10), TransientError, "unreachable"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_every_failure_of_the_api_is_one_of_ours(google, gmail, given, kind, code):
    google.script.append(given)
    assert kind_and_code(failure(gmail.message_page)) == (kind, code)
    # The caller backs off: nothing is tried again here.
    assert len(google.asked) == 1


@pytest.mark.parametrize("call", ["message", "history_page", "label"])
def test_a_page_of_html_never_costs_a_message_a_place_or_a_label(google, gmail, call: str):
    google.answers(HTML, status=404)
    arguments = {"label": (["1"],)}.get(call, ("1",))
    names = {"name": "x"} if call == "label" else {}
    assert isinstance(failure(getattr(gmail, call), *arguments, **names), TransientError)


def test_a_missing_permission_is_named(google, gmail):
    google.refuses(403, "insufficientPermissions")
    assert "let this CRM read mail" in str(failure(gmail.profile))
    google.answers({"labels": [{"id": "L", "name": "x"}]}).refuses(403, "insufficientPermissions")
    assert "let this CRM label mail" in str(failure(gmail.label, ["1"], name="x"))


def test_the_header_says_when_to_come_back(google, gmail):
    google.answers(status=429, headers={"Retry-After": "7"})
    assert failure(gmail.profile).retry_after == 7


def test_gmail_says_when_to_come_back_in_its_message(google, gmail):
    moment = (datetime.now(UTC) + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    message = f"User-rate limit exceeded.  Retry after {moment}Z"
    google.refuses(403, "rateLimitExceeded", message).refuses(429, "rateLimitExceeded", message)
    for _ in range(2):
        error = failure(gmail.profile)
        assert isinstance(error, TransientError)
        assert error.retry_after == pytest.approx(600, abs=5)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [("2001-01-01T00:00:00Z", 0), ("2999-01-01T00:00:00Z", 3600), ("2001-99-99T99:00:00Z", None)],
)
def test_a_moment_to_come_back_is_kept_within_an_hour(moment: str, expected: float | None):
    body = f'{{"error": {{"message": "Retry after {moment}"}}}}'.encode()
    error = failure_of_answer(429, {}, body, permission=READ_MAIL)
    assert isinstance(error, TransientError)
    assert error.retry_after == expected


def test_retry_after_is_read_in_both_forms():
    assert retry_after("30") == 30
    assert retry_after("99999") == 3600
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    for nothing in (None, "", "soon", "-1", "nan"):
        assert retry_after(nothing) is None


# --- no answer -----------------------------------------------------------------------------------


def gateway_at(address: str, token_uri: str, *timeout: float) -> GmailGateway:
    seconds = (timeout or (2, 5))[:2]
    return GmailGateway(
        CREDENTIALS,
        api_endpoint=address,
        token_uri=token_uri,
        timeout=(seconds[0], seconds[1]),
    )


def test_a_connection_that_is_refused_is_transient(google):
    nobody = f"http://127.0.0.1:{free_port()}"
    for gateway in (gateway_at(nobody, google.token_uri), gateway_at(google.url, f"{nobody}/t")):
        assert kind_and_code(failure(gateway.profile)) == (TransientError, "unreachable")


def test_a_name_that_is_not_found_is_transient_and_says_which_setting(google):
    gateway = gateway_at("http://gmail.invalid", google.token_uri)
    error = failure(gateway.profile)
    assert kind_and_code(error) == (TransientError, "name-not-resolved")
    assert "GMAIL_API_ENDPOINT" in str(error)


def test_an_answer_that_comes_too_late_is_transient(google):
    google.answers(PROFILE, delay=1)
    gateway = gateway_at(google.url, google.token_uri, 2, 0.05)
    gateway._http._token.get()
    assert kind_and_code(failure(gateway.profile)) == (TransientError, "timed-out")


def test_a_token_that_comes_too_late_is_transient(google):
    google.gives_token({"access_token": "ya29.a"}, delay=1)
    gateway = gateway_at(google.url, google.token_uri, 2, 0.05)
    error = failure(gateway.profile)
    assert kind_and_code(error) == (TransientError, "timed-out")
    assert google.asked == []


def test_tls_that_is_none_is_transient(google):
    gateway = gateway_at(google.url.replace("http:", "https:"), google.token_uri)
    assert kind_and_code(failure(gateway.profile)) == (TransientError, "tls-failed")


@pytest.mark.parametrize("address", ["ftp://gmail.example", "http://:99999"])
def test_an_address_that_is_none_says_which_setting(google, address: str):
    error = failure(gateway_at(address, google.token_uri).profile)
    assert isinstance(error, UnexpectedAnswer)
    assert "GMAIL_API_ENDPOINT" in str(error)


def test_a_server_that_hangs_up_is_transient():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        gateway = gateway_at(address, address)
        with ThreadPoolExecutor(1) as threads:
            call = threads.submit(failure, gateway.profile)
            connection, _ = server.accept()
            connection.recv(10)
            connection.close()
            assert kind_and_code(call.result()) == (TransientError, "unreachable")


def test_a_connection_that_broke_costs_only_its_own_call(google, gmail):
    google.answers(PROFILE, missing_bytes=5).answers(PROFILE)
    assert isinstance(failure(gmail.profile), TransientError)
    assert gmail.profile().history_id == "1"


def test_proxies_and_certificates_are_those_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "intern.example")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    proxied = pool_for("https://gmail.googleapis.com", timeout=(1, 1))
    assert proxied.proxy is not None
    assert proxied.proxy.host == "proxy.example"
    assert proxied.connection_pool_kw["ca_cert_dir"] == str(tmp_path)
    assert pool_for("https://gmail.intern.example", timeout=(1, 1)).proxy is None


# --- whatever comes ------------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "error errors details reason status messages history id messagesAdded "
                "labelsRemoved message labelIds labels raw".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
bodies = st.binary(max_size=40) | anything.map(lambda value: json.dumps(value).encode())


@given(status=st.integers(300, 599), body=bodies)
def test_any_error_answer_is_one_of_our_failures(status: int, body: bytes):
    assert isinstance(failure_of_answer(status, {}, body, permission=READ_MAIL), ProviderError)
    assert isinstance(failure_of_refresh(status, {}, body), ProviderError)
    assert isinstance(failure_of_exchange(status, {}, body), ProviderError)


@given(body=bodies)
def test_any_answer_is_read_or_refused_as_one_of_our_failures(body: bytes):
    for read in (read_profile, read_messages, read_history, read_labels, read_new_label):
        try:
            read(body)
        except ProviderError:
            pass
    try:
        assert isinstance(read_message(body, "1").raw, bytes)
    except ProviderError:
        pass
