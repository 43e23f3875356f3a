package fanfare_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

// authorized is a hub whose listener asks a function.
func authorized(
	t *testing.T, options *fanfare.AuthorizerOptions,
	decide func(context.Context, *fanfare.Request) (fanfare.Grant, error),
) (*fanfare.Hub, int, *fanfare.Authorizer) {
	t.Helper()
	authorizer, err := fanfare.NewAuthorizer(decide, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { authorizer.Close() })
	hub := bare(t, &fanfare.Options{Shards: 1})
	listener, err := hub.Listen("127.0.0.1:0", &fanfare.ListenOptions{
		Authorizer: authorizer, Routes: []fanfare.Route{{Path: "/{who}/mail", Subscriptions: []string{"mail/{who}"}, Post: true}},
		CORSExposedHeaders: []string{"X-Of-The-Grant"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return hub, listener.Port(), authorizer
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestAnAuthorizerSeesTheRequestAndItsGrantHolds(t *testing.T) {
	requests := make(chan *fanfare.Request, 1)
	hub, port, _ := authorized(t, nil, func(ctx context.Context, r *fanfare.Request) (fanfare.Grant, error) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the context has no deadline")
		}
		requests <- r
		return fanfare.Grant{
			Topics: []string{"mine/#"}, Tag: "tagged", Header: http.Header{"X-Of-The-Grant": {"yes"}},
			Policy: fanfare.PolicyConflate, Start: fanfare.StartEarliest, ExpiresAt: time.Now().Add(time.Hour),
		}, nil
	})
	response := get(t, port, "mine/a", "")
	request := <-requests
	if request.Method != "GET" || request.Path != "/events" || request.Query != "topic=mine%2Fa" ||
		!strings.HasPrefix(request.Addr, "127.0.0.1:") || len(request.Topics) != 1 || request.Topics[0] != "mine/a" ||
		request.Header.Get("User-Agent") == "" || len(request.Content) != 0 || request.LastEventID != "" {
		t.Errorf("the request is %+v", request)
	}
	if response.StatusCode != 200 || response.Header.Get("X-Of-The-Grant") != "yes" {
		t.Errorf("the answer is %s, %v", response.Status, response.Header)
	}
	untilConnections(t, hub, 1)
	connections, err := hub.Connections(fanfare.ConnectionFilter{Tag: "tagged", Subscription: "mine/a", SlowestFirst: true})
	if err != nil || len(connections) != 1 || connections[0].Policy != fanfare.PolicyConflate {
		t.Errorf("the connections are %+v, %v", connections, err)
	}
	if got := get(t, port, "yours", "").StatusCode; got != http.StatusForbidden {
		t.Errorf("another topic is answered %d", got)
	}
	<-requests
}

func TestAnAuthorizerRefusesFailsAndPanicsAndGoesOn(t *testing.T) {
	options := &fanfare.AuthorizerOptions{Goroutines: 1, Logger: quiet(), Timeout: 10 * time.Minute}
	_, port, _ := authorized(t, options,
		func(_ context.Context, r *fanfare.Request) (fanfare.Grant, error) {
			switch r.Topics[0] {
			case "refused":
				return fanfare.Grant{}, &fanfare.Refusal{Status: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}}}
			case "failed":
				return fanfare.Grant{}, errors.New("the database is down")
			case "failed by an error of the library":
				return fanfare.Grant{}, fanfare.ErrStale
			case "panics":
				panic("it has a defect")
			case "exits":
				runtime.Goexit()
			case "wrong":
				return fanfare.Grant{Topics: []string{"a#"}}, nil
			case "wrongly refused":
				return fanfare.Grant{}, &fanfare.Refusal{Status: 200}
			}
			return fanfare.Grant{AnyTopics: true}, nil
		})
	for topic, want := range map[string]int{
		"refused": 401, "failed": 503, "failed by an error of the library": 503, "panics": 503, "exits": 503, "wrong": 503, "wrongly refused": 503, "any": 200,
	} {
		response := get(t, port, topic, "")
		if response.StatusCode != want {
			t.Errorf("%s is answered %s", topic, response.Status)
		}
		if topic == "refused" && response.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s is answered %v", topic, response.Header)
		}
	}
}

