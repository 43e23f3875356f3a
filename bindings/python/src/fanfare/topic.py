"""Handles of topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._convert import Text
from ._native import lib
from ._now import publish_now
from .event import UNSET, NativeTopic, data_of

if TYPE_CHECKING:
    from .publishing import Publishing

_publish_to = lib.fanfare_hub_publish_to


class Topic(NativeTopic):
    """A topic of a hub: :meth:`fanfare.Hub.topic` makes it. It is safe to use from any thread.

    Its methods are those of the hub, whose documentation has their parameters and errors. It may
    also be given wherever a hub takes a topic to publish to.
    """

    __slots__ = ("_hub",)

    def __init__(self, hub: Publishing, name: Text) -> None:
        super().__init__(name)
        self._hub = hub

    def __repr__(self) -> str:
        return f"<fanfare.Topic {self.name!r}>"

    def publish(
        self,
        data: Text | None = None,
        *,
        json: object = UNSET,
        name: Text | None = None,
        id: Text | None = None,  # noqa: A002 (the standard's word)
        key: Text | None = None,
        retry_ms: int | None = None,
        comment: Text | None = None,
        window_ms: int | None = None,
        timeout: float | None = 0,
    ) -> str:
        """Publishes as :meth:`fanfare.Hub.publish` does."""
        if timeout == 0:
            if json is not UNSET:
                data = data_of(data, json)
            return publish_now(
                _publish_to,
                self._hub._native,
                self._native,
                data,
                name,
                id,
                key,
                retry_ms,
                comment,
                window_ms,
            )
        return self._hub.publish(
            self,
            data,
            json=json,
            name=name,
            id=id,
            key=key,
            retry_ms=retry_ms,
            comment=comment,
            window_ms=window_ms,
            timeout=timeout,
        )

    async def publish_async(
        self,
        data: Text | None = None,
        *,
        json: object = UNSET,
        name: Text | None = None,
        id: Text | None = None,  # noqa: A002 (the standard's word)
        key: Text | None = None,
        retry_ms: int | None = None,
        comment: Text | None = None,
        window_ms: int | None = None,
        timeout: float | None = None,
    ) -> str:
        """Publishes as :meth:`fanfare.Hub.publish_async` does."""
        return await self._hub.publish_async(
            self,
            data,
            json=json,
            name=name,
            id=id,
            key=key,
            retry_ms=retry_ms,
            comment=comment,
            window_ms=window_ms,
            timeout=timeout,
        )

    def finish(
        self,
        data: Text | None = None,
        *,
        json: object = UNSET,
        name: Text | None = None,
        id: Text | None = None,  # noqa: A002 (the standard's word)
        timeout: float | None = 0,
    ) -> str:
        """Finishes the topic as :meth:`fanfare.Hub.finish` does."""
        return self._hub.finish(self, data, json=json, name=name, id=id, timeout=timeout)

    async def finish_async(
        self,
        data: Text | None = None,
        *,
        json: object = UNSET,
        name: Text | None = None,
        id: Text | None = None,  # noqa: A002 (the standard's word)
        timeout: float | None = None,
    ) -> str:
        """Finishes the topic as :meth:`fanfare.Hub.finish_async` does."""
        return await self._hub.finish_async(
            self, data, json=json, name=name, id=id, timeout=timeout
        )
