"""Letters to users and admins about what only they can mend."""

import logging

from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse

from accounts.models import Mailbox, User

logger = logging.getLogger(__name__)


def tell_of_rejection(mailbox: Mailbox) -> None:
    """Ask the rep, with a copy to the admins, to authorise again. Call it once per rejection.

    A letter that cannot be sent is logged and changes nothing: the screens say the same.
    """
    link = settings.PUBLIC_URL + reverse("accounts:email-integration")
    admins = User.objects.filter(role=User.Role.ADMIN, is_active=True).exclude(email="")
    letter = EmailMessage(
        subject="Your mailbox needs to be authorised again",
        body=(
            f"Hello {mailbox.user.display_name},\n\n"
            "The CRM can no longer read your mailbox. This happens when a password was changed or "
            "access was withdrawn at the provider. Nothing is lost: once you authorise again, "
            "everything that arrived meanwhile is read.\n\n"
            f"Authorise again here: {link}\n"
        ),
        to=[mailbox.user.email] if mailbox.user.email else [],
        bcc=list(admins.values_list("email", flat=True)),
    )
    try:
        letter.send()
    except OSError as error:
        logger.warning("letter about mailbox %s not sent: %s", mailbox.pk, type(error).__name__)
