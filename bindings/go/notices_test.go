package fanfare_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

// pullNotices takes notices one by one.
func pullNotices(t *testing.T, notices iter.Seq2[fanfare.Notice, error]) func(fanfare.NoticeKind) fanfare.Notice {
	next, stop := iter.Pull2(notices)
	t.Cleanup(stop)
	return func(kind fanfare.NoticeKind) fanfare.Notice {
		t.Helper()
		notice, err, ok := next()
		if err != nil || !ok || notice.Kind != kind || time.Since(notice.At) > time.Minute {
			t.Fatalf("the notice is %+v, %v, %v, not of the kind %v", notice, err, ok, kind)
		}
		return notice
	}
}

func TestNoticesTellOfConnectionsAndInterest(t *testing.T) {
	hub, port := start(t, nil)
	next := pullNotices(t, hub.Notices(withDeadline(t), nil))
	interest := pullNotices(t, hub.Notices(withDeadline(t), &fanfare.NoticesOptions{
		NoConnections: true, Interest: []string{"a", "b/#"}}))
	client := subscribe(t, port, "a")
	connected := next(fanfare.NoticeConnected)
	if !slices.Equal(connected.Subscriptions, []string{"a"}) || !strings.HasPrefix(connected.Addr, "127.0.0.1:") ||
		connected.ConnectionID == 0 || connected.Lost != 0 {
		t.Errorf("connected is %+v", connected)
	}
	if wanted := interest(fanfare.NoticeWanted); !slices.Equal(wanted.Subscriptions, []string{"a"}) {
		t.Errorf("wanted is %+v", wanted)
	}
	publish(t, hub, "a", fanfare.Event{Data: "x"})
	client.expect("message", "x")
	if err := hub.Disconnect(connected.ConnectionID, 0); err != nil {
		t.Fatal(err)
	}
	gone := next(fanfare.NoticeDisconnected)
	if gone.ConnectionID != connected.ConnectionID || gone.Reason != fanfare.DisconnectKicked || gone.Events != 1 || gone.Bytes == 0 {
		t.Errorf("disconnected is %+v", gone)
	}
	interest(fanfare.NoticeUnwanted)
	if err := hub.Disconnect(connected.ConnectionID, 0); !errors.Is(err, fanfare.ErrStale) {
		t.Errorf("disconnect once more: %v", err)
	}
}

func TestNoticesEndWithTheHubTheContextTheLoopAndAnotherCall(t *testing.T) {
	hub, port := start(t, nil)
	ended := make(chan int)
	iterate := func(ctx context.Context, hub *fanfare.Hub) {
		count := 0
		for _, err := range hub.Notices(ctx, nil) {
			if err != nil {
				t.Error(err)
			}
			count++
		}
		ended <- count
	}
	go iterate(withDeadline(t), hub)
	subscribeUntilTold := func() { subscribe(t, port, "a"); untilConnections(t, hub, 1) }
	subscribeUntilTold()
	hub.Notices(context.Background(), nil) // it takes the connections' notices
	<-ended

	ctx, cancel := context.WithCancel(context.Background())
	go iterate(ctx, hub)
	cancel()
	<-ended

	other, otherPort := start(t, nil)
	next, stop := iter.Pull2(other.Notices(withDeadline(t), nil))
	defer stop()
	subscribe(t, otherPort, "a")
	untilConnections(t, other, 1)
	other.Close()
	for _, kind := range []fanfare.NoticeKind{fanfare.NoticeConnected, fanfare.NoticeDisconnected} {
		if notice, err, ok := next(); err != nil || !ok || notice.Kind != kind {
			t.Errorf("the notice is %+v, %v, %v", notice, err, ok)
		}
	}
	if notice, err, ok := next(); ok {
		t.Errorf("after the end comes %+v, %v", notice, err)
	}
	for _, err := range other.Notices(context.Background(), nil) {
		if !errors.Is(err, fanfare.ErrClosed) {
			t.Errorf("the notices of a closed hub: %v", err)
		}
	}
	for options, want := range map[*fanfare.NoticesOptions]error{
		{Capacity: -1}: fanfare.ErrArgument, {Grace: 2 * time.Hour}: fanfare.ErrArgument,
		{Interest: []string{"a#"}}: fanfare.ErrSubscription,
	} {
		for _, err := range hub.Notices(context.Background(), options) {
			if !errors.Is(err, want) {
				t.Errorf("%+v: %v", options, err)
			}
		}
	}
	for notice, err := range hub.Notices(withDeadline(t), &fanfare.NoticesOptions{Interest: []string{"a"}}) {
		if err != nil || notice.Kind != fanfare.NoticeWanted {
			t.Errorf("%+v, %v", notice, err)
		}
		break
	}
	runtime.GC()
}

