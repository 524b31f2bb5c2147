import sys
from typing import Any

from django.core.management.base import BaseCommand

from monitor.health import findings


class Command(BaseCommand):
    help = "Says what is wrong and how to mend it, one line each; exits with 1 on a failure."
    # A broken database must not keep the doctor from speaking.
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        is_well = True
        for finding in findings():
            is_well &= finding.is_well
            mark = self.style.SUCCESS("ok  ") if finding.is_well else self.style.ERROR("FAIL")
            remedy = "" if finding.is_well else f". {finding.remedy}"
            self.stdout.write(f"{mark} {finding.subject}: {finding.words.rstrip('.')}{remedy}")
        if not is_well:
            sys.exit(1)
