"""Reading and labelling a Gmail mailbox, against a real HTTP server that plays Google."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from crm_sync.providers import gmail as gmail_module
from crm_sync.providers.errors import HistoryExpired, ItemGone, PermanentError, UnexpectedAnswer
from crm_sync.providers.gmail import GmailGateway
from crm_sync.providers.types import IntakeGateway, IntakeMessage, IntakePage, IntakeProfile
from tests.providers.scripted_google import CREDENTIALS, answer, bearer_of, failure, refusal
from tests.providers.scripted_nylas import Asked

ME = "/gmail/v1/users/me"
RAW = b"From: Ann <ann@example.com>\r\nSubject: \xe4?>~\r\n\r\nHi\xff\xfe\r\n"


def raw_answer(content: bytes = RAW, **changes: Any) -> dict[str, Any]:
    return {
        "id": "18c",
        "threadId": "18b",
        "labelIds": ["INBOX", "UNREAD"],
        "snippet": "Hi",
        "historyId": "77",
        "internalDate": "1700000000123",
        "sizeEstimate": len(content),
        "raw": base64.urlsafe_b64encode(content).decode(),
    } | changes


def query_of(asked: Asked) -> dict[str, list[str]]:
    return parse_qs(urlsplit(asked.target).query)


def ids(*values: str) -> list[dict[str, str]]:
    return [{"id": value, "threadId": f"t{value}"} for value in values]


# --- the profile ---------------------------------------------------------------------------------


def test_the_gateway_is_what_the_product_asks_for(gmail):
    gateway: IntakeGateway = gmail
    assert isinstance(gateway, GmailGateway)


def test_the_gateway_of_the_settings_asks_their_addresses(google, settings):
    settings.GMAIL_API_ENDPOINT = f"{google.url}/"
    settings.GOOGLE_TOKEN_URI = google.token_uri
    google.answers({"emailAddress": "crm.intake@northsound.example"})
    assert gmail_module.from_settings(CREDENTIALS).profile().history_id == ""
    assert google.asked[0].path == f"{ME}/profile"


def test_the_profile_names_the_mailbox_and_where_its_history_stands(google, gmail):
    google.answers({"emailAddress": "crm.intake@northsound.example", "historyId": "987"})
    assert gmail.profile() == IntakeProfile("crm.intake@northsound.example", "987")
    assert "gdcl/" in google.asked[0].headers["x-goog-api-client"]


@pytest.mark.parametrize("body", [{}, {"emailAddress": ""}, {"emailAddress": 7}, []], ids=str)
def test_a_profile_without_an_address_is_unexpected(google, gmail, body):
    google.answers(body)
    assert isinstance(failure(gmail.profile), UnexpectedAnswer)


# --- a full listing ------------------------------------------------------------------------------


def test_a_listing_asks_for_all_but_drafts_spam_and_trash(google, gmail):
    google.answers({"messages": ids("3", "2"), "nextPageToken": "P=1+/", "resultSizeEstimate": 3})
    assert gmail.message_page() == IntakePage(("3", "2"), "P=1+/")
    assert google.asked[0].path == f"{ME}/messages"
    assert query_of(google.asked[0]) == {
        "q": ["-in:drafts -in:chats"],
        "includeSpamTrash": ["false"],
        "maxResults": ["500"],
        "alt": ["json"],
    }


def test_page_tokens_are_handed_back_as_they_came(google, gmail):
    google.answers({"messages": ids("1")})
    assert gmail.message_page(page_token="P=1+/&é").next_page is None
    assert query_of(google.asked[0])["pageToken"] == ["P=1+/&é"]


@pytest.mark.parametrize(
    "body",
    [{"resultSizeEstimate": 0}, {"messages": []}, {"messages": None, "nextPageToken": ""}],
    ids=str,
)
def test_an_empty_listing_may_lack_its_keys(google, gmail, body):
    google.answers(body)
    assert gmail.message_page() == IntakePage((), None)


def test_a_message_that_a_listing_repeats_counts_once(google, gmail):
    google.answers({"messages": ids("2", "1", "2")})
    assert gmail.message_page().message_ids == ("2", "1")


@pytest.mark.parametrize(
    "body",
    [[], "x", {"messages": 7}, {"messages": [{}]}, {"messages": [None]}],
    ids=str,
)
def test_a_listing_of_another_form_never_passes_for_an_empty_one(google, gmail, body):
    google.answers(body)
    assert isinstance(failure(gmail.message_page), UnexpectedAnswer)


def test_a_page_token_that_is_refused_begins_the_listing_anew(google, gmail):
    google.refuses(400, "invalidArgument")
    error = failure(gmail.message_page, page_token="old")
    assert isinstance(error, PermanentError)
    assert (error.code, error.status) == ("page-token-refused", 400)


def test_a_first_page_that_is_refused_is_not_the_tokens_fault(google, gmail):
    google.refuses(400, "invalidArgument")
    assert failure(gmail.message_page).code == "request-refused"


# --- the history ---------------------------------------------------------------------------------


def test_the_history_asks_for_what_can_bring_a_message_in(google, gmail):
    google.answers({"historyId": "200"})
    assert gmail.history_page("123") == IntakePage((), None, "200")
    assert google.asked[0].path == f"{ME}/history"
    assert query_of(google.asked[0]) == {
        "startHistoryId": ["123"],
        "historyTypes": ["messageAdded", "labelRemoved"],
        "maxResults": ["500"],
        "alt": ["json"],
    }


def added(id_: str, *labels: str) -> dict[str, Any]:
    message = {"id": id_, "threadId": "t"} | ({"labelIds": list(labels)} if labels else {})
    return {"messagesAdded": [{"message": message}]}


def taken_off(id_: str, *removed: str, left: tuple[str, ...] = ("INBOX",)) -> dict[str, Any]:
    message = {"id": id_, "threadId": "t", "labelIds": list(left)}
    return {"labelsRemoved": [{"message": message, "labelIds": list(removed)}]}


def history(*records: dict[str, Any], **more: Any) -> dict[str, Any]:
    numbered = [{"id": str(n), "messages": ids("x")} | record for n, record in enumerate(records)]
    return {"history": numbered, "historyId": "200"} | more


def test_added_messages_come_in_order_and_each_once(google, gmail):
    both = {"messagesAdded": added("2")["messagesAdded"] + added("3")["messagesAdded"]}
    google.answers(history(added("1", "INBOX"), both, added("1"), nextPageToken="N"))
    page = gmail.history_page("123", page_token="M")
    assert page == IntakePage(("1", "2", "3"), "N", "200")
    assert query_of(google.asked[0])["pageToken"] == ["M"]


def test_what_merely_changed_is_not_taken_for_new(google, gmail):
    google.answers(
        history(
            {},  # only `messages`, which every kind of change has
            {"messagesDeleted": [{"message": {"id": "4"}}]},
            {"labelsAdded": [{"message": {"id": "5"}, "labelIds": ["Label_1"]}]},
            taken_off("6", "UNREAD"),
            {"messagesAdded": None, "labelsRemoved": None},
        )
    )
    assert gmail.history_page("123").message_ids == ()


@pytest.mark.parametrize("label", ["DRAFT", "SPAM", "TRASH", "CHAT"])
def test_hidden_messages_come_only_once_they_are_taken_out(google, gmail, label: str):
    google.answers(history(added("1", label, "UNREAD"), added("2", "INBOX")))
    google.answers(history(taken_off("1", label)))
    google.answers(history(taken_off("1", label, left=("TRASH" if label == "SPAM" else "SPAM",))))
    assert gmail.history_page("123").message_ids == ("2",)
    assert gmail.history_page("124").message_ids == ("1",)
    assert gmail.history_page("125").message_ids == ()


def test_a_history_id_may_be_a_number(google, gmail):
    google.answers({"historyId": 200})
    assert gmail.history_page("123").history_id == "200"


@pytest.mark.parametrize("status", [404, 400])
def test_an_expired_history_is_told_apart(google, gmail, status: int):
    google.refuses(status, "notFound")
    error = failure(gmail.history_page, "1")
    assert isinstance(error, HistoryExpired)
    assert error.status == status


def test_a_history_that_expires_between_two_pages_has_expired(google, gmail):
    google.refuses(404, "notFound")
    assert isinstance(failure(gmail.history_page, "1", page_token="P"), HistoryExpired)


def test_a_page_token_of_the_history_may_be_refused(google, gmail):
    google.refuses(400, "invalidArgument")
    error = failure(gmail.history_page, "1", page_token="P")
    assert error.code == "page-token-refused"
    assert not isinstance(error, HistoryExpired)


@pytest.mark.parametrize("body", [{"history": {}}, {"history": [{"messagesAdded": [{}]}]}], ids=str)
def test_a_history_of_another_form_never_passes_for_an_empty_one(google, gmail, body):
    google.answers(body)
    assert isinstance(failure(gmail.history_page, "1"), UnexpectedAnswer)


# --- one message ---------------------------------------------------------------------------------


def test_a_message_comes_as_it_was_received(google, gmail):
    google.answers(raw_answer())
    assert gmail.message("18c") == IntakeMessage(
        id="18c",
        thread_id="18b",
        label_ids=("INBOX", "UNREAD"),
        received_at=datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC),
        raw=RAW,
    )
    assert google.asked[0].path == f"{ME}/messages/18c"
    assert query_of(google.asked[0]) == {"format": ["raw"], "alt": ["json"]}


@pytest.mark.parametrize("size", range(1, 9))
def test_raw_is_read_with_and_without_padding_in_both_alphabets(google, gmail, size: int):
    raw = (b"\xfb\xff\xfe\x00" * 2)[:size]
    for encode in (base64.urlsafe_b64encode, base64.b64encode):
        padded = encode(raw).decode()
        for text in (padded, padded.rstrip("="), f"{padded}\n"):
            google.answers(raw_answer(raw=text))
            assert gmail.message("18c").raw == raw


@pytest.mark.parametrize("raw", [None, "", "not base64!", "abcde", "ab=cd", "é"])
def test_raw_that_cannot_be_read_is_a_matter_of_this_message(google, gmail, raw):
    google.answers(raw_answer(raw=raw))
    error = failure(gmail.message, "18c")
    assert isinstance(error, PermanentError)
    assert error.code == "unreadable-message"


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (1700000000123, datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)),
        ("-1000", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("", None),
        (None, None),
        ("soon", None),
        ("9" * 30, None),
        ("9" * 5000, None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_impossible_date_costs_only_the_date(google, gmail, date, expected):
    google.answers(raw_answer(internalDate=date))
    assert gmail.message("18c").received_at == expected


def test_what_is_missing_beside_the_raw_is_left_blank(google, gmail):
    google.answers({"raw": base64.urlsafe_b64encode(RAW).decode()})
    assert gmail.message("18c") == IntakeMessage("18c", "", (), None, RAW)


def test_a_lone_surrogate_in_the_snippet_does_not_cost_the_message(google, gmail):
    content = json.dumps(raw_answer()).replace('"Hi"', '"\\ud83d"').encode()
    google.answers(content)
    assert gmail.message("18c").raw == RAW


@pytest.mark.parametrize("status", [404, 410])
def test_a_message_that_is_gone_is_told_apart(google, gmail, status: int):
    google.refuses(status, "notFound")
    assert isinstance(failure(gmail.message, "18c"), ItemGone)


def test_ids_are_quoted_into_one_piece_of_the_path(google, gmail):
    google.answers(raw_answer())
    gmail.message("a/b?#%2F ä")
    assert google.asked[0].path == f"{ME}/messages/a%2Fb%3F%23%252F%20%C3%A4"


@pytest.mark.parametrize("id_", ["", ".", ".."])
def test_ids_that_would_ask_another_question_are_not_asked(google, gmail, id_: str):
    assert failure(gmail.message, id_).code == "impossible-id"
    assert google.asked == []


@pytest.mark.parametrize("call", ["profile", "message_page"])
def test_a_404_for_what_every_mailbox_has_means_a_wrong_address(google, gmail, call: str):
    google.answers({"detail": "Not Found"}, status=404)
    error = failure(getattr(gmail, call))
    assert isinstance(error, UnexpectedAnswer)
    assert error.code == "wrong-address"


# --- labels --------------------------------------------------------------------------------------

SYSTEM = {"id": "TRASH", "name": "TRASH", "type": "system"}
OURS = {"id": "Label_7", "name": "CRM Processed", "type": "user"}


def labels(*found: dict[str, str]) -> dict[str, Any]:
    return {"labels": [SYSTEM, *found]}


def paths(google) -> list[str]:
    return [f"{asked.method} {asked.path.removeprefix(ME)}" for asked in google.asked]


def test_a_label_is_found_by_its_name_without_case_and_remembered(google, gmail):
    google.answers(labels(OURS)).answers(status=204).answers(status=204)
    gmail.label(["1", "2"], name=" crm processed")
    gmail.label(["3"], name=" crm processed")
    assert paths(google) == ["GET /labels", *["POST /messages/batchModify"] * 2]
    assert json.loads(google.asked[1].body) == {"ids": ["1", "2"], "addLabelIds": ["Label_7"]}


@pytest.mark.parametrize("existing", [{}, labels({"id": "Label_1", "name": "CRM Processed/2"})])
def test_a_label_that_does_not_exist_is_made(google, gmail, existing):
    google.answers(existing).answers(OURS).answers(status=204)
    gmail.label(["1"], name="CRM Processed")
    assert paths(google)[1] == "POST /labels"
    assert json.loads(google.asked[1].body)["name"] == "CRM Processed"
    assert json.loads(google.asked[2].body)["addLabelIds"] == ["Label_7"]


def test_a_label_that_another_pass_has_just_made_is_found(google, gmail):
    google.answers(labels()).refuses(409, "aborted").answers(labels(OURS)).answers(status=204)
    gmail.label(["1"], name="CRM Processed")
    assert json.loads(google.asked[3].body)["addLabelIds"] == ["Label_7"]


@pytest.mark.parametrize("name", ["trash", "Trash ", "TRASH"])
def test_a_label_of_gmails_own_is_never_put_on_mail(google, gmail, name: str):
    google.answers(labels(OURS))
    assert failure(gmail.label, ["1"], name=name).code == "label-refused"
    assert paths(google) == ["GET /labels"]


@pytest.mark.parametrize("status", [400, 409])
def test_a_name_that_gmail_does_not_take_is_said(google, gmail, status: int):
    google.answers(labels()).refuses(status, "invalidArgument").answers(labels())
    error = failure(gmail.label, ["1"], name="a^b")
    assert isinstance(error, PermanentError)
    assert error.code == "label-refused"


def test_nothing_to_label_asks_nothing(google, gmail):
    gmail.label([], name="CRM Processed")
    assert google.asked == []


def test_labels_go_out_a_thousand_at_a_time(google, gmail):
    google.answers(labels(OURS)).answers(status=204).answers(status=204).answers(status=204)
    gmail.label([str(n) for n in range(2001)], name="CRM Processed")
    sizes = [len(json.loads(asked.body)["ids"]) for asked in google.asked[1:]]
    assert sizes == [1000, 1000, 1]


def test_a_message_that_is_gone_does_not_keep_the_others_from_their_label(google, gmail):
    google.answers(labels(OURS)).refuses(404, "notFound")
    google.answers(labels(OURS)).answers({"id": "1"}).refuses(404, "notFound").answers({"id": "3"})
    gmail.label(["1", "2", "3"], name="CRM Processed")
    assert paths(google)[3:] == [f"POST /messages/{n}/modify" for n in (1, 2, 3)]
    assert json.loads(google.asked[-1].body) == {"addLabelIds": ["Label_7"]}


def test_a_label_that_somebody_deleted_is_made_again(google, gmail):
    google.answers(labels(OURS)).answers(status=204)
    gmail.label(["1"], name="CRM Processed")
    google.refuses(400, "invalidArgument").answers(labels())
    google.answers(OURS | {"id": "Label_8"}).answers({"id": "2"}).answers(status=204)
    gmail.label(["2"], name="CRM Processed")
    gmail.label(["3"], name="CRM Processed")
    assert json.loads(google.asked[-2].body) == {"addLabelIds": ["Label_8"]}
    assert json.loads(google.asked[-1].body) == {"ids": ["3"], "addLabelIds": ["Label_8"]}


def test_a_label_that_stays_refused_is_an_error(google, gmail):
    google.answers(labels(OURS)).refuses(400, "invalidArgument")
    google.answers(labels(OURS)).refuses(400, "invalidArgument")
    assert failure(gmail.label, ["1"], name="CRM Processed").code == "request-refused"


# --- several threads -----------------------------------------------------------------------------


def test_threads_share_one_gateway_and_get_each_their_own_answer(google, gmail):
    def respond(asked: Asked):
        id_ = asked.path.rpartition("/")[2]
        return answer(raw_answer(f"Subject: {id_}\r\n\r\n".encode(), id=id_))

    google.respond = respond
    wanted = [f"{n:x}" for n in range(200)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(gmail.message, wanted))
    assert [message.id for message in found] == wanted
    assert [message.raw for message in found] == [f"Subject: {n}\r\n\r\n".encode() for n in wanted]
    assert len(google.asked_tokens) == 1
    assert len({asked.client_port for asked in google.asked}) <= 8


def test_a_token_that_ended_early_is_replaced_once_for_all_threads(google, gmail):
    google.answers(raw_answer())
    gmail.message("18c")

    def respond(asked: Asked):
        is_old = bearer_of(asked) == "ya29.1"
        return refusal(401, "authError") if is_old else answer(raw_answer())

    google.respond = respond
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(gmail.message, ["18c"] * 40))
    assert {message.raw for message in found} == {RAW}
    assert len(google.asked_tokens) == 2
