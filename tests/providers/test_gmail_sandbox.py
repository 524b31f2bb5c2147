"""The whole of Google by our own sandbox: consent, reading, labelling, and what goes wrong."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from crm_sync.providers import gmail, google_oauth
from crm_sync.providers.errors import (
    HistoryExpired,
    ItemGone,
    PermanentError,
    ReconnectRequired,
    TransientError,
)
from crm_sync.providers.gmail import GmailGateway
from crm_sync.providers.google_oauth import MODIFY, READONLY, SCOPES
from crm_sync.providers.types import IntakeAuthorisation, IntakeCredentials
from tests.conftest import sandbox_server
from tests.providers.scripted_google import failure

CLIENT_ID = "sandbox-google-client"
CLIENT_SECRET = "sandbox-google-secret"
ADDRESS = "crm.intake@northsound.example"
OTHER = "front.desk@northsound.example"
REDIRECT = "https://crm.example/settings/intake/authorised/"
STATE = "state-secret"


@pytest.fixture(scope="module")
def sandbox_of_this_module(tmp_path_factory) -> Iterator[str]:
    with sandbox_server(tmp_path_factory.mktemp("google")) as url:
        yield url


@pytest.fixture
def sandbox(sandbox_of_this_module: str, settings) -> str:
    url = sandbox_of_this_module
    settings.GOOGLE_AUTH_URI = f"{url}/google/auth"
    settings.GOOGLE_TOKEN_URI = f"{url}/google/token"
    settings.GMAIL_API_ENDPOINT = url
    return url


def switch(sandbox: str, name: str, **wish: Any) -> Any:
    answer = requests.post(f"{sandbox}/sandbox/google/{name}", json=wish, timeout=10)
    assert answer.ok, answer.text
    return answer.json()


def consent(begun: google_oauth.Begun, **form: object) -> str:
    """What the browser does on Google's page; where it is sent back to."""
    choice = {"decision": "allow", "account": ADDRESS} | form
    answer = requests.post(begun.url, data=choice, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def begin() -> google_oauth.Begun:
    return google_oauth.begin(
        CLIENT_ID, CLIENT_SECRET, redirect_uri=REDIRECT, state=STATE, login_hint=ADDRESS
    )


def finish(begun: google_oauth.Begun, answer_url: str, **changes: str) -> IntakeAuthorisation:
    arguments = {
        "redirect_uri": REDIRECT,
        "code_verifier": begun.code_verifier,
        "answer_url": answer_url,
        "state": STATE,
    } | changes
    secret = arguments.pop("client_secret", CLIENT_SECRET)
    return google_oauth.finish(CLIENT_ID, secret, **arguments)


def authorised(account: str = ADDRESS) -> GmailGateway:
    begun = begin()
    given = finish(begun, consent(begun, account=account))
    return gmail.from_settings(IntakeCredentials(CLIENT_ID, CLIENT_SECRET, given.refresh_token))


def everything(gateway: GmailGateway) -> list[str]:
    page = gateway.message_page()
    found = [*page.message_ids]
    while page.next_page:
        page = gateway.message_page(page_token=page.next_page)
        found += page.message_ids
    return found


# --- consent -------------------------------------------------------------------------------------


def test_consent_there_and_back(sandbox):
    begun = begin()
    given = finish(begun, consent(begun))
    assert given.address == ADDRESS
    assert given.scopes >= frozenset(SCOPES)
    again = begin()
    assert finish(again, consent(again)).refresh_token != given.refresh_token


def test_consent_for_another_account_tells_whose_it_is(sandbox):
    begun = begin()
    assert finish(begun, consent(begun, account=OTHER)).address == OTHER


def test_consent_that_fails_says_why(sandbox):
    begun = begin()
    assert failure(finish, begun, consent(begun, decision="deny")).code == "consent-denied"
    unticked = consent(begun, scope=["openid", READONLY])
    assert failure(finish, begun, unticked).code == "scopes-missing"
    unticked = consent(begun, scope=["openid", MODIFY])
    assert "read mail" in str(failure(finish, begun, unticked))
    wrong = failure(finish, begun, consent(begun), client_secret="another")
    assert wrong.code == "client-rejected"
    for verifier in ("", "v" * 64):
        refused = failure(finish, begun, consent(begun), code_verifier=verifier)
        assert refused.code == "code-refused"
    used = consent(begun)
    finish(begun, used)
    assert failure(finish, begun, used).code == "code-refused"
    assert failure(finish, begun, used, state="another").code == "state-mismatch"


def test_consent_without_a_refresh_token_says_why(sandbox):
    """As a client would get that forgets to ask for consent again."""
    begun = begin()
    finish(begun, consent(begun))
    careless = google_oauth.Begun(begun.url.replace("&prompt=consent", ""), begun.code_verifier)
    assert failure(finish, careless, consent(careless)).code == "no-refresh-token"


# --- a mailbox -----------------------------------------------------------------------------------


def test_a_mailbox_is_read_whole_and_then_by_its_history(sandbox):
    gateway = authorised()
    start = gateway.profile()
    assert start.address == ADDRESS
    ids = everything(gateway)
    with ThreadPoolExecutor(4) as threads:
        messages = list(threads.map(gateway.message, ids))
    assert len(messages) == len(set(ids)) > 10
    assert all(b"From: " in message.raw for message in messages)
    times = [message.received_at.timestamp() for message in messages]
    assert times == sorted(times, reverse=True)

    new = switch(sandbox, "deliver", **{"from": {"email": "rep@northsound.example"}, "text": "Hi"})
    page = gateway.history_page(start.history_id)
    assert (page.message_ids, page.next_page) == ((new["id"],), None)
    assert int(page.history_id) > int(start.history_id)
    assert gateway.history_page(page.history_id).message_ids == ()


@pytest.mark.parametrize("padding", [False, True])
def test_raw_comes_with_padding_and_without(sandbox, padding: bool):
    switch(sandbox, "settings", padding=padding)
    gateway = authorised()
    sizes = {len(gateway.message(id_).raw) % 3 for id_ in everything(gateway)}
    assert sizes == {0, 1, 2}


def test_drafts_spam_and_trash_are_not_listed_until_they_are_taken_out(sandbox):
    gateway = authorised()
    before = gateway.profile().history_id
    rep = {"email": "rep@northsound.example"}
    hidden = [
        switch(sandbox, "deliver", **{"from": rep, "text": label, "labels": [label]})["id"]
        for label in ("SPAM", "TRASH", "DRAFT")
    ]
    assert not set(hidden) & set(everything(gateway))
    assert gateway.history_page(before).message_ids == ()
    assert gateway.message(hidden[0]).label_ids == ("SPAM",)

    before = gateway.profile().history_id
    switch(sandbox, "label", id=hidden[0], add=["INBOX"], remove=["SPAM"])
    assert gateway.history_page(before).message_ids == (hidden[0],)
    assert hidden[0] in everything(gateway)


def test_an_expired_history_is_said_and_a_deleted_message_is_gone(sandbox):
    gateway = authorised()
    before = gateway.profile().history_id
    first, *_ = everything(gateway)
    switch(sandbox, "expire-history")
    assert isinstance(failure(gateway.history_page, before), HistoryExpired)
    assert isinstance(failure(gateway.history_page, "no number"), HistoryExpired)
    switch(sandbox, "delete", id=first)
    assert isinstance(failure(gateway.message, first), ItemGone)
    assert first not in everything(gateway)


def test_a_listing_of_many_pages_is_read_whole(sandbox):
    switch(sandbox, "generate", account=OTHER, count=1_100)
    gateway = authorised(OTHER)
    ids = everything(gateway)
    assert len(ids) == len(set(ids)) == 1_100
    assert failure(gateway.message_page, page_token="never given").code == "page-token-refused"


def test_processed_mail_gets_a_label_and_nothing_else_happens_to_it(sandbox):
    gateway = authorised()
    first, second, third, *_ = everything(gateway)
    before = gateway.message(first).label_ids
    switch(sandbox, "delete", id=second)
    for _ in range(2):
        gateway.label([first, second, third], name="CRM Processed")
    authorised().label([third], name="crm processed")
    labels = set(gateway.message(first).label_ids) - set(before)
    assert len(labels) == 1
    assert set(gateway.message(first).label_ids) >= set(before)
    assert labels < set(gateway.message(third).label_ids)
    assert failure(gateway.label, [first], name="Trash").code == "label-refused"
    assert first in everything(gateway)


# --- access --------------------------------------------------------------------------------------


def test_access_tokens_that_run_out_are_replaced_once(sandbox):
    gateway = authorised()
    ids = everything(gateway)
    switch(sandbox, "expire-tokens")
    with ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(gateway.message, ids))) == len(ids)


