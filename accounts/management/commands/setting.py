from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import system_settings


class Command(BaseCommand):
    help = "Lists the system settings, shows one, or sets one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?")
        parser.add_argument("value", nargs="?")

    def handle(self, *args: Any, **options: Any) -> None:
        name, value = options["name"], options["value"]
        settings = system_settings.current()
        try:
            if value is not None:
                settings = system_settings.change(name, value)
            name = name and system_settings.known_name(name)
        except system_settings.BadSetting as error:
            raise CommandError(str(error)) from None
        for each in [name] if name else system_settings.names():
            text = system_settings.write(each, getattr(settings, each))
            self.stdout.write(f"{each} = {text}\n    {system_settings.MEANINGS[each]}")
