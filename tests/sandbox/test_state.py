"""`--state`: after `kill -9` the world is as it was. And how the process starts and ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.sandbox.conftest import LENA, MIA, ROOT, SAM, Receiver, Server


def snapshot(server: Server) -> dict[str, Any]:
    world = server.get("/sandbox/world").json()
    return {
        "world": world,
        "messages": {m: server.truth(m) for m in (MIA, SAM, LENA)},
        "grants": server.get("/v3/grants", limit=200).json()["data"],
        "webhooks": server.get("/v3/webhooks").json()["data"],
        "folders": server.get(f"/v3/grants/{SAM}/folders").json()["data"],
        "calendars": server.get(f"/v3/grants/{SAM}/calendars").json()["data"],
        "events": server.get(
            f"/v3/grants/{SAM}/events",
            calendar_id="primary",
            start=world["anchor"] - 60 * 86_400,
            end=world["anchor"] + 60 * 86_400,
            show_cancelled="true",
            limit=200,
        ).json()["data"],
    }


def test_everything_survives_kill_9(
    start: Callable[..., Server], tmp_path: Path, receiver: Receiver
) -> None:
    file = tmp_path / "state.jsonl"
    shape = ("--seed", "5", "--messages", "120", "--mailboxes", "4", "--history-days", "20")
    first = start("--state", str(file), "--anchor", "2026-02-02T12:00:00+00:00", *shape)
    first.authorise(MIA)
    made = first.deliver(SAM, "Kept – ünïcode", attachments=[{"filename": "a.pdf", "size": 3}])
    first.deliver(MIA, "Reply", headers={"In-Reply-To": made["message_id"], "X-Own": "1"})
    inbox = first.truth(SAM, folder="inbox")
    first.control("move", mailbox=SAM, id=inbox[2]["id"], folder="Harbor")
    first.control("delete", mailbox=SAM, id=inbox[4]["id"], hard=True)
    first.control("expire", mailbox=MIA)
    first.request("POST", f"/v3/grants/{SAM}/folders", json={"name": "New"})
    hook = {"webhook_url": receiver.url, "trigger_types": ["message.created"]}
    first.request("POST", "/v3/webhooks", json=hook)
    event = {"title": "Kept", "when": {"date": "2026-02-03"}, "participants": [{"email": LENA}]}
    path = f"/v3/grants/{SAM}/events?calendar_id=primary"
    first.request("POST", path, json=event)
    headers = {"Authorization": "Bearer sandbox-key", "Idempotency-Key": "kept"}
    body = {"to": [{"email": LENA}], "subject": "Sent once"}
    send = f"/v3/grants/{SAM}/messages/send"
    first.request("POST", send, json=body, headers=headers)
    before = snapshot(first)
    first.kill()
    with file.open("ab") as log:
        log.write(b'{"op":"mail","mailbox":1,"mai')  # killed in the middle of a line

    second = start("--state", str(file))  # another default anchor, seed and size: the file wins
    assert snapshot(second) == before
    again = second.request("POST", send, json=body, headers=headers)
    assert again.headers["idempotent-response"] == "true"
    second.deliver(SAM, "After the restart")
    assert receiver.wait_for(1)
    subjects = [m["subject"] for m in second.truth(SAM)]
    second.kill()
    third = start("--state", str(file))
    assert [m["subject"] for m in third.truth(SAM)] == subjects


def test_the_first_line_tells_of_the_world(start: Callable[..., Server], tmp_path: Path) -> None:
    file = tmp_path / "state.jsonl"
    start("--state", str(file), "--seed", "9")
    line = json.loads(file.read_text().splitlines()[0])
    assert line["op"] == "world"
    assert line["seed"] == 9


def test_it_says_one_line_and_stops_silently() -> None:
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--seed", "4"]
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        banner = process.stdout.readline()
        assert banner.startswith("sandbox: listening on http://127.0.0.1:")
        assert "(API key sandbox-key, 6 mailboxes, 400 messages each, seed 4)" in banner
        url = banner.split()[3]
        kept = requests.Session()
        assert kept.get(f"{url}/healthz", timeout=20).json() == {"status": "ok"}
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert (out, err) == ("", "")


def test_a_hanging_request_does_not_delay_the_end(start: Callable[..., Server]) -> None:
    server = start()
    server.fault("timeout", delay=60)
    with pytest.raises(requests.Timeout):
        requests.get(f"{server.url}/v3/grants", timeout=0.2)
    server.process.terminate()
    assert server.process.wait(20) is not None


def test_the_page_of_switches(start: Callable[..., Server]) -> None:
    server = start()
    page = server.request("GET", "/").text
    assert "A stand-in for the Nylas v3 API" in page
    assert MIA in page
    assert "not authorised" in page

    def press(switch: str, **form: str) -> str:
        answer = server.request("POST", f"/sandbox/page/{switch}", data=form)
        assert answer.status_code == 200
        return answer.text

    assert "Delivered “Über <b>” to" in press(
        "deliver", mailbox=SAM, from_email="j.ruiz@harbor.example", subject="Über <b>"
    ).replace("&lt;b&gt;", "<b>")
    newest = server.truth(SAM)[0]
    assert newest["subject"] == "Über <b>"
    assert "Moved to archive" in press("move", mailbox=SAM, id=newest["message_id"])
    assert "trash" in press("delete", mailbox=SAM, id=newest["message_id"])
    assert "Deleted for good" in press("destroy", mailbox=SAM, id=newest["message_id"])
    assert "Nothing done" in press("move", mailbox=SAM, id="<x@y>")
    assert "is authorised" in press("grant", mailbox=MIA)
    assert "has expired" in press("expire", mailbox=MIA)
    assert "Added the fault 429" in press("fault", kind="429", times="2", seconds="3", path="/x")
    assert server.get("/sandbox/faults").json()["faults"][0]["retry_after"] == 3
    assert "cleared" in press("clear-faults")
