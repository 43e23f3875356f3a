package publish_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-sse/fanfare/bindings/go/publish"
)

// kinds is the kind of error of each code.
var kinds = map[string]error{
	"invalid": publish.ErrRefused, "token": publish.ErrToken, "forbidden": publish.ErrToken,
	"not_found": publish.ErrRefused, "method": publish.ErrRefused, "late": publish.ErrTimeout,
	"finished": publish.ErrFinished, "conflict": publish.ErrRefused, "too_large": publish.ErrTooLarge,
	"content_type": publish.ErrRefused, "host": publish.ErrRefused, "transfer_coding": publish.ErrRefused,
	"full": publish.ErrFull, "closed": publish.ErrUnavailable, "unwritable": publish.ErrJournal,
	"unreachable": publish.ErrCluster, "unavailable": publish.ErrUnavailable, "unanswered": publish.ErrUnanswered,
}

// everyKind is each error that an answer may be.
var everyKind = []error{
	publish.ErrEvent, publish.ErrToken, publish.ErrRefused, publish.ErrTimeout, publish.ErrFinished, publish.ErrTooLarge,
	publish.ErrFull, publish.ErrJournal, publish.ErrCluster, publish.ErrUnavailable, publish.ErrUnanswered,
}

// isForNow: the server may take the event later, and has not taken it.
var isForNow = map[string]bool{
	"late": true, "full": true, "closed": true, "unwritable": true, "unreachable": true, "unavailable": true,
}

// documentedCodes are those of the table in docs/server.md, each with a status.
func documentedCodes(t *testing.T) map[string]int {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "server.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| status | `code` |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	codes := map[string]int{}
	for _, row := range strings.Split(table, "\n") {
		cells := strings.SplitN(strings.Trim(row, "|"), "|", 2)
		statuses := regexp.MustCompile(`\d{3}`).FindAllString(cells[0], -1)
		for i, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[1], -1) {
			codes[name[1]], _ = strconv.Atoi(statuses[min(i, len(statuses)-1)])
		}
	}
	return codes
}

func TestEachDocumentedCodeIsAnErrorOfItsKind(t *testing.T) {
	t.Parallel()
	codes := documentedCodes(t)
	if len(codes) != len(kinds) {
		t.Errorf("%d codes are documented, and %d have a kind: %v", len(codes), len(kinds), codes)
	}
	for code, status := range codes {
		want, isKnown := kinds[code]
		if !isKnown {
			t.Errorf("%s has no kind", code)
			continue
		}
		answer := step{status, fmt.Sprintf(`{"error":"it is so","code":%q}`, code)}
		server := fails(t, answer)
		options := &publish.Options{Retries: -1, Repeat: publish.RepeatNever}
		_, err := clientOf(t, server.URL, options).Publish(soon(t), "t", text(1))
		for _, kind := range everyKind {
			if errors.Is(err, kind) != (kind == want) {
				t.Errorf("%s, %d: %v", code, status, err)
			}
		}
		// What every program asks for: whether the event may be published.
		if errors.Is(err, publish.ErrUnknown) != (code == "unanswered") || !strings.Contains(err.Error(), "it is so") {
			t.Errorf("%s, %d: %v", code, status, err)
		}
		// With retries, it is published in the end where that doubles nothing.
		again := fails(t, answer)
		_, err = clientOf(t, again.URL, nil).Publish(soon(t), "t", text(1))
		if isForNow[code] != (err == nil) || isForNow[code] != (len(again.came()) == 2) {
			t.Errorf("%s, %d, with retries: %v, %d requests", code, status, err, len(again.came()))
		}
	}
}

func TestOfABatchThatAClusterDoesNotAnswerOnlyTheEventUnderWayIsUnknown(t *testing.T) {
	t.Parallel()
	unanswered := step{504, `{"error":"line 3: it has not answered","code":"unanswered","line":3,"published":2}`}
	for _, test := range []struct {
		repeat   publish.Repeat
		id       string
		requests string
		lost     int
	}{
		{publish.RepeatNever, "", "[5 2]", 1}, {publish.RepeatWithID, "", "[5 2]", 1},
		{publish.RepeatWithID, "own", "[5 3]", 0}, {publish.RepeatAlways, "", "[5 3]", 0},
	} {
		server := fails(t, unanswered)
		var lost lost
		publisher := clientOf(t, server.URL, &publish.Options{Repeat: test.repeat}).Publisher(
			&publish.PublisherOptions{OnUndelivered: lost.add, FlushAfter: time.Hour})
		for n := range 5 {
			if err := publisher.Publish("t", publish.Event{Data: fmt.Sprint(n), ID: test.id}); err != nil {
				t.Fatal(err)
			}
		}
		if err := publisher.Flush(soon(t)); err != nil {
			t.Fatal(err)
		}
		var lengths []int
		for _, content := range server.came() {
			lengths = append(lengths, strings.Count(content, "\n")+1)
		}
		stats := publisher.Stats()
		if fmt.Sprint(lengths) != test.requests || len(lost.all()) != test.lost ||
			int(stats.Published) != 5-test.lost || int(stats.Repeated) != 1-test.lost {
			t.Errorf("%+v: %v lines in each request, %+v, %+v", test, lengths, lost.all(), stats)
		}
		for _, event := range lost.all() {
			if event.Event.Data != "2" || !errors.Is(event.Err, publish.ErrUnanswered) || !errors.Is(event.Err, publish.ErrUnknown) {
				t.Errorf("%+v", event)
			}
		}
		closeSoon(t, publisher)
	}
}