func TestConnectionsAreListedCountedChangedAndEnded(t *testing.T) {
	hub, port := start(t, nil)
	first, second := subscribe(t, port, "a"), subscribe(t, port, "b")
	untilConnections(t, hub, 2)
	connections, err := hub.Connections(fanfare.ConnectionFilter{Subscription: "a"})
	if err != nil || len(connections) != 1 {
		t.Fatal(connections, err)
	}
	for _, filter := range []fanfare.ConnectionFilter{{Limit: -1}, {Limit: -1, Subscription: "a"}} {
		if none, err := hub.Connections(filter); err != nil || none != nil {
			t.Errorf("%+v lists %+v, %v", filter, none, err)
		}
	}
	connection := connections[0]
	if connection.State != fanfare.ConnectionLive || connection.Policy != fanfare.PolicyDisconnect ||
		time.Since(connection.Since) > time.Minute || connection.LagEvents != 0 {
		t.Errorf("the connection is %+v", connection)
	}
	if err := hub.SetSubscriptions(connection.ID, []string{"b", "c"}); err != nil {
		t.Fatal(err)
	}
	publish(t, hub, "c", fanfare.Event{Data: "of the new topic"})
	first.expect("message", "of the new topic")
	if count, err := hub.Subscribers("b"); err != nil || count != 2 {
		t.Errorf("%d subscribers, %v", count, err)
	}
	counts, err := hub.SubscriptionCounts(1)
	if err != nil || len(counts) != 1 || counts[0] != (fanfare.SubscriptionCount{Subscription: "b", Subscribers: 2}) {
		t.Errorf("the counts are %+v, %v", counts, err)
	}
	if count, err := hub.DisconnectSubscription("c", time.Second); err != nil || count != 1 {
		t.Errorf("%d were ended, %v", count, err)
	}
	first.expectEnd()
	if first.retry == "" {
		t.Error("it was not told when to come back")
	}
	if count, err := hub.DisconnectTag("none", 0); err != nil || count != 0 {
		t.Errorf("%d were ended, %v", count, err)
	}
	if count, err := hub.DisconnectAll(0); err != nil || count != 1 {
		t.Errorf("%d were ended, %v", count, err)
	}
	second.expectEnd()
	for _, want := range []struct{ got, want error }{
		{second1(hub.Connection(connection.ID)), fanfare.ErrStale},
		{hub.SetSubscriptions(connection.ID, []string{"a"}), fanfare.ErrStale},
		{hub.SetSubscriptions(connection.ID, nil), fanfare.ErrSubscription},
		{second1(hub.Subscribers("#")), fanfare.ErrTopic},
		{second1(hub.DisconnectTag("", 0)), fanfare.ErrArgument},
		{second1(hub.DisconnectSubscription("a#", 0)), fanfare.ErrSubscription},
		{second1(hub.Connections(fanfare.ConnectionFilter{Limit: 1_000_001})), fanfare.ErrOptions},
		{second1(hub.Connections(fanfare.ConnectionFilter{Subscription: "a#", Limit: -1})), fanfare.ErrSubscription},
		{second1(hub.Connections(fanfare.ConnectionFilter{Tag: "\xff"})), fanfare.ErrUTF8},
	} {
		if !errors.Is(want.got, want.want) {
			t.Errorf("%v, not %v", want.got, want.want)
		}
	}
}

func second1[T any](_ T, err error) error { return err }

func TestRulesAreSetListedAndRemoved(t *testing.T) {
	hub, _ := start(t, nil)
	one, day := uint64(1), 24*time.Hour
	if err := hub.SetRule("a/#", fanfare.TopicOptions{
		HistoryEventsMax: &one, HistoryAgeMax: &day, Policy: fanfare.PolicyConflate}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		publish(t, hub, "a/b", fanfare.Event{})
	}
	rules, err := hub.Rules()
	if err != nil || len(rules) != 1 {
		t.Fatal(rules, err)
	}
	rule := rules[0]
	if rule.Subscription != "a/#" || *rule.HistoryEventsMax != 1 || *rule.HistoryAgeMax != day || rule.HistoryBytesMax != nil ||
		rule.FinishedAgeMax != nil || rule.Policy != fanfare.PolicyConflate || rule.Topics != 1 || rule.KeptEvents != 1 ||
		rule.KeptBytes == 0 || rule.FinishedTopics != 0 {
		t.Errorf("the rule is %+v", rule)
	}
	for _, want := range []bool{true, false} {
		if removed, err := hub.RemoveRule("a/#"); err != nil || removed != want {
			t.Errorf("removed: %t, %v", removed, err)
		}
	}
	month := 31 * day
	var option *fanfare.OptionError
	if err := hub.SetRule("a", fanfare.TopicOptions{HistoryAgeMax: &month}); !errors.As(err, &option) || option.Option != "HistoryAgeMax" {
		t.Errorf("an option out of bounds: %v", err)
	}
	if err := hub.SetRule("a#", fanfare.TopicOptions{}); !errors.Is(err, fanfare.ErrSubscription) {
		t.Errorf("no filter: %v", err)
	}
}

func TestTheHubCounts(t *testing.T) {
	hub, port := start(t, nil)
	client := subscribe(t, port, "a")
	publish(t, hub, "a", fanfare.Event{Data: "x"})
	client.expect("message", "x")
	client.body.Close()
	untilConnections(t, hub, 0)
	metrics, err := hub.Metrics()
	if err != nil || metrics.PublishedEvents != 1 || metrics.DeliveredEvents != 1 || metrics.AcceptedConnections != 1 ||
		metrics.Disconnects[fanfare.DisconnectClientClosed] != 1 || len(metrics.Disconnects) != 1 || len(metrics.GapEvents) != 0 {
		t.Errorf("the metrics are %+v, %v", metrics, err)
	}
	latencies := uint64(0)
	for _, bucket := range metrics.Latencies {
		latencies += bucket.Count
	}
	if last := metrics.Latencies[len(metrics.Latencies)-1]; latencies != 1 || last.Most >= 0 || metrics.LatencySum <= 0 {
		t.Errorf("the latencies are %v, and together %v", metrics.Latencies, metrics.LatencySum)
	}
	hub.Close()
	text, err := hub.AppendPrometheus([]byte("# before\n"))
	if err != nil || !strings.HasPrefix(string(text), "# before\n") || !strings.Contains(string(text), "fanfare_published_events_total 1\n") {
		t.Errorf("the text is %.300s, %v", text, err)
	}
}
