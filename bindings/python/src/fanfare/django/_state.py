"""The hub or the publisher that the settings describe."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ..hub import Hub
from ..process import PerProcess
from ..publisher import Publisher

_NAMES = ("HUB", "PUBLISH_TO", "TIMEOUT", "TOKEN")


class State:
    """What the settings say. Making it makes no hub and no connection."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        unknown = sorted(set(settings) - set(_NAMES))
        if unknown:
            raise _misconfigured(f"{unknown[0]} is not known; there are {', '.join(_NAMES)}")
        options = dict(settings.get("HUB", {}))
        place = settings.get("PUBLISH_TO")
        if place is not None and options:
            raise _misconfigured("HUB is for the process of PUBLISH_TO to say; leave out one")
        try:
            self._publisher = None if place is None else _publisher(place, settings)
        except (TypeError, ValueError) as why:
            raise _misconfigured(f"PUBLISH_TO, TIMEOUT or TOKEN: {why}") from None
        self._hub = PerProcess(lambda: Hub(**options))

    def own(self) -> PerProcess:
        if self._publisher is not None:
            raise _misconfigured(
                "with PUBLISH_TO there is no hub in this process, and clients get their streams "
                "from the process which it names; send them there, or leave it out"
            )
        return self._hub

    def target(self) -> Hub | Publisher:
        return self._hub.get() if self._publisher is None else self._publisher

    def publisher(self) -> Publisher:
        if self._publisher is None:
            raise _misconfigured("there is no PUBLISH_TO; use fanfare.django.hub()")
        return self._publisher

    def close(self) -> None:
        self._hub.close()
        if self._publisher is not None:
            self._publisher.close()


def hub() -> Hub:
    """The hub of this process, which the first use makes.

    :raises ImproperlyConfigured: There is ``PUBLISH_TO``.
    """
    return state().own().get()


def publisher() -> Publisher:
    """The publisher to the process of ``PUBLISH_TO``.

    :raises ImproperlyConfigured: There is no ``PUBLISH_TO``.
    """
    return state().publisher()


def state() -> State:
    """What the settings say, read once."""
    global _state
    made = _state
    if made is not None:  # without the lock, which a fork could find taken
        return made
    with _lock:
        if _state is None:
            from django.conf import settings

            _state = State(getattr(settings, "FANFARE", {}))
        return _state


def forget() -> None:
    """Closes what there is, so that settings which have changed are read anew."""
    global _state
    with _lock:
        had, _state = _state, None
    if had is not None:
        had.close()


def _publisher(place: str, settings: Mapping[str, Any]) -> Publisher:
    return Publisher(place, token=settings.get("TOKEN"), timeout=settings.get("TIMEOUT", 5.0))


def _misconfigured(problem: str) -> Exception:
    from django.core.exceptions import ImproperlyConfigured

    raised: Exception = ImproperlyConfigured(f"FANFARE: {problem}.")
    return raised


_state: State | None = None
_lock = threading.Lock()
