"""Letters to admins about what only they can mend in the intake."""

import logging

from django.core.mail import EmailMessage

from accounts.models import User
from email_sync.models import IntakeConnection

logger = logging.getLogger(__name__)


def tell_of_rejection(connection: IntakeConnection) -> None:
    """Ask the admins to authorise the connection again. Call it once per rejection.

    A letter that cannot be sent is logged and changes nothing: the screens say the same.
    """
    admins = User.objects.filter(role=User.Role.ADMIN, is_active=True).exclude(email="")
    letter = EmailMessage(
        subject="The BCC/FWD mailbox needs to be authorised again",
        body=(
            "Hello,\n\n"
            f"Google no longer accepts the CRM's access to the connection “{connection.name}”. "
            "Mail that reps BCC or forward to it is not logged for now. Nothing is lost: once you "
            "authorise the connection again, everything that arrived meanwhile is read.\n\n"
            "System Settings → Integration → OAuth connections → Authorize\n"
        ),
        bcc=list(admins.values_list("email", flat=True)),
    )
    try:
        letter.send()
    except OSError as error:
        logger.warning(
            "letter about intake connection %s not sent: %s", connection.pk, type(error).__name__
        )
