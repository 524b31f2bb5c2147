from accounts.importing import import_users
from accounts.management.commands._importing import ImportCommand


class Command(ImportCommand):
    help = "Imports users, their managers and aliases from a CSV file."
    read = staticmethod(import_users)
