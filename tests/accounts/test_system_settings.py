"""The system settings and the command that shows and sets them."""

import pytest
from django.core.management import CommandError, call_command

from accounts import system_settings
from accounts.models import AuditEntry, SystemSetting
from accounts.system_settings import BadSetting, change, current, parse

pytestmark = pytest.mark.django_db


def test_defaults_stand_until_somebody_changes_them():
    settings = current()
    assert (settings.interval, settings.processing, settings.backfill_days) == (5, True, 30)
    assert change("interval", " 10 ").interval == 10
    assert change("processing", "off").processing is False


def test_every_setting_has_a_meaning_and_every_number_its_limits():
    assert set(system_settings.names()) == set(system_settings.MEANINGS)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("interval", "0", "from 1 to 1440"),
        ("interval", "five", "whole number"),
        ("processing", "maybe", "“on” or “off”"),
        ("company_domains", "nodots", "domains"),
        ("speed", "1", "There is no setting"),
    ],
)
def test_a_bad_value_is_refused_with_the_allowed_ones(name, value, word):
    with pytest.raises(BadSetting, match=word):
        change(name, value)
    assert not SystemSetting.objects.exists()


def test_domains_are_normalised():
    assert parse("company_domains", " NorthSound.example; @b.example ;b.example") == (
        "northsound.example",
        "b.example",
    )


def test_a_stored_value_that_is_no_longer_allowed_is_the_default():
    SystemSetting.objects.create(name="interval", value="-3")
    SystemSetting.objects.create(name="gone", value="x")
    assert current().interval == 5


def test_the_command_lists_shows_and_sets(capsys):
    call_command("setting")
    assert "retention_days = 365" in capsys.readouterr().out
    call_command("setting", "interval", "15")
    call_command("setting", "interval")
    assert capsys.readouterr().out.count("interval = 15") == 2
    with pytest.raises(CommandError, match="from 1 to 1440"):
        call_command("setting", "interval", "0")


def test_a_change_is_in_the_audit_list_and_an_unchanged_value_is_not():
    system_settings.change("interval", "10")
    system_settings.change("interval", "10")
    entry = AuditEntry.objects.get()
    assert entry.about == "interval: 10 (before: 5)"
    assert entry.actor_name == "command line"
