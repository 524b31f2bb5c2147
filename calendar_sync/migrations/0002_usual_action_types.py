"""The types of to-dos that a new CRM begins with; admins change them under “Action types”."""

from django.db import migrations

#: Whether their to-dos are synced by default: those that take place at a time are.
USUAL = {
    "Call": True,
    "Meeting": True,
    "Visit": True,
    "Email": False,
    "Follow up": False,
    "Task": False,
}


def add_types(apps, schema_editor):
    types = apps.get_model("calendar_sync", "ActionType").objects
    if types.exists():
        return
    for name, sync_by_default in USUAL.items():
        types.create(name=name, sync_by_default=sync_by_default)


class Migration(migrations.Migration):
    dependencies = [("calendar_sync", "0001_initial")]

    operations = [migrations.RunPython(add_types, migrations.RunPython.noop)]
