package fanfare

// #include "native.h"
import "C"

import (
	"math"
	"runtime"
	"time"
)

// TopicOptions is what a rule says of its topics. What is nil, or the zero Policy, is that of the next
// rule that matches all of the same topics, or else the hub's.
type TopicOptions struct {
	// HistoryEventsMax is the most events of a topic that are kept for clients that come back; 0 keeps
	// none.
	// Bounds: any. Default: none.
	HistoryEventsMax *uint64
	// HistoryBytesMax is the most bytes of a topic's events that are kept.
	// Bounds: any. Default: none.
	HistoryBytesMax *uint64
	// HistoryAgeMax is how long an event is kept.
	// Bounds: at most 7 days. Default: none.
	HistoryAgeMax *time.Duration
	// FinishedAgeMax is how long a topic that was finished is known.
	// Bounds: at most 7 days. Default: none.
	FinishedAgeMax *time.Duration
	// Policy is what happens to a connection that lags too far, if its client chose no policy and all
	// of its subscriptions have the same one by their rules.
	// Bounds: disconnect, drop-oldest or conflate. Default: none.
	Policy Policy
}

// Rule is a rule, and what its topics hold at the moment: those of which no rule is more specific.
type Rule struct {
	// Subscription is its topic, or the filter that its topics match.
	Subscription string
	// TopicOptions is what it says of them.
	TopicOptions
	// Topics is those that have a subscriber, or events that are kept, or are finished.
	Topics uint64
	// FinishedTopics is those that are finished.
	FinishedTopics uint64
	// KeptEvents is how many events are kept.
	KeptEvents uint64
	// KeptBytes is the bytes that they take.
	KeptBytes uint64
}

// SetRule sets the rule of a topic, or of all topics that match a filter ('+' for one level, '#' at the
// end for all that follow). All options that were set for it before are replaced. The most specific
// rule that matches a topic applies to it. What the rule allows no longer is forgotten before this
// returns.
//
// The error is [ErrSubscription] when it is no topic and no filter; an [OptionError], or [ErrOptions]
// when events are to be kept in a hub that keeps none; [ErrLimit] when the hub has 1,024 other rules; or
// [ErrForked].
func (h *Hub) SetRule(subscription string, options TopicOptions) error {
	var memory memory
	defer memory.release()
	given := C.fanfare_topic_options_defaults()
	set(&given.history_events_max, options.HistoryEventsMax, func(n uint64) uint64 { return n })
	set(&given.history_bytes_max, options.HistoryBytesMax, func(n uint64) uint64 { return n })
	set(&given.history_age_max_ms, options.HistoryAgeMax, wholeMS)
	set(&given.finished_age_max_ms, options.FinishedAgeMax, wholeMS)
	given.policy = C.fanfare_policy(options.Policy)
	err := failure(C.fanfare_hub_set_rule(h.pointer(), memory.text(subscription), &given))
	runtime.KeepAlive(h)
	if err == ErrOptions {
		return optionProblem(ErrOptions, func(name, bounds *C.fanfare_text) C.fanfare_status {
			return C.fanfare_topic_options_problem(&given, name, bounds)
		})
	}
	return err
}

func set[T any](option *C.uint64_t, given *T, as func(T) uint64) {
	if given != nil {
		*option = C.uint64_t(as(*given))
	}
}

// RemoveRule removes the rule of a topic or filter, and tells whether there was one. The error is
// [ErrSubscription] or [ErrForked].
func (h *Hub) RemoveRule(subscription string) (bool, error) {
	var memory memory
	defer memory.release()
	var removed C.uint32_t
	err := failure(C.fanfare_hub_remove_rule(h.pointer(), memory.text(subscription), &removed))
	runtime.KeepAlive(h)
	return removed != 0, err
}

// Covers tells whether a topic or filter stands for all that another one stands for, as listeners decide
// whether a grant of the first allows a stream of the other: "a/#" covers "a", "a/b" and "a/+", and neither
// "#" nor "+/b" covers what begins with "$". The error is [ErrSubscription].
func Covers(subscription, other string) (bool, error) {
	var memory memory
	defer memory.release()
	var covers C.uint32_t
	err := failure(C.fanfare_subscription_covers(memory.text(subscription), memory.text(other), &covers))
	return covers != 0, err
}

// Rules lists the rules that there are, in no order. The error is [ErrForked].
func (h *Hub) Rules() ([]Rule, error) {
	var list *C.fanfare_rules
	err := failure(C.fanfare_hub_rules(h.pointer(), &list))
	runtime.KeepAlive(h)
	if err != nil {
		return nil, err
	}
	defer C.fanfare_rules_free(list)
	count := C.fanfare_rules_count(list)
	rules := make([]Rule, 0, count)
	for i := range count {
		read := C.fanfare_rule_empty()
		if err := failure(C.fanfare_rules_get(list, i, &read)); err != nil {
			return nil, err
		}
		rules = append(rules, Rule{
			Subscription: goText(read.subscription),
			TopicOptions: TopicOptions{
				HistoryEventsMax: unlessUnset(read.history_events_max, func(n uint64) uint64 { return n }),
				HistoryBytesMax:  unlessUnset(read.history_bytes_max, func(n uint64) uint64 { return n }),
				HistoryAgeMax:    unlessUnset(read.history_age_max_ms, fromMS),
				FinishedAgeMax:   unlessUnset(read.finished_age_max_ms, fromMS),
				Policy:           Policy(read.policy),
			},
			Topics:         uint64(read.topics),
			FinishedTopics: uint64(read.finished_topics),
			KeptEvents:     uint64(read.kept_events),
			KeptBytes:      uint64(read.kept_bytes),
		})
	}
	return rules, nil
}

func unlessUnset[T any](value C.uint64_t, as func(uint64) T) *T {
	if value == math.MaxUint64 {
		return nil
	}
	made := as(uint64(value))
	return &made
}

func fromMS(ms uint64) time.Duration { return time.Duration(ms) * time.Millisecond }
