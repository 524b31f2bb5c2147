"""The floor: what no logic could be faster than, over the same pages from the same server.

It lists the same folders, fetches the texts of the same messages with as many threads, and decodes
both with the product's own decoder. Then, in one transaction per page, one bulk insert per table
stores ledger, emails, participants and links into plain tables: the same columns, a primary key,
no other index, no foreign key. There is no lease and no cursor; nobody looks up what is known or
who is a contact; nothing is normalised, sanitised or turned into text; a trace is `{}`. Which
messages have a text to fetch is told beforehand.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, models, transaction

from benchmarks.scenery import LONG_AGO, Correspondence
from crm_sync.providers.nylas import NylasGateway
from crm_sync.providers.types import Message, MessageHeaders, MessagePage
from email_sync.models import Email, EmailContact, EmailParticipant, LedgerEntry, Source
from email_sync.reading import PARALLEL_BODIES


def plain(model: type[models.Model]) -> Any:
    """A model with the columns of another one and nothing else of it."""
    fields: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        if field.is_relation:
            fields[field.attname] = models.BigIntegerField(null=True)
        elif not field.primary_key:
            _, _, positional, options = field.deconstruct()
            options.pop("db_index", None)
            options.pop("unique", None)
            fields[field.name] = type(field)(*positional, **options)
    name = f"Plain{model.__name__}"
    meta = type("Meta", (), {"app_label": "benchmarks", "db_table": f"bench_{name.lower()}"})
    return type(name, (models.Model,), {"__module__": __name__, "Meta": meta, **fields})


PlainEmail = plain(Email)
PlainParticipant = plain(EmailParticipant)
PlainLink = plain(EmailContact)
PlainEntry = plain(LedgerEntry)


def make_tables() -> None:
    with connection.schema_editor() as editor:
        for model in (PlainEmail, PlainParticipant, PlainLink, PlainEntry):
            editor.create_model(model)


def run(gateway: NylasGateway, correspondence: Correspondence) -> int:
    """Read the mailbox once; how many messages were listed."""
    grant = correspondence.grant.id
    listed = 0
    with ThreadPoolExecutor(max_workers=PARALLEL_BODIES) as pool:
        for folder in correspondence.folders:
            token: str | None = None
            while True:
                page = gateway.message_page(
                    grant, folder_id=folder, received_after=_start(), page_token=token
                )
                wanted = [m.id for m in page.messages if m.id in correspondence.matching]
                texts = list(pool.map(lambda wanted_id: gateway.message(grant, wanted_id), wanted))
                _store(page, texts, folder)
                listed += len(page.messages)
                token = page.next_page
                if token is None:
                    break
    return listed


def _start() -> datetime:
    # Exactly what the product asks for: the same question, the same answer.
    return LONG_AGO - timedelta(seconds=1)


def _store(page: MessagePage, texts: list[Message], folder: str) -> None:
    with transaction.atomic():
        emails = PlainEmail.objects.bulk_create([_email(text) for text in texts])
        PlainParticipant.objects.bulk_create(
            [
                PlainParticipant(email_id=email.pk, role=role, address=a.address, name=a.name)
                for email, text in zip(emails, texts, strict=True)
                for role, people in _people(text.headers)
                for a in people
            ]
        )
        PlainLink.objects.bulk_create(
            [PlainLink(email_id=email.pk, contact_id=email.pk) for email in emails]
        )
        PlainEntry.objects.bulk_create([_entry(message, folder) for message in page.messages])


def _people(headers: MessageHeaders) -> list[tuple[str, Any]]:
    return [
        ("from", headers.from_),
        ("to", headers.to),
        ("cc", headers.cc),
        ("bcc", headers.bcc),
    ]


def _email(message: Message) -> Any:
    headers = message.headers
    return PlainEmail(
        user_id=1,
        message_key=headers.id[-40:],
        message_id=headers.message_id,
        thread_key=headers.thread_id[-40:],
        provider_thread_id=headers.thread_id,
        direction="received",
        subject=headers.subject,
        sent_at=headers.received_at,
        body_text=message.body,
        body_html=message.body if message.is_html else "",
        attachments=[{"name": a.name, "size": a.size} for a in message.attachments],
    )


def _entry(headers: MessageHeaders, folder: str) -> Any:
    return PlainEntry(
        user_id=1,
        mailbox_id=1,
        source=Source.NYLAS,
        message_key=headers.id[-40:],
        message_id=headers.message_id,
        provider_id=headers.id,
        folder=folder,
        direction="received",
        outcome="unmatched",
        reason="unknown-address",
        subject=headers.subject,
        sent_at=headers.received_at,
        processed_at=headers.received_at,
        from_address=headers.from_[0].address if headers.from_ else "",
        to=[a.address for a in headers.to],
        cc=[a.address for a in headers.cc],
    )
