"""Mail as senders and servers really send it: through real HTTP, the real gateway and database.

Each oddity costs at most its own entry, and never the page.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from crm_sync.providers.nylas import NylasGateway
from email_sync import html
from email_sync.models import Email, LedgerEntry

MIA = "mia@northsound.example"
GOOD = {
    "id": "good", "object": "message", "grant_id": "g", "thread_id": "t-good", "date": 1763553600,
    "subject": "Offer", "from": [{"email": "ana@lumen.example", "name": "Ana"}],
    "to": [{"email": MIA}], "cc": [], "bcc": [], "folders": ["INBOX"],
    "headers": [{"name": "Message-ID", "value": "<good@lumen.example>"}],
    "body": "<p>Good text</p>", "attachments": [],
}  # fmt: skip


class Mailbox(ThreadingHTTPServer):
    """Answers folders, one page of messages, and each message by its id."""

    daemon_threads = True
    messages: list[dict]

    def answer(self, path: str) -> object:
        last = path.rpartition("/")[2]
        if last == "folders":
            names = {"INBOX": "\\Inbox", "SENT": "\\Sent"}
            return {"data": [{"id": i, "name": i, "attributes": [r]} for i, r in names.items()]}
        if last == "messages":
            return {"request_id": "r", "data": self.messages}
        return {"data": next(m for m in self.messages if m.get("id") == last)}


class Handler(BaseHTTPRequestHandler):
    server: Mailbox

    def do_GET(self) -> None:
        body = json.dumps(self.server.answer(urlsplit(self.path).path)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def sync_of(cast):
    """Syncs these messages, each a change of GOOD, beside GOOD itself."""
    server = Mailbox(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    cast.gateway = NylasGateway(api_uri=url, api_key="k", client_id="c")
    cast.mailbox.sync_from = None
    cast.mailbox.save()

    def sync(*changes):
        server.messages = [{**GOOD, **change} for change in changes] + [GOOD]
        report = cast.sync()
        assert report.error is None
        assert report.outcome == "complete"
        assert Email.objects.filter(message_id="<good@lumen.example>").count() == 1
        again = cast.sync()
        assert again.result.matched + again.result.unmatched + again.result.failed == 0
        return Email.objects.exclude(message_id="<good@lumen.example>")

    yield sync
    server.shutdown()
    server.server_close()


def odd(**change):
    return {"id": "odd", "headers": [{"name": "message-id", "value": "<odd@x>"}], **change}


@pytest.mark.parametrize(
    "change",
    [
        {"headers": []},
        {"headers": [{"name": "Message-ID", "value": f"<{n}@x>"} for n in (1, 2)]},
        {"to": [{"email": f"p{n}@other.example"} for n in range(5_000)]},
        {"subject": "x" * 100_000},
        {"subject": "a\0b", "from": [{"email": "ana@lumen.example", "name": "A\0na"}]},
        {"subject": "a\ud800b", "body": "c\udfffd"},
        {"subject": None, "cc": None, "bcc": None, "attachments": None, "thread_id": None},
        {"date": 0},
        {"date": 4_102_444_800},
        {"date": None},
        {"from": [{"email": " ana@lumen.example ", "name": None}]},
        {"from": [{"email": "ＡＮＡ@lumen.example"}]},
        {"to": [{"email": "田中@例え.example", "name": "田中"}]},
        {"to": [{"name": "undisclosed recipients"}]},
        {"body": "<p>" + "x" * 30_000_000 + "</p>"},
        {"body": None},
        {"body": ""},
        {"attachments": [{"id": "1", "filename": None, "content_type": None, "size": None}]},
    ],
    ids=lambda change: "-".join(change),
)  # fmt: skip
def test_an_odd_message_that_can_be_read_is_stored(sync_of, change):
    email = sync_of(odd(**change)).get()
    assert "\0" not in email.subject + email.body_text + email.body_html
    assert len(email.body_text) <= html.MAX_BODY + len(html.CUT_NOTE)
    assert LedgerEntry.objects.count() == 2


@pytest.mark.parametrize(
    "change",
    [
        {"id": "bad", "date": {"not": "a date"}, "from": "nonsense", "headers": 7},
        {"id": "bad", "from": [[["deep"]]]},
        {"id": None},
        {"id": 7.5, "folders": 3},
    ],
)
def test_one_that_cannot_be_read_costs_at_most_its_own_entry(sync_of, change):
    sync_of(change)
    entries = LedgerEntry.objects.exclude(message_id="<good@lumen.example>")
    assert entries.count() <= 1
    assert set(entries.values_list("reason", flat=True)) <= {
        "processing-error", "unknown-address", "matched",
    }  # fmt: skip


ATTACKS = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    '<img src="https://tracker.example/p.gif?u=mia">',
    '<a href="javascript:alert(1)">x</a>',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    "<svg onload=alert(1)><script>1</script></svg>",
    '<div style="background:url(https://tracker.example/x)">x</div>',
    '<div style="background:u\\72l(https://tracker.example/x)">x</div>',
    '<div style="width:expression(alert(1))">x</div>',
    "<p style=\"x:y;@import 'https://tracker.example'\">x</p>",
    "<style>@import url(https://tracker.example)</style>",
    '<link rel=stylesheet href="https://tracker.example">',
    '<meta http-equiv=refresh content="0;url=https://tracker.example">',
    '<form action="https://tracker.example"><input name=a></form>',
    '<iframe src="https://tracker.example"></iframe>',
    '<base href="https://tracker.example">',
    "<math><mtext></p><style><img src=x onerror=alert(1)></style></mtext></math>",
    '<video poster="https://tracker.example/x"></video>',
    '<table background="https://tracker.example/x"><tr><td>x</td></tr></table>',
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_html_that_attacks_is_harmless_when_stored(sync_of, attack):
    email = sync_of(odd(body=f"<p>before</p>{attack}<p>after</p>")).get()
    stored = email.body_html.lower()
    traces = (
        "tracker.example <script onerror= onload javascript: expression <iframe <form <style "
        "<svg <base @import data:text"
    )
    for trace in traces.split():
        assert trace not in stored.replace("&lt;", "")
    assert "before" in email.body_text
    assert "after" in email.body_text


def test_sanitising_twice_changes_nothing():
    for attack in ATTACKS:
        once = html.sanitise(attack)
        assert html.sanitise(once) == once


def test_harmless_looks_are_kept():
    kept = '<p style="color:red">Hi <b>Ana</b></p><img src="data:image/png;base64,AA==">'
    assert html.sanitise(kept) == kept
    assert html.to_text("<p>One</p><p>Two<br>Three &amp; four</p>") == "One\n\nTwo\nThree & four"
