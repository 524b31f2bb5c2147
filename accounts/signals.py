"""What this app tells the rooms above, which it does not know."""

from django.dispatch import Signal

#: Somebody wants a pass now (authorised, “Sync now”, a changed folder): sent with `mailbox`
#: after the rows say so. A receiver only wakes a worker; the row is the truth.
sync_wanted = Signal()

#: A user's mailbox is now another one: sent with `mailbox`, in the transaction that says so. What
#: was read of the former one no longer counts.
mailbox_replaced = Signal()

#: The provider says that something happened: sent with `mailbox`, `kind` (“message”, “event”,
#: “event-gone”, “calendar”, “grant”) and `object_id` (“” for a grant). It may be late, repeated,
#: out of order or mislabelled: a receiver asks the provider. Of a series it names the master.
notification_received = Signal()