def test_access_that_was_taken_back_asks_for_a_new_authorisation(sandbox):
    gateway = authorised()
    gateway.profile()
    switch(sandbox, "revoke")
    error = failure(gateway.profile)
    assert (type(error), error.code) == (ReconnectRequired, "grant-rejected")


def test_a_mailbox_that_may_only_be_read_says_so_when_it_is_labelled(sandbox):
    file = switch(sandbox, "authorise", scopes=["openid", READONLY])
    gateway = gmail.from_settings(
        IntakeCredentials(file["client_id"], file["client_secret"], file["refresh_token"])
    )
    first, *_ = everything(gateway)
    error = failure(gateway.label, [first], name="CRM Processed")
    assert (type(error), error.code) == (ReconnectRequired, "insufficient-scopes")
    assert "label mail" in str(error)


LIMITS = ["rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded"]
CODES = {"429": "rate-limited", "500": "provider-unavailable", "502-html": "provider-unavailable"}
CODES |= {"503": "provider-unavailable", "200-html": "not-json", "empty-body": "not-json"}
CODES |= {"truncated": "not-json", "cut-connection": "unreachable"}


@pytest.mark.parametrize(
    ("path", "kind", "code"),
    [
        *(("/gmail/", kind, "rate-limited") for kind in LIMITS),
        *(("/gmail/", kind, code) for kind, code in CODES.items()),
        *(("/google/token", kind, code) for kind, code in CODES.items()),
    ],
)
def test_what_passes_is_transient_and_then_all_is_well_again(
    sandbox, path: str, kind: str, code: str
):
    gateway = authorised()
    fault = {"kind": kind, "path": path, "times": 1}
    requests.post(f"{sandbox}/sandbox/faults", json=fault, timeout=10).raise_for_status()
    error = failure(gateway.message_page)
    assert (type(error), error.code) == (TransientError, code)
    assert gateway.message_page().message_ids


