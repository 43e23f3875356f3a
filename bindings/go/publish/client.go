package publish

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Repeat says which events are sent again when an answer was lost, so that they may be published
// already.
type Repeat int

const (
	// RepeatWithID repeats events that have an [Event.ID], by which a subscriber can tell.
	RepeatWithID Repeat = iota
	// RepeatAlways repeats all events: each is published at least once.
	RepeatAlways
	// RepeatNever repeats none: each is published at most once.
	RepeatNever
)

// Options is how a [Client] behaves. Zero is the default of each field, and so is a negative number unless
// the field says what that is.
type Options struct {
	// Token is the server's publish token (--publish-token-file, FANFARE_PUBLISH_TOKEN).
	Token string
	// Repeat is what happens when an answer is lost. Default: [RepeatWithID].
	Repeat Repeat
	// Retries is how often a call of a [Client] tries again where that doubles nothing; negative for
	// never. The pauses grow from 100 ms to 5 s. A [Publisher] goes on until it is closed.
	// Default: 5.
	Retries int
	// AnswerTimeMax is how long an answer is waited for, after which it counts as lost. The server is told
	// to wait for its backlog a little less long, or than until the context's deadline, and waits for 30 s
	// at most: so a full one is [ErrFull].
	// Default: 2 min.
	AnswerTimeMax time.Duration
	// ConnectionsMax is the most connections to the server, which are kept alive.
	// Default: 8.
	ConnectionsMax int
	// Transport sends the requests instead of the package's own, for instance with TLS options of
	// the program's. It must not repeat a request itself when an answer was lost. ConnectionsMax
	// does nothing then.
	Transport http.RoundTripper
}

// Client publishes to a server. All of its methods may be called from any goroutine at once.
type Client struct {
	options   Options
	base      string
	http      http.Client
	transport *http.Transport // nil if it is not the client's own
}

// New makes a client of the server's control listener, http://127.0.0.1:8081 or unix:/PATH, or with
// a token of its public address, which may begin with https:// where a proxy speaks that. The URL's
// path is what comes before /publish. Nothing is connected yet. nil is the default of every option.
//
// The error is [ErrURL].
func New(server string, options *Options) (*Client, error) {
	c := &Client{}
	if options != nil {
		c.options = *options
	}
	if c.options.Retries == 0 {
		c.options.Retries = 5
	}
	setDefault(&c.options.AnswerTimeMax, 2*time.Minute)
	setDefault(&c.options.ConnectionsMax, 8)
	for _, b := range []byte(c.options.Token) {
		if b <= ' ' || b > '~' {
			return nil, invalid(ErrURL, "a token is visible ASCII")
		}
	}
	socket, isUnix := strings.CutPrefix(server, "unix:")
	if isUnix {
		server = "http://localhost"
	} else {
		socket = ""
	}
	parsed, err := url.Parse(server)
	switch {
	case err != nil:
		// The parser's error repeats the URL, which may have a password.
		return nil, invalid(ErrURL, "the URL cannot be read")
	case isUnix && socket == "":
		return nil, invalid(ErrURL, "unix: without a path")
	case parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "":
		return nil, invalid(ErrURL, "write it as http://HOST:PORT, https://HOST or unix:/PATH")
	case parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		return nil, invalid(ErrURL, "it may have neither a user's name nor a query")
	case isUnix && c.options.Transport != nil:
		return nil, invalid(ErrURL, "a transport of the program's connects to a socket by itself: give http://localhost")
	}
	path := strings.TrimSuffix(strings.TrimRight(parsed.EscapedPath(), "/"), "/publish")
	c.base = parsed.Scheme + "://" + parsed.Host + path
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.http.Transport = c.options.Transport; c.http.Transport == nil {
		c.transport = ownTransport(socket, c.options.ConnectionsMax)
		c.http.Transport = c.transport
	}
	return c, nil
}

func setDefault[T int | time.Duration](option *T, value T) {
	if *option <= 0 {
		*option = value
	}
}

