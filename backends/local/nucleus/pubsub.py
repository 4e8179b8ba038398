"""Publish and subscribe between the components of one device."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backends.local.topics import has_wildcard, matches

Receive = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class _Subscription:
    component: str
    filter: str
    from_others_only: bool
    receive: Receive


class LocalBus:
    """Delivers to every matching subscription, in the order of publishing."""

    def __init__(self) -> None:
        self._subscriptions: list[_Subscription] = []

    def subscribe(
        self, component: str, topic_filter: str, mode: str | None, receive: Receive
    ) -> Callable[[], None]:
        """`mode` None: everything for a plain topic, others' messages for one with wildcards."""
        if mode is None:
            others_only = has_wildcard(topic_filter)
        else:
            others_only = mode == "RECEIVE_MESSAGES_FROM_OTHERS"
        subscription = _Subscription(component, topic_filter, others_only, receive)
        self._subscriptions.append(subscription)

        def end() -> None:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

        return end

    def publish(self, component: str, topic: str, message: dict[str, Any]) -> None:
        for subscription in list(self._subscriptions):
            if subscription.from_others_only and subscription.component == component:
                continue
            if matches(subscription.filter, topic):
                subscription.receive(topic, message)