# --- what is logged ------------------------------------------------------------------------------


def test_nothing_secret_is_logged_even_where_everything_is(sandbox, caplog):
    """With our own settings of the libraries' loggers, and the root at DEBUG."""
    caplog.set_level(logging.DEBUG)
    begun = begin()
    answer_url = consent(begun)
    given = finish(begun, answer_url)
    gateway = gmail.from_settings(IntakeCredentials(CLIENT_ID, CLIENT_SECRET, given.refresh_token))
    first, *_ = everything(gateway)
    raw = gateway.message(first).raw
    gateway.label([first], name="CRM Processed")
    token = gateway._http._token.get()
    failures = [
        failure(finish, begun, answer_url),
        failure(gateway.message, "18c0ffee"),
        failure(gateway.label, [first], name="Trash"),
    ]
    switch(sandbox, "revoke")
    failures.append(failure(gateway.profile))
    for error in failures:
        assert isinstance(error, PermanentError | ReconnectRequired)
        logging.getLogger("email_sync").error("It failed", exc_info=error)

    code = parse_qs(urlsplit(answer_url).query)["code"][0]
    secrets = [CLIENT_SECRET, begun.code_verifier, given.refresh_token, token, code, STATE]
    for secret in (*secrets, ADDRESS, "crm.intake", first, raw[:40].decode()):
        assert secret not in caplog.text