func TestAnAuthorizerHasABoundedNumberOfGoroutinesAndATime(t *testing.T) {
	const most = 3
	var at, highest atomic.Int32
	release := make(chan struct{})
	hub, port, _ := authorized(t, &fanfare.AuthorizerOptions{Goroutines: most, Logger: quiet()},
		func(ctx context.Context, _ *fanfare.Request) (fanfare.Grant, error) {
			now := at.Add(1)
			for before := highest.Load(); now > before && !highest.CompareAndSwap(before, now); before = highest.Load() {
			}
			<-release
			at.Add(-1)
			return fanfare.Grant{AnyTopics: true}, nil
		})
	var asked sync.WaitGroup
	for range 10 {
		asked.Add(1)
		go func() {
			defer asked.Done()
			if got := get(t, port, "t", "").StatusCode; got != 200 {
				t.Errorf("answered %d", got)
			}
		}()
	}
	until(t, "all wait", func() bool {
		metrics, err := hub.Metrics()
		return err == nil && metrics.PendingAuthorizations == 10 && at.Load() == most
	})
	close(release)
	asked.Wait()
	if highest.Load() != most {
		t.Errorf("%d at once, not %d", highest.Load(), most)
	}

	ended := make(chan error, 1)
	_, port, _ = authorized(t, &fanfare.AuthorizerOptions{Timeout: 10 * time.Millisecond, Logger: quiet()},
		func(ctx context.Context, _ *fanfare.Request) (fanfare.Grant, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return fanfare.Grant{}, ctx.Err()
		})
	if got := get(t, port, "t", "").StatusCode; got != 503 {
		t.Errorf("too late, and answered %d", got)
	}
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the context ends by %v", err)
	}
}

func TestAnAuthorizerThatIsClosedCancelsAndHasClientsComeAgain(t *testing.T) {
	begun := make(chan struct{})
	_, port, authorizer := authorized(t, &fanfare.AuthorizerOptions{Logger: quiet()},
		func(ctx context.Context, _ *fanfare.Request) (fanfare.Grant, error) {
			close(begun)
			<-ctx.Done()
			return fanfare.Grant{}, ctx.Err()
		})
	answered := make(chan int, 1)
	go func() { answered <- get(t, port, "t", "").StatusCode }()
	<-begun
	authorizer.Close()
	authorizer.Close()
	if got := <-answered; got != 503 {
		t.Errorf("who waits is answered %d", got)
	}
	if got := get(t, port, "t", "").StatusCode; got != 503 {
		t.Errorf("who comes late is answered %d", got)
	}
	for _, options := range []fanfare.AuthorizerOptions{
		{WaitingMax: 65_537}, {Timeout: time.Hour}, {Goroutines: -1},
	} {
		_, err := fanfare.NewAuthorizer(nil, &options)
		var option *fanfare.OptionError
		if !errors.As(err, &option) || !errors.Is(err, fanfare.ErrOptions) {
			t.Errorf("%+v: %v", options, err)
		}
	}
}

