//go:build fanfare_gc

package fanfare

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// Each call is the last use of its object, which garbage collection inside of it would take away.
func TestACallKeepsItsObjectAlive(t *testing.T) {
	collectPause = 20 * time.Millisecond
	defer func() { collectPause = 0 }()
	hub := func() *Hub {
		hub, err := New(&Options{Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		return hub
	}
	topic := func() *Topic {
		topic, err := hub().Topic("t")
		if err != nil {
			t.Fatal(err)
		}
		return topic
	}
	stream := func() *Stream {
		stream, err := hub().Subscribe([]string{"t"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	listener := func() *Listener {
		listener, err := hub().Listen("127.0.0.1:0", nil)
		if err != nil {
			t.Fatal(err)
		}
		return listener
	}
	secret := []byte(strings.Repeat("secret", 6))
	grant := Grant{Topics: []string{"t"}, ExpiresAt: time.Now().Add(time.Hour)}
	token := func() string {
		key, err := NewSigningKey(secret)
		if err != nil {
			t.Fatal(err)
		}
		token, err := key.Sign(grant, Claims{})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}()
	tokens := func() *Tokens {
		tokens, err := NewTokens([]Key{{Content: secret}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return tokens
	}
	tickets := func() *Tickets {
		tickets, err := NewTickets(nil)
		if err != nil {
			t.Fatal(err)
		}
		return tickets
	}
	for name, call := range map[string]func() error{
		"Publish":        func() error { _, err := hub().Publish("t", Event{}); return err },
		"PublishContext": func() error { _, err := hub().PublishContext(context.Background(), "t", Event{}); return err },
		"PublishBatch":   func() error { _, err := hub().PublishBatch([]Publication{{To: topic()}}); return err },
		"PublishTopics":  func() error { _, err := hub().PublishTopics([]string{"t"}, Event{}); return err },
		"Finish":         func() error { _, err := hub().Finish("t", &Event{}); return err },
		"Topic.Publish":  func() error { _, err := topic().Publish(Event{}); return err },
		"Topic.Finish":   func() error { _, err := topic().Finish(nil); return err },
		"SetRule":        func() error { return hub().SetRule("t", TopicOptions{}) },
		"RemoveRule":     func() error { _, err := hub().RemoveRule("t"); return err },
		"Rules":          func() error { _, err := hub().Rules(); return err },
		"Subscribers":    func() error { _, err := hub().Subscribers("t"); return err },
		"Counts":         func() error { _, err := hub().SubscriptionCounts(1); return err },
		"Connections":    func() error { _, err := hub().Connections(ConnectionFilter{}); return err },
		"ClusterConnections": func() error {
			_, err := hub().ClusterConnections(context.Background(), ConnectionFilter{}, 0)
			return without(err, ErrCluster)
		},
		"ClusterSubscribers": func() error {
			_, err := hub().ClusterSubscribers(context.Background(), "t", 0)
			return without(err, ErrCluster)
		},
		"Disconnect":    func() error { return without(hub().Disconnect(1, 0), ErrStale) },
		"DisconnectAll": func() error { _, err := hub().DisconnectAll(0); return err },
		"DisconnectTag": func() error { _, err := hub().DisconnectTag("t", 0); return err },
		"DisconnectSubscription": func() error {
			_, err := hub().DisconnectSubscription("t", 0)
			return err
		},
		"SetSubscriptions": func() error { return without(hub().SetSubscriptions(1, []string{"t"}), ErrStale) },
		"Connection":       func() error { _, err := hub().Connection(1); return without(err, ErrStale) },
		"AppendPrometheus": func() error { _, err := hub().AppendPrometheus(nil); return err },
		"Metrics": func() error {
			metrics, err := hub().Metrics()
			if metrics.LivingShards != 1 {
				return ErrClosed
			}
			return err
		},
		"Notices": func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			for _, err := range hub().Notices(ctx, &NoticesOptions{Interest: []string{"t"}}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"Notices without an end": func() error {
			hub := hub()
			defer hub.Close()
			notices := hub.Notices(context.Background(), &NoticesOptions{Interest: []string{"t"}})
			stream, err := hub.Subscribe([]string{"t"}, nil)
			if err != nil {
				return err
			}
			defer stream.Close()
			for notice, err := range notices {
				if err != nil {
					return err
				}
				if notice.Kind == NoticeWanted {
					return nil
				}
			}
			return ErrClosed // they were collected
		},
		"Drain":                 func() error { _, err := hub().Drain(context.Background(), &DrainOptions{Window: -1}); return err },
		"Stream.Next":           func() error { _, err := stream().Next(context.Background()); return err },
		"Stream.IsComplete":     func() error { stream().IsComplete(); return nil },
		"Stream.ConnectionID":   func() error { stream().ConnectionID(); return nil },
		"Listener.HasStreamsAt": func() error { _, err := listener().HasStreamsAt("/"); return err },
		"Listener.IsNamed":      func() error { _, err := listener().IsNamed("localhost"); return err },
		"Listener.Close":        func() error { return listener().Close() },
		"Tokens.Verify": func() error {
			granted, err := tokens().Verify(token)
			if err == nil && !granted.IsCurrent() {
				return ErrToken
			}
			return err
		},
		"Tokens.SetKeys": func() error { return tokens().SetKeys([]Key{{Content: secret}}) },
		"Tickets.Issue":  func() error { _, err := tickets().Issue(grant); return err },
		"Tickets.Redeem": func() error {
			if _, err := tickets().Redeem("none", false); !errors.Is(err, ErrToken) {
				return err
			}
			return nil
		},
		"Tickets.LookUp": func() error {
			if _, err := tickets().LookUp("none", false); !errors.Is(err, ErrToken) {
				return err
			}
			return nil
		},
		"NewTicketAuthorizer": func() error { _, err := NewTicketAuthorizer(tokens(), tickets(), nil); return err },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// without is the error of a call, unless it is the one that is expected.
func without(err, wanted error) error {
	if err == wanted {
		return nil
	}
	return err
}
