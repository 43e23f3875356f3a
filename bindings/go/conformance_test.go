package fanfare_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

// conformanceCase is a case of tests/conformance, whose README says what the steps are.
type conformanceCase struct {
	Name    string           `json:"name"`
	Options map[string]int   `json:"options"`
	Steps   []map[string]any `json:"steps"`
}

// wayIn is how clients reach a hub: it opens a stream for what a step says. The error is one of the
// library's, or a refusal with the status of an answer.
type wayIn func(t *testing.T, wanted connecting) (io.ReadCloser, error)

// connecting is what a step "connect" says.
type connecting struct {
	topics                                 []string
	lastEventID, start, gapStart, envelope string
}

// waysIn make the ways in of a hub, by their names.
func waysIn() map[string]func(*testing.T, *fanfare.Hub) wayIn {
	all := map[string]func(*testing.T, *fanfare.Hub) wayIn{
		"listener": func(t *testing.T, hub *fanfare.Hub) wayIn {
			listener, err := hub.Listen("127.0.0.1:0", nil)
			if err != nil {
				t.Fatal(err)
			}
			return asking("http://"+listener.Address()+"/events", http.DefaultClient)
		},
		"pull": func(_ *testing.T, hub *fanfare.Hub) wayIn {
			return func(t *testing.T, wanted connecting) (io.ReadCloser, error) {
				subscription, err := wanted.subscription()
				if err != nil {
					return nil, err
				}
				stream, err := hub.Subscribe(subscription.Topics, &subscription.StreamOptions)
				if err != nil {
					return nil, err
				}
				if stream.IsComplete() {
					stream.Close()
					return nil, &fanfare.Refusal{Status: http.StatusNoContent}
				}
				return &readStream{Stream: stream, ctx: t.Context()}, nil
			}
		},
	}
	for _, way := range ways {
		all["handler, "+way.name] = func(t *testing.T, hub *fanfare.Hub) wayIn {
			server := way.serveHandler(t, hub, hub.Handler(func(r *http.Request) (fanfare.Subscription, error) {
				query := r.URL.Query()
				return connecting{
					topics: query["topic"], start: query.Get("start"), gapStart: query.Get("gap-start"),
					envelope: query.Get("envelope"),
				}.subscription()
			}))
			return asking(server.URL, server.Client())
		}
	}
	return all
}

// asking is a way in by requests.
func asking(target string, client *http.Client) wayIn {
	return func(t *testing.T, wanted connecting) (io.ReadCloser, error) {
		query := url.Values{"topic": wanted.topics}
		for name, value := range map[string]string{
			"start": wanted.start, "gap-start": wanted.gapStart, "envelope": wanted.envelope,
		} {
			if value != "" {
				query.Set(name, value)
			}
		}
		request, err := http.NewRequestWithContext(t.Context(), "GET", target+"?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		if wanted.lastEventID != "" {
			request.Header.Set("Last-Event-ID", wanted.lastEventID)
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		if response.StatusCode != http.StatusOK {
			response.Body.Close()
			return nil, &fanfare.Refusal{Status: response.StatusCode}
		}
		return response.Body, nil
	}
}

// readStream is a stream that the program reads; its end in order is io.EOF.
type readStream struct {
	*fanfare.Stream
	ctx  context.Context
	rest []byte
}

func (p *readStream) Read(into []byte) (int, error) {
	if len(p.rest) == 0 {
		batch, err := p.Next(p.ctx)
		var ended *fanfare.EndedError
		if errors.As(err, &ended) && !ended.Cut {
			return 0, io.EOF
		} else if err != nil {
			return 0, err
		}
		p.rest = slices.Clone(batch)
	}
	count := copy(into, p.rest)
	p.rest = p.rest[count:]
	return count, nil
}

func (c connecting) subscription() (fanfare.Subscription, error) {
	options := fanfare.StreamOptions{LastEventID: c.lastEventID}
	var err, gapErr error
	options.Start, err = startOf(c.start)
	options.GapStart, gapErr = startOf(c.gapStart)
	if c.envelope == "json" {
		options.Envelope = fanfare.EnvelopeJSON
	}
	return fanfare.Subscription{Topics: c.topics, StreamOptions: options}, errors.Join(err, gapErr)
}

func startOf(text string) (start fanfare.Start, err error) {
	switch text {
	case "":
	case "now":
		start = fanfare.StartNow
	case "latest":
		start = fanfare.StartLatest
	case "earliest":
		start = fanfare.StartEarliest
	default:
		var count uint32
		_, err = fmt.Sscanf(text, "last=%d", &count)
		start = fanfare.StartLast(count)
	}
	return start, err
}

func TestTheSharedCasesHoldByEachWayIn(t *testing.T) {
	text, err := os.ReadFile("../../tests/conformance/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []conformanceCase
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for name, way := range waysIn() {
		for _, c := range cases {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				t.Parallel()
				c.run(t, way)
			})
		}
	}
}

func (c conformanceCase) run(t *testing.T, way func(*testing.T, *fanfare.Hub) wayIn) {
	options := &fanfare.Options{Shards: 1}
	for name, value := range c.Options {
		switch name {
		case "history_events_max":
			options.HistoryEventsMax = value
		case "event_bytes_max":
			options.EventBytesMax = int64(value)
		default:
			t.Fatalf("what is the option %s?", name)
		}
	}
	hub := bare(t, options)
	r := &conformanceRun{t, hub, way(t, hub), map[string]string{}, map[string]*conformanceClient{}}
	for i, step := range c.Steps {
		if err := r.step(r.named(step).(map[string]any)); err != nil {
			t.Fatalf("step %d, %v: %v", i, step, err)
		}
	}
	for _, client := range r.clients {
		client.body.Close()
	}
}

