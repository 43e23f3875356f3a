package fanfare_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// fired is an event as a browser would fire it.
type fired struct{ name, data, id string }

// conformanceClient reads a stream as a browser does (WHATWG HTML, section "Interpreting an event stream"),
// for LF as the one end of lines.
type conformanceClient struct {
	body  io.ReadCloser
	lines *bufio.Reader
	id    string
}

func newConformanceClient(body io.ReadCloser) *conformanceClient {
	return &conformanceClient{body: body, lines: bufio.NewReader(body)}
}

// next is the next event; the error is io.EOF when the stream has ended in order.
func (c *conformanceClient) next() (got fired, err error) {
	// One that hangs is closed, and fails.
	defer time.AfterFunc(deadline, func() { c.body.Close() }).Stop()
	var data strings.Builder
	for {
		line, err := c.lines.ReadString('\n')
		if err == io.EOF && line != "" {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return got, err
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && data.Len() > 0:
			got.data, got.id = strings.TrimSuffix(data.String(), "\n"), c.id
			if got.name == "" {
				got.name = "message"
			}
			return got, nil
		case line == "":
			got.name = ""
		case field == "data":
			data.WriteString(value + "\n")
		case field == "event":
			got.name = value
		case field == "id":
			c.id = value
		}
	}
}

// expect compares the next event with one of a step.
func (c *conformanceClient) expect(wanted map[string]any) error {
	got, err := c.next()
	if err != nil {
		return fmt.Errorf("%w, and not %.200v", err, wanted)
	}
	name, ok := wanted["name"].(string)
	if !ok {
		name = "message"
	}
	isRight := got.name == name
	if id, ok := wanted["id"].(string); ok {
		isRight = isRight && got.id == id
	}
	if members, ok := wanted["json"].(map[string]any); ok {
		var object map[string]any
		isRight = isRight && json.Unmarshal([]byte(got.data), &object) == nil && isSubset(members, object)
	} else {
		isRight = isRight && got.data == wanted["data"]
	}
	if !isRight {
		return fmt.Errorf("%.300q, not %.300v", fmt.Sprint(got), wanted)
	}
	return nil
}
