"""Letters to admins about what only they can decide."""

import logging

from django.conf import settings
from django.core.mail import EmailMessage

from accounts.models import Mailbox, User

logger = logging.getLogger(__name__)


def tell_of_brake(mailbox: Mailbox, cause: str) -> None:
    """Ask the admins to look. Call it once for each time that the brake takes hold.

    A letter that cannot be sent is logged and changes nothing: the screens say the same.
    """
    admins = User.objects.filter(role=User.Role.ADMIN, is_active=True).exclude(email="")
    letter = EmailMessage(
        subject="A calendar waits for your decision",
        body=(
            f"The calendar of {mailbox.user.display_name} has been paused.\n\n{cause}\n\n"
            "Nothing has been deleted. Please look whether this is meant, and allow it in the "
            f"Email Integration Monitor: {settings.PUBLIC_URL}\n"
        ),
        bcc=list(admins.values_list("email", flat=True)),
    )
    try:
        letter.send()
    except OSError as error:
        logger.warning("letter about mailbox %s not sent: %s", mailbox.pk, type(error).__name__)
