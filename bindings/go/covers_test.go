package fanfare_test

import (
	"errors"
	"testing"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

func TestASubscriptionCoversAnother(t *testing.T) {
	for _, pair := range []struct {
		subscription, other string
		want                bool
	}{
		{"a/#", "a/b/#", true}, {"a/#", "a", true}, {"a", "a", true}, {"a", "a/b", false},
		{"#", "$internal", false}, {"a/+", "a/#", false},
	} {
		covers, err := fanfare.Covers(pair.subscription, pair.other)
		if err != nil || covers != pair.want {
			t.Errorf("%+v: %v, %v", pair, covers, err)
		}
	}
	if _, err := fanfare.Covers("a/#/b", "a"); !errors.Is(err, fanfare.ErrSubscription) {
		t.Error(err)
	}
}
