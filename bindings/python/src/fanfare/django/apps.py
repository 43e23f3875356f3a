"""The application that ``INSTALLED_APPS`` names."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.signals import setting_changed

from ._state import forget, state


class FanfareConfig(AppConfig):  # type: ignore[misc] # (Django has no types)
    """Reads the settings when Django starts, so that what is wrong with them is told then.

    The hub is made later, by its first use in a process: a server forks in between.
    """

    name = "fanfare.django"
    label = "fanfare"
    verbose_name = "fanfare"

    def ready(self) -> None:
        state()
        setting_changed.connect(_changed, dispatch_uid="fanfare")


def _changed(*, setting: str, **_more: object) -> None:
    """A test overrides the settings."""
    if setting == "FANFARE":
        forget()
