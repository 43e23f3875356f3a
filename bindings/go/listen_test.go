package fanfare_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

// dialing is a client of HTTP that connects to one place, whatever the URL says.
func dialing(network, address string) *http.Client {
	return &http.Client{Timeout: deadline, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, address)
		},
	}}
}

func TestAListenerHasRoutesHeadersAndItsOptions(t *testing.T) {
	hub := bare(t, &fanfare.Options{Shards: 1})
	listener, err := hub.Listen("127.0.0.1:0", &fanfare.ListenOptions{
		NoPath: true, HealthPath: "/health", Header: http.Header{"X-Robots-Tag": {"noindex"}},
		Routes: []fanfare.Route{
			{Path: "/runs/{id}", Subscriptions: []string{"run/{id}"}, Post: true, QueryTopics: fanfare.QueryTopicsAny,
				Header: http.Header{"X-Of-The-Route": {"yes"}}},
			{Path: "/fixed", Subscriptions: []string{"fixed"}},
		},
		CORSOrigins: []string{"https://example.com"}, CORSCredentials: true, Hosts: []string{"app.example"},
		Policies: []fanfare.Policy{fanfare.PolicyConflate}, Envelope: fanfare.EnvelopeJSON, Keepalive: -1, UserTimeout: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	target := "http://" + listener.Address()
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/health", 200}, {"GET", "/events?topic=a", 404}, {"POST", "/runs/7", 200}, {"POST", "/fixed", 405},
		{"GET", "/fixed?topic=a", 403}, {"GET", "/runs/7?topic=a&policy=conflate", 200}, {"GET", "/runs/7?policy=disconnect", 403},
	} {
		request, err := http.NewRequest(c.method, target+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", "https://example.com")
		response, err := dialing("tcp", listener.Address()).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%s %s: %s", c.method, c.path, response.Status)
		}
		if c.method == "POST" && c.status == 200 {
			for name, want := range map[string]string{
				"X-Robots-Tag": "noindex", "X-Of-The-Route": "yes", "Access-Control-Allow-Origin": "https://example.com",
				"Access-Control-Allow-Credentials": "true",
			} {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s is %q, not %q", name, got, want)
				}
			}
		}
	}
	if has, err := listener.HasStreamsAt("/runs/8"); err != nil || !has {
		t.Errorf("a path of streams: %t, %v", has, err)
	}
	if is, err := listener.IsNamed("other.example"); err != nil || is {
		t.Errorf("another host: %t, %v", is, err)
	}
	for range 2 {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := listener.HasStreamsAt("/"); !errors.Is(err, fanfare.ErrStale) {
		t.Errorf("a closed listener: %v", err)
	}
	if _, err := net.Dial("tcp", listener.Address()); err == nil {
		t.Error("the port is still open")
	}
}

// Each option is passed on: one out of its bounds is refused by its name.
func TestAListenersOptionsAreRefusedByName(t *testing.T) {
	hub := bare(t, &fanfare.Options{Shards: 1})
	refused := map[string]fanfare.ListenOptions{
		"Path": {Path: "x"}, "HealthPath": {HealthPath: "x"}, "Routes": {Routes: []fanfare.Route{{Path: "x"}}},
		"Header": {Header: http.Header{"Date": {"x"}}}, "CORSOrigins": {CORSOrigins: []string{"x"}},
		"CORSRequestHeaders":            {CORSOrigins: []string{"*"}, CORSRequestHeaders: []string{" "}},
		"CORSExposedHeaders":            {CORSOrigins: []string{"*"}, CORSExposedHeaders: []string{" "}},
		"Hosts":                         {Hosts: []string{" "}},
		"ProxyProtocolFrom":             {ProxyProtocolFrom: []string{"x"}},
		"TrustedProxies":                {TrustedProxies: []string{"x"}},
		"ForwardedHeader":               {ForwardedHeader: 3},
		"SocketMode":                    {SocketMode: 0o1777},
		"Overload":                      {Overload: 3},
		"Policies":                      {Policies: []fanfare.Policy{fanfare.PolicyConflate, 40}},
		"Envelope":                      {Envelope: 3},
		"CORSMaxAge":                    {CORSMaxAge: 25 * time.Hour},
		"HeadBytesMax":                  {HeadBytesMax: 1},
		"HeadFieldsMax":                 {HeadFieldsMax: 1},
		"BodyBytesMax":                  {BodyBytesMax: 2 << 20},
		"HeadTimeMax":                   {HeadTimeMax: -1},
		"SubscriptionsPerConnectionMax": {SubscriptionsPerConnectionMax: -1},
		"WideFiltersMax":                {WideFiltersMax: 65_537},
		"NotsentLowatBytes":             {NotsentLowatBytes: 2 << 30},
		"SendBufferBytes":               {SendBufferBytes: 1},
		"Keepalive":                     {Keepalive: time.Millisecond},
		"UserTimeout":                   {UserTimeout: time.Millisecond},
	}
	for name, options := range refused {
		_, err := hub.Listen("127.0.0.1:0", &options)
		var option *fanfare.OptionError
		if !errors.As(err, &option) || option.Option != name || option.Bounds == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// These have no bounds, or are shown elsewhere.
	others := []string{"NoPath", "CORSCredentials", "Authorizer", "Fallback", "Start", "GapStart"}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[fanfare.ListenOptions]()) {
		if _, ok := refused[field.Name]; !ok && !slices.Contains(others, field.Name) {
			t.Errorf("%s is not tried", field.Name)
		}
	}
}

func TestAListenerMayHaveAUnixSocketOrOneOfGos(t *testing.T) {
	hub := bare(t, &fanfare.Options{Shards: 1})
	path := t.TempDir() + "/s"
	listener, err := hub.Listen("unix:"+path, &fanfare.ListenOptions{SocketMode: 0o660})
	if err != nil || listener.Port() != 0 || listener.Address() != "unix:"+path {
		t.Fatal(listener, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the file is %v, %v", info, err)
	}
	unixListener, err := net.Listen("unix", path+"2")
	if err != nil {
		t.Fatal(err)
	}
	tcpListener, err := net.Listen("tcp", "127.0.0.1:0") // of Multipath TCP, where the system has that
	if err != nil {
		t.Fatal(err)
	}
	tcpAddress := tcpListener.Addr().String()
	for _, given := range []net.Listener{unixListener, tcpListener} {
		if _, err := hub.ListenOn(given, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := given.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("what was given accepts: %v", err)
		}
		if _, err := hub.ListenOn(given, nil); err == nil {
			t.Error("what is closed was taken")
		}
	}
	if _, err := hub.ListenOn(wrappedListener{tcpListener}, nil); !errors.Is(err, fanfare.ErrAddress) {
		t.Errorf("what has no socket: %v", err)
	}
	for _, at := range [][2]string{{"unix", path}, {"unix", path + "2"}, {"tcp", tcpAddress}} {
		response, err := dialing(at[0], at[1]).Get("http://localhost/events?topic=a")
		if err != nil {
			t.Fatal(err)
		}
		client := clientOf(t, response)
		publish(t, hub, "a", fanfare.Event{Data: at[1]})
		client.expect("message", at[1])
		client.body.Close()
	}
}

func TestAListenerServesAConnectionThatItIsGiven(t *testing.T) {
	hub := bare(t, &fanfare.Options{Shards: 1})
	listener, err := hub.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	go func() {
		for {
			conn, err := own.Accept()
			if err != nil {
				return
			}
			read := make([]byte, 7)
			if _, err := io.ReadFull(conn, read); err != nil {
				t.Error(err)
			}
			if err := listener.Admit(wrappedConn{conn}, fanfare.AdmitRequest{Read: read}); !errors.Is(err, fanfare.ErrSocket) {
				t.Errorf("what has no socket: %v", err)
			}
			if err := listener.Admit(conn, fanfare.AdmitRequest{Read: make([]byte, 5<<20)}); !errors.Is(err, fanfare.ErrTooLarge) {
				t.Errorf("too much was read: %v", err)
			}
			if err := listener.Admit(conn, fanfare.AdmitRequest{Read: read, Addr: "192.0.2.9:1"}); err != nil {
				t.Error(err)
			}
		}
	}()
	client := clientOf(t, get2(t, own.Addr().String()))
	connections, err := hub.Connections(fanfare.ConnectionFilter{})
	if err != nil || len(connections) != 1 || connections[0].Addr != "192.0.2.9:1" {
		t.Errorf("the connections are %+v, %v", connections, err)
	}
	publish(t, hub, "a", fanfare.Event{Data: "x"})
	client.expect("message", "x")
}

func get2(t *testing.T, addr string) *http.Response {
	t.Helper()
	response, err := dialing("tcp", addr).Get("http://localhost/events?topic=a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func TestAFallbackServesTheOtherPathsOfAListener(t *testing.T) {
	hub := bare(t, &fanfare.Options{Shards: 1})
	fallback, err := fanfare.NewFallback(0)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := hub.Listen("127.0.0.1:0", &fanfare.ListenOptions{Fallback: fallback})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	mux.Handle("/stream", hub.Handler(byQuery))
	server := &http.Server{Handler: mux}
	served := make(chan error, 1)
	go func() { served <- server.Serve(fallback) }()

	target := "http://" + listener.Address()
	client := &http.Client{Timeout: deadline, Transport: &http.Transport{}}
	long := strings.Repeat("x", 300_000)
	for i := range 3 {
		response, err := client.Post(target+"/echo", "text/plain", strings.NewReader(fmt.Sprint(i, long)))
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(response.Body)
		if err != nil || string(content) != fmt.Sprint(i, long) {
			t.Errorf("%d bytes came back, %v", len(content), err)
		}
		response.Body.Close()
	}
	client.CloseIdleConnections()
	for _, path := range []string{"/events?topic=a", "/stream?topic=a"} {
		response, err := client.Get(target + path)
		if err != nil {
			t.Fatal(err)
		}
		stream := clientOf(t, response)
		publish(t, hub, "a", fanfare.Event{Data: path})
		stream.expect("message", path)
		stream.body.Close()
	}
	if got := fallback.Addr(); got.Network() != "fanfare" || got.String() != "fallback" {
		t.Errorf("the address is %v", got)
	}
	fallback.Close()
	fallback.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("served until %v", err)
	}
	until(t, "the others are answered 503", func() bool {
		response, err := client.Get(target + "/echo")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == 503
	})
	if _, err := hub.Listen("127.0.0.1:0", &fanfare.ListenOptions{Fallback: fallback}); !errors.Is(err, fanfare.ErrClosed) {
		t.Errorf("a listener with a closed fallback: %v", err)
	}
	if _, err := fanfare.NewFallback(-1); !errors.Is(err, fanfare.ErrOptions) {
		t.Errorf("a fallback for none: %v", err)
	}
}

func TestAFallbackIsFullOfWhatNobodyAccepts(t *testing.T) {
	const capacity, more = 2, 7
	hub := bare(t, &fanfare.Options{Shards: 1})
	fallback, err := fanfare.NewFallback(capacity)
	if err != nil {
		t.Fatal(err)
	}
	defer fallback.Close()
	listener, err := hub.Listen("127.0.0.1:0", &fanfare.ListenOptions{Fallback: fallback})
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan string)
	for range capacity + 1 + more { // one waits in Go
		conn, err := net.Dial("tcp", listener.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n")
		go func() {
			line, _ := bufio.NewReader(conn).ReadString('\n')
			answers <- line
		}()
	}
	for range more {
		select {
		case line := <-answers:
			if !strings.HasPrefix(line, "HTTP/1.1 503 ") {
				t.Errorf("one that is too many is answered %q", line)
			}
		case <-time.After(deadline):
			t.Fatal("more wait than may")
		}
	}
	fallback.Close()
	for range capacity + 1 {
		if line := <-answers; line != "" && !strings.HasPrefix(line, "HTTP/1.1 503 ") {
			t.Errorf("one that waits is answered %q when the fallback is closed", line)
		}
	}
}

func TestAConnectionOfAFallbackIsGivenBackWithWhoSendsIt(t *testing.T) {
	hub := bare(t, &fanfare.Options{Shards: 1})
	fallback, err := fanfare.NewFallback(0)
	if err != nil {
		t.Fatal(err)
	}
	defer fallback.Close()
	listener, err := hub.Listen("127.0.0.1:0", &fanfare.ListenOptions{
		Fallback: fallback, TrustedProxies: []string{"127.0.0.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := net.Dial("tcp", listener.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	_ = proxy.SetDeadline(time.Now().Add(deadline))
	request := "GET %s HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: %s\r\n\r\n"
	fmt.Fprintf(proxy, request, "/other", "192.0.2.1")
	conn, err := fallback.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.RemoteAddr().String(); got != proxy.LocalAddr().String() {
		t.Errorf("the connection is from %s, not %s", got, proxy.LocalAddr())
	}
	reader := bufio.NewReader(conn)
	if _, err := http.ReadRequest(reader); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "HTTP/1.1 204 No Content\r\n\r\n")
	// The next request on the proxy's connection is another client's, and half of it was read.
	sent := fmt.Sprintf(request, "/events?topic=a", "192.0.2.2")
	fmt.Fprint(proxy, sent)
	half := make([]byte, len(sent)/2)
	if _, err := io.ReadFull(reader, half); err != nil {
		t.Fatal(err)
	}
	rest, _ := reader.Peek(reader.Buffered())
	if err := listener.Admit(conn, fanfare.AdmitRequest{Read: append(half, rest...)}); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(proxy)
	for _, want := range []int{204, 200} {
		response, err := http.ReadResponse(answers, nil)
		if err != nil || response.StatusCode != want {
			t.Fatalf("%+v, %v, not %d", response, err, want)
		}
	}
	connections, err := hub.Connections(fanfare.ConnectionFilter{})
	if err != nil || len(connections) != 1 || !strings.HasPrefix(connections[0].Addr, "192.0.2.2") {
		t.Errorf("the connections are %+v, %v", connections, err)
	}
}

func TestAConnectionIsAdoptedOrRefused(t *testing.T) {
	hub := bare(t, &fanfare.Options{Shards: 1})
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	answered := make(chan *http.Response, 1)
	go func() { answered <- get2(t, own.Addr().String()) }()
	conn, err := own.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a := fanfare.Subscription{Topics: []string{"a"}}
	waiting := fanfare.AdoptRequest{Subscription: a}
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		conn    net.Conn
		request fanfare.AdoptRequest
		want    error
	}{
		{tls.Server(conn, nil), waiting, fanfare.ErrSocketTLS},
		{wrappedConn{conn}, waiting, fanfare.ErrSocket},
		{conn, fanfare.AdoptRequest{Subscription: a, ReadAheadBytes: 1}, fanfare.ErrSocketRead},
		{conn, fanfare.AdoptRequest{Subscription: a, UnreadContent: true}, fanfare.ErrSocketRead},
		{conn, fanfare.AdoptRequest{Subscription: a, Method: "PUT"}, fanfare.ErrRequest},
		{conn, fanfare.AdoptRequest{Subscription: a, Version: "HTTP/2"}, fanfare.ErrRequest},
		{conn, fanfare.AdoptRequest{}, fanfare.ErrSubscription},
	} {
		if err := hub.Adopt(c.conn, c.request); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, not %v", c.request, err, c.want)
		}
	}
	if err := hub.Adopt(conn, fanfare.AdoptRequest{Subscription: a, Method: "GET", Version: "1.1"}); err != nil {
		t.Fatal(err)
	}
	client := clientOf(t, <-answered)
	publish(t, hub, "a", fanfare.Event{Data: "x"})
	client.expect("message", "x")
}
