from accounts.management.commands._importing import ImportCommand
from calendar_sync.importing import import_actions


class Command(ImportCommand):
    help = (
        "Imports action items from a CSV file; a row with a key that is known updates that item. "
        "Unknown types are created."
    )
    read = staticmethod(import_actions)
