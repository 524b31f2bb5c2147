"""The naive way: the SDK's `messages.list`, one `get_or_create` per message.

Nothing is matched, no history is written; the text comes with the listing, as the SDK gives it by
default. Pages are of 200, although the default is 50, to the naive way's advantage.
"""

from datetime import UTC, datetime
from typing import Any

from nylas import Client

from accounts.models import MailboxSync
from benchmarks.scenery import Correspondence
from benchmarks.servers import KEY
from email_sync.models import Email


def run(url: str, correspondence: Correspondence, rep: MailboxSync, *, limit: int) -> int:
    """Read about `limit` messages (whole pages); how many."""
    client = Client(KEY, url)
    seen = 0
    for folder in correspondence.folders:
        query: dict[str, Any] = {"in": folder, "limit": 200}
        while True:
            page = client.messages.list(correspondence.grant.id, query_params=dict(query))
            for message in page.data:
                Email.objects.get_or_create(
                    user=rep.mailbox.user,
                    message_key=message.id[-40:],
                    defaults={
                        "thread_key": (message.thread_id or "")[-40:],
                        "direction": "received",
                        "subject": message.subject or "",
                        "sent_at": datetime.fromtimestamp(message.date or 0, UTC),
                        "body_html": message.body or "",
                    },
                )
            seen += len(page.data)
            if page.next_cursor is None or seen >= limit:
                break
            query["page_token"] = page.next_cursor
        if seen >= limit:
            break
    return seen
