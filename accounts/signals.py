"""What this app tells the rooms above, which it does not know."""

from django.dispatch import Signal

#: Somebody wants a pass now (authorised, “Sync now”, a changed folder): sent with `mailbox`
#: after the rows say so. A receiver only wakes a worker; the row is the truth.
sync_wanted = Signal()

#: The provider says that something happened: sent with `mailbox`, `kind` (“message”, “grant”) and
#: `object_id`. It may be late, repeated, out of order or mislabelled: a receiver asks the provider.
notification_received = Signal()
