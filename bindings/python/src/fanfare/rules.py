"""Rules: what is kept of the topics of one name or filter, and the policy of their streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from ._base import Base
from ._convert import (
    POLICIES,
    Memory,
    Policy,
    Text,
    assign,
    choose,
    options,
    problem,
    struct,
    taken,
)
from ._native import ffi, lib
from .errors import check

_POLICY_NAMES = {number: name for name, number in POLICIES.items()}


@dataclass(frozen=True)
class Rule:
    """A rule, and what its topics hold at the moment: those of which no rule is more specific.

    An option that is ``None`` is that of the next rule which matches, or else the hub's.
    """

    subscription: str
    history_events_max: int | None
    history_bytes_max: int | None
    history_age_max_ms: int | None
    finished_age_max_ms: int | None
    policy: Policy | None
    #: Topics that have a subscriber, or events that are kept, or are finished.
    topics: int
    #: Topics that are finished.
    finished_topics: int
    #: Events that are kept.
    kept_events: int
    #: Bytes that they take.
    kept_bytes: int


class Ruling(Base):
    """The rules of a hub. Each method may be called from any thread, several at once."""

    def set_rule(
        self,
        subscription: Text,
        *,
        history_events_max: int | None = None,
        history_bytes_max: int | None = None,
        history_age_max_ms: int | None = None,
        finished_age_max_ms: int | None = None,
        policy: Policy | None = None,
    ) -> None:
        """Sets the rule of a topic, or of all topics that match a filter.

        All options that were set for it before are replaced. The most specific rule that matches a
        topic applies to it. What the rule allows no longer is forgotten before this returns.

        :param history_events_max: The most events of a topic that are kept; 0 keeps none.
            Bounds: any. Default: none.
        :param history_bytes_max: The most bytes of a topic's events that are kept.
            Bounds: any. Default: none.
        :param history_age_max_ms: How long an event is kept.
            Bounds: at most 7 days. Default: none.
        :param finished_age_max_ms: How long a topic that was finished is known.
            Bounds: at most 7 days. Default: none.
        :param policy: What happens to a connection that lags too far, if its client chose nothing.
            Bounds: disconnect, drop-oldest or conflate. Default: none.
        :raises SubscriptionError: It is no topic and no filter.
        :raises OptionsError: An option is out of its bounds, or events are to be kept in a hub
            whose ``history_events_max`` is 0.
        :raises LimitError: The hub has 1,024 other rules.
        """
        made, memory = options("fanfare_topic_options"), Memory()
        assign(made, "history_events_max", history_events_max)
        assign(made, "history_bytes_max", history_bytes_max)
        assign(made, "history_age_max_ms", history_age_max_ms)
        assign(made, "finished_age_max_ms", finished_age_max_ms)
        choose(made, "policy", policy)
        status = lib.fanfare_hub_set_rule(self._native, memory.text(subscription), made)
        if status == lib.FANFARE_ERR_OPTIONS:
            raise problem(made, lib.fanfare_topic_options_problem)
        check(status)

    def remove_rule(self, subscription: Text) -> bool:
        """Removes the rule of a topic or filter, and returns whether there was one.

        :raises SubscriptionError: It is no topic and no filter.
        """
        memory, removed = Memory(), ffi.new("uint32_t *")
        check(lib.fanfare_hub_remove_rule(self._native, memory.text(subscription), removed))
        return bool(removed[0])

    def rules(self) -> list[Rule]:
        """The rules that there are, in no order."""
        out = ffi.new("fanfare_rules **")
        check(lib.fanfare_hub_rules(self._native, out))
        listed = ffi.gc(out[0], lib.fanfare_rules_free)
        rule, rules = struct("fanfare_rule"), []
        for index in range(lib.fanfare_rules_count(listed)):
            check(lib.fanfare_rules_get(listed, index, rule))
            rules.append(
                Rule(
                    subscription=taken(rule.subscription),
                    history_events_max=_unless_unset(rule.history_events_max),
                    history_bytes_max=_unless_unset(rule.history_bytes_max),
                    history_age_max_ms=_unless_unset(rule.history_age_max_ms),
                    finished_age_max_ms=_unless_unset(rule.finished_age_max_ms),
                    policy=cast("Policy | None", _POLICY_NAMES.get(rule.policy)),
                    topics=rule.topics,
                    finished_topics=rule.finished_topics,
                    kept_events=rule.kept_events,
                    kept_bytes=rule.kept_bytes,
                )
            )
        return rules


def _unless_unset(value: int) -> int | None:
    return None if value == lib.FANFARE_UNSET else value
