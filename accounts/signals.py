"""What this app tells the rooms above, which it does not know."""

from django.dispatch import Signal

#: Somebody wants a pass now (authorised, “Sync now”, a changed folder): sent with `mailbox`
#: after the rows say so. A receiver only wakes a worker; the row is the truth.
sync_wanted = Signal()