// The listener has it, and nobody else.
func TestAnAuthorizerLivesAsLongAsItsListener(t *testing.T) {
	hub := bare(t, &fanfare.Options{Shards: 1})
	port := func() int {
		authorizer, err := fanfare.NewAuthorizer(func(context.Context, *fanfare.Request) (fanfare.Grant, error) {
			return fanfare.Grant{AnyTopics: true}, nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		listener, err := hub.Listen("127.0.0.1:0", &fanfare.ListenOptions{Authorizer: authorizer})
		if err != nil {
			t.Fatal(err)
		}
		return listener.Port()
	}()
	for range 3 {
		runtime.GC()
	}
	if got := get(t, port, "t", "").StatusCode; got != 200 {
		t.Errorf("answered %d", got)
	}
}

func TestTokensAndTicketsOpenStreams(t *testing.T) {
	secret := []byte(strings.Repeat("secret", 6))
	key, err := fanfare.NewSigningKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fanfare.NewSigningKey([]byte("short")); !errors.Is(err, fanfare.ErrKey) {
		t.Errorf("a short secret: %v", err)
	}
	grant := fanfare.Grant{Topics: []string{"mine"}, Tag: "me", ExpiresAt: time.Now().Add(time.Hour)}
	token, err := key.Sign(grant, fanfare.Claims{Audience: "us", Issuer: "them", Subject: "me", KeyID: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.Sign(fanfare.Grant{Topics: []string{"mine"}}, fanfare.Claims{}); !errors.Is(err, fanfare.ErrGrant) {
		t.Errorf("a token that does not expire: %v", err)
	}
	tokens, err := fanfare.NewTokens([]fanfare.Key{{Content: secret}}, &fanfare.TokenOptions{
		Audiences: []string{"us"}, Issuers: []string{"them"}, Leeway: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fanfare.NewTokens([]fanfare.Key{{Content: []byte("{}"), IsJWKS: true}}, nil); !errors.Is(err, fanfare.ErrKey) ||
		err.Error() == fanfare.ErrKey.Error() {
		t.Errorf("a set without keys: %v", err)
	}
	granted, err := tokens.Verify(token)
	if err != nil {
		t.Fatal(err)
	}
	if got := granted.Grant; got.Tag != "me" || len(got.Topics) != 1 || got.Topics[0] != "mine" ||
		got.ExpiresAt.Unix() != grant.ExpiresAt.Unix() || !granted.IsCurrent() {
		t.Errorf("granted is %+v", got)
	}
	granted.Close()
	if granted.IsCurrent() || granted.Close() != nil {
		t.Error("what is closed is current")
	}
	if _, err := tokens.Verify(token + "x"); !errors.Is(err, fanfare.ErrToken) {
		t.Errorf("another token: %v", err)
	}

	tickets, err := fanfare.NewTickets(&fanfare.TicketOptions{TicketsMax: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fanfare.NewTickets(&fanfare.TicketOptions{FirstUseTimeMax: time.Millisecond}); !errors.Is(err, fanfare.ErrOptions) {
		t.Errorf("an option out of bounds: %v", err)
	}
	ticket, err := tickets.Issue(grant)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // which uses nothing up
		if looked, err := tickets.LookUp(ticket, false); err != nil || looked.Tag != "me" || len(looked.Topics) != 1 {
			t.Errorf("looked up: %+v, %v", looked, err)
		}
	}
	if _, err := tickets.LookUp("none", false); !errors.Is(err, fanfare.ErrToken) {
		t.Errorf("looked up what is none: %v", err)
	}
	redeemed, err := tickets.Redeem(ticket, false)
	if err != nil || redeemed.Grant.Tag != "me" || !redeemed.IsCurrent() {
		t.Fatal(redeemed, err)
	}
	if _, err := tickets.Redeem(ticket, false); !errors.Is(err, fanfare.ErrBusy) {
		t.Errorf("a ticket whose stream is connected: %v", err)
	}
	again, err := tickets.Redeem(ticket, true)
	if err != nil || redeemed.IsCurrent() || !again.IsCurrent() {
		t.Errorf("a stream that goes on: %v", err)
	}
	again.Close()

	authorizer, err := fanfare.NewTicketAuthorizer(tokens, tickets, &fanfare.AccessOptions{NoExchange: true, Cookie: "token"})
	if err != nil {
		t.Fatal(err)
	}
	hub := bare(t, &fanfare.Options{Shards: 1})
	listener, err := hub.Listen("127.0.0.1:0", &fanfare.ListenOptions{Authorizer: authorizer})
	if err != nil {
		t.Fatal(err)
	}
	other, err := tickets.Issue(grant)
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, listener.Port(), "mine&ticket="+other, "").StatusCode; got != 401 {
		t.Errorf("no ticket is answered %d", got)
	}
	response, err := http.Get("http://" + listener.Address() + "/events?topic=mine&ticket=" + other)
	if err != nil || response.StatusCode != 200 {
		t.Fatal(response, err)
	}
	response.Body.Close()
	if err := tokens.SetKeys([]fanfare.Key{{Content: []byte(strings.Repeat("another", 6))}}); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Verify(token); !errors.Is(err, fanfare.ErrToken) {
		t.Errorf("a token of an old key: %v", err)
	}
}
