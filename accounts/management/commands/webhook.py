import sys
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Sum
from django.urls import reverse
from django.utils import timezone

from accounts.gateway import Gateway, nylas
from accounts.models import WebhookCounter, WebhookNotification, WebhookRegistration
from accounts.webhooks import Verdict
from crm_sync.providers.errors import ProviderError
from crm_sync.providers.types import Webhook

_UNHEALTHY = {
    "failing": (
        "Nylas got errors from this address for a quarter of an hour. Check that it is reachable "
        "and that the counters below show no refusals."
    ),
    "failed": (
        "Nylas gave up on this address after three days of errors and sends nothing. Mend the "
        "address, then run: manage.py webhook register. Polling has read what was missed."
    ),
    "pause": "Somebody paused it at Nylas. Run: manage.py webhook register",
}


class Command(BaseCommand):
    help = "Registers our webhook at Nylas, gives it a new secret, or says how it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        actions.add_parser("register", help="makes the webhook, or mends the one there is")
        actions.add_parser("rotate", help="gives it a new secret; the former works one more hour")
        actions.add_parser("status", help="says how it is; exits with 1 if something is wrong")

    def handle(self, *args: Any, **options: Any) -> None:
        self.url = settings.PUBLIC_URL + reverse("nylas-webhook")
        action = {"register": self._register, "rotate": self._rotate, "status": self._status}
        try:
            action[options["action"]](nylas())
        except ProviderError as error:
            raise CommandError(str(error)) from None

    # --- register and rotate ---------------------------------------------------------------------

    def _register(self, gateway: Gateway) -> None:
        webhook = self._ours(gateway)
        if webhook is None:
            webhook, secret = gateway.create_webhook(self.url)
            WebhookRegistration.objects.adopt(webhook.id, secret, now=timezone.now())
            self.stdout.write(f"{webhook.id}: registered for {self.url}")
            return
        if webhook.status == "active" and webhook.is_complete:
            self.stdout.write(f"{webhook.id}: registered already for {self.url}")
        else:
            webhook = gateway.mend_webhook(webhook.id)
            self.stdout.write(f"{webhook.id}: mended, now {webhook.status}, for {self.url}")
        if _has_secret(webhook):
            return
        if settings.NYLAS_WEBHOOK_SECRET:
            self.stdout.write("Its secret is taken to be that of NYLAS_WEBHOOK_SECRET.")
            return
        # Nylas tells a secret only when it makes one.
        self._renew_secret(gateway, webhook)

    def _rotate(self, gateway: Gateway) -> None:
        webhook = self._ours(gateway)
        if webhook is None:
            raise CommandError(
                f"Nylas has no webhook for {self.url}. Run: manage.py webhook register"
            )
        self._renew_secret(gateway, webhook)
        if settings.NYLAS_WEBHOOK_SECRET:
            self.stdout.write("Take NYLAS_WEBHOOK_SECRET out of the environment if it was its own.")

    def _renew_secret(self, gateway: Gateway, webhook: Webhook) -> None:
        secret = gateway.rotate_webhook_secret(webhook.id)
        WebhookRegistration.objects.adopt(webhook.id, secret, now=timezone.now())
        self.stdout.write(
            f"{webhook.id}: a new secret is stored; the former is accepted for another hour"
        )

    def _ours(self, gateway: Gateway) -> Webhook | None:
        """The webhook for our address; of several the one whose secret we have.

        Secrets of webhooks that Nylas no longer has are retired.
        """
        listed = gateway.webhooks()
        current = WebhookRegistration.objects.current()
        gone = current.exclude(nylas_id__in=[webhook.id for webhook in listed])
        gone.update(retired_at=timezone.now())
        ours = [webhook for webhook in listed if webhook.url == self.url]
        return next(filter(_has_secret, ours), ours[0] if ours else None)

    # --- status ----------------------------------------------------------------------------------

    def _status(self, gateway: Gateway) -> None:
        ours = [webhook for webhook in gateway.webhooks() if webhook.url == self.url]
        today, week = _counts(days=1), _counts(days=7)
        problems = list(_problems(ours, today))
        for webhook in ours:
            self.stdout.write(f"{webhook.id}: {webhook.status}, for {self.url}")
        last = WebhookNotification.objects.first()
        heard = f"{last.type} at {last.received_at:%Y-%m-%d %H:%M} UTC" if last else "none so far"
        self.stdout.write(f"last notification: {heard}")
        self.stdout.write(f"today: {_in_words(today)}")
        self.stdout.write(f"seven days: {_in_words(week)}")
        for problem in problems:
            self.stdout.write(self.style.ERROR("FAIL") + f" {problem}")
        if problems:
            self.stdout.write("Polling goes on without webhooks: nothing is lost, only later.")
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS("ok"))


def _has_secret(webhook: Webhook) -> bool:
    return WebhookRegistration.objects.current().filter(nylas_id=webhook.id).exists()


def _problems(ours: list[Webhook], today: dict[str, int]) -> list[str]:
    if not ours:
        return ["Nylas has no webhook for our address. Run: manage.py webhook register"]
    problems = [_UNHEALTHY[webhook.status] for webhook in ours if webhook.status in _UNHEALTHY]
    if len(ours) > 1:
        problems.append("Nylas has several webhooks for our address. Delete all but one there.")
    if not all(webhook.is_complete for webhook in ours):
        problems.append("It does not listen to all we use. Run: manage.py webhook register")
    if not settings.NYLAS_WEBHOOK_SECRET and not any(map(_has_secret, ours)):
        problems.append(
            "Its secret is not known here, so every notification is refused. "
            "Run: manage.py webhook rotate"
        )
    elif today.get(Verdict.BAD_SIGNATURE) and not today.get(Verdict.ACCEPTED):
        problems.append(
            "All of today's requests were refused for their signature. If they are Nylas's, the "
            "secret is another one. Run: manage.py webhook rotate"
        )
    return problems


def _counts(*, days: int) -> dict[str, int]:
    since = timezone.now().date() - timedelta(days=days - 1)
    rows = WebhookCounter.objects.filter(day__gte=since).order_by("name").values("name")
    return {row["name"]: row["total"] for row in rows.annotate(total=Sum("count"))}


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing received"