type conformanceRun struct {
	*testing.T
	hub     *fanfare.Hub
	way     wayIn
	ids     map[string]string
	clients map[string]*conformanceClient
}

// named is a value with ids in the place of their names, and with texts repeated.
func (r *conformanceRun) named(value any) any {
	switch value := value.(type) {
	case map[string]any:
		made := make(map[string]any)
		for key, each := range value {
			made[key] = r.named(each)
		}
		if times, ok := made["times"].(float64); ok {
			made["data"] = strings.Repeat(made["data"].(string), int(times))
			delete(made, "times")
		}
		return made
	case []any:
		made := make([]any, 0, len(value))
		for _, each := range value {
			made = append(made, r.named(each))
		}
		return made
	case string:
		if name, ok := strings.CutPrefix(value, "@"); ok {
			return r.ids[name]
		}
	}
	return value
}

func (r *conformanceRun) step(step map[string]any) error {
	text := func(key string) string {
		value, _ := step[key].(string)
		return value
	}
	switch {
	case step["connect"] != nil:
		return r.connect(step["connect"].(string), connecting{
			texts(step["topics"]), text("last_event_id"), text("start"), text("gap_start"), text("envelope"),
		}, step)
	case step["receive"] != nil:
		client := r.clients[step["receive"].(string)]
		for _, wanted := range step["events"].([]any) {
			if err := client.expect(wanted.(map[string]any)); err != nil {
				return err
			}
		}
		return nil
	case step["ends"] != nil:
		if got, err := r.clients[step["ends"].(string)].next(); err != io.EOF {
			return fmt.Errorf("%+v, %v, and not the end", got, err)
		}
		return nil
	case step["leave"] != nil:
		return r.clients[step["leave"].(string)].body.Close()
	case step["rule"] != nil:
		var options fanfare.TopicOptions
		if most, ok := step["history_events_max"].(float64); ok {
			count := uint64(most)
			options.HistoryEventsMax = &count
		}
		if policy := text("policy"); policy != "" {
			options.Policy = map[string]fanfare.Policy{
				"disconnect": fanfare.PolicyDisconnect, "drop-oldest": fanfare.PolicyDropOldest,
				"conflate": fanfare.PolicyConflate,
			}[policy]
		}
		return r.hub.SetRule(step["rule"].(string), options)
	}
	for _, field := range []string{"name", "id"} {
		if value, ok := step[field]; ok && value == "" {
			return nil // which Go cannot say: an empty name is none
		}
	}
	return r.publish(step, conformanceEvent(step))
}

func (r *conformanceRun) publish(step map[string]any, event fanfare.Event) error {
	var id fanfare.ID
	var err error
	switch topics := texts(step["publish"]); {
	case step["finish"] != nil:
		var last *fanfare.Event
		for key := range step {
			if key != "finish" && key != "as" && key != "error" {
				last = &event
			}
		}
		id, err = r.hub.FinishContext(r.Context(), step["finish"].(string), last)
	case len(topics) == 1:
		id, err = r.hub.PublishContext(r.Context(), topics[0], event)
	case len(topics) > 1:
		id, err = r.hub.PublishTopicsContext(r.Context(), topics, event)
	default:
		return errors.New("what step is this?")
	}
	if name, ok := step["as"].(string); ok {
		r.ids[name] = id.String()
	}
	return wantError(step, err)
}

// wantError compares an error with the code that a step has, if it has one.
func wantError(step map[string]any, err error) error {
	code, _ := step["error"].(string)
	want, ok := map[string]error{
		"": nil, "TOPIC": fanfare.ErrTopic, "EVENT": fanfare.ErrEvent, "TOO_LARGE": fanfare.ErrTooLarge,
		"FINISHED": fanfare.ErrFinished, "SUBSCRIPTION": fanfare.ErrSubscription,
	}[code]
	if !ok {
		return fmt.Errorf("what is the code %s?", code)
	}
	if !errors.Is(err, want) {
		return fmt.Errorf("%v, not %v", err, want)
	}
	return nil
}

func conformanceEvent(step map[string]any) (event fanfare.Event) {
	data, isThere := step["data"].(string)
	event.Data, event.NoData = data, !isThere
	event.Name, _ = step["name"].(string)
	event.ID, _ = step["id"].(string)
	event.Key, _ = step["key"].(string)
	event.Comment, _ = step["comment"].(string)
	retry, _ := step["retry_ms"].(float64)
	window, _ := step["window_ms"].(float64)
	event.Retry = time.Duration(retry) * time.Millisecond
	event.Window = time.Duration(window) * time.Millisecond
	return event
}

// texts are a text or a list of them.
func texts(value any) (list []string) {
	if one, ok := value.(string); ok {
		return []string{one}
	}
	each, _ := value.([]any)
	for _, one := range each {
		list = append(list, one.(string))
	}
	return list
}

func (r *conformanceRun) connect(name string, wanted connecting, step map[string]any) error {
	body, err := r.way(r.T, wanted)
	status := 200
	var refusal *fanfare.Refusal
	switch {
	case errors.As(err, &refusal):
		status = refusal.Status
	case err != nil: // a call that fails has no status
		return wantError(step, err)
	default:
		r.clients[name] = newConformanceClient(body)
	}
	if want, ok := step["status"].(float64); ok && status != int(want) || !ok && status != 200 {
		return fmt.Errorf("the status is %d", status)
	}
	return nil
}

func isSubset(wanted, got map[string]any) bool {
	for key, value := range wanted {
		if there, ok := got[key]; !ok || !reflect.DeepEqual(there, value) {
			return false
		}
	}
	return true
}