// Publish publishes an event to a topic, and returns its id: the event's own, or the hub's, an opaque
// text. It is empty for an event without data that has no id of its own, since the server does not
// say it, and when the event is published but its id is not known yet.
//
// The error is an [*Error]. [ErrUnknown] says that the event may be published; with every other error
// nothing was. What may pass, such as [ErrFull], [ErrUnavailable], [ErrJournal], [ErrCluster] and [ErrUnreached],
// comes after [Options.Retries]: try again a little later. [ErrUnanswered] is an [ErrUnknown].
func (c *Client) Publish(ctx context.Context, topic string, event Event) (id string, err error) {
	return c.PublishTo(ctx, []string{topic}, event)
}

// PublishTo publishes one event to several topics at once, 64 at most: to all of them or to none.
func (c *Client) PublishTo(ctx context.Context, topics []string, event Event) (id string, err error) {
	if err := checkTopics(topics); err != nil {
		return "", err
	}
	if err := event.check(); err != nil {
		return "", err
	}
	isRepeatable := c.isRepeatable(event.ID != "")
	if event.NoData {
		// The content of a request for one event is its data, also if it is empty.
		return c.asLine(ctx, topics, &event, false, isRepeatable)
	}
	path := "/publish?" + query(topics, &event).Encode()
	return c.deliver(ctx, request{path, plain, []byte(event.Data)}, false, isRepeatable)
}

// Finish finishes a topic, so that the streams of it alone end: with a last event, or with none if it
// is nil. It returns the id of the event, or of the end.
//
// The error is [ErrFinished] when the topic is finished already.
func (c *Client) Finish(ctx context.Context, topic string, last *Event) (id string, err error) {
	topics := []string{topic}
	if err := checkTopics(topics); err != nil {
		return "", err
	}
	// A topic is finished once, and with its last event or not at all.
	isRepeatable := c.isRepeatable(true)
	content := request{"/finish?" + query(topics, last).Encode(), plain, nil}
	if last != nil {
		if err := last.check(); err != nil {
			return "", err
		}
		if last.Data == "" {
			// Without content there is no last event, or one with empty data.
			return c.asLine(ctx, topics, last, true, isRepeatable)
		}
		content.content = []byte(last.Data)
	}
	return c.deliver(ctx, content, true, isRepeatable)
}

// Close closes the connections that are idle. The client may be used again.
func (c *Client) Close() {
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
}

func (c *Client) isRepeatable(isMarked bool) bool {
	return c.options.Repeat == RepeatAlways || c.options.Repeat == RepeatWithID && isMarked
}

// asLine delivers one event as a batch of one, whose answer has no id.
func (c *Client) asLine(
	ctx context.Context, topics []string, event *Event, finish, isRepeatable bool,
) (id string, err error) {
	text, err := lineOf(topics, event, finish)
	if err != nil {
		return "", err
	}
	_, err = c.deliver(ctx, request{"/publish", ndjson, text}, finish, isRepeatable)
	if err != nil {
		return "", err
	}
	return event.ID, nil
}

// deliver sends a request of one event until it is clear what has become of it.
func (c *Client) deliver(
	ctx context.Context, r request, isFinish, isRepeatable bool,
) (id string, err error) {
	mayBeDone := false
	for failures := 0; ; failures++ {
		said := c.send(ctx, r)
		switch said.kind {
		case published:
			return said.id, nil
		case refused, never:
			if said.err.Kind == ErrFinished && mayBeDone && isFinish {
				return "", nil // by the request whose answer was lost
			}
			if mayBeDone {
				said.err = &Error{Kind: ErrUnknown, Cause: said.err}
			}
			return "", said.err
		case unknown, halfway:
			mayBeDone = true
			if !isRepeatable {
				return "", said.err
			}
		}
		if failures >= c.options.Retries || !pause(ctx, failures, said.retryAfter) {
			if mayBeDone && !errors.Is(said.err, ErrUnknown) {
				said.err = &Error{Kind: ErrUnknown, Cause: said.err}
			}
			return "", said.err
		}
	}
}
