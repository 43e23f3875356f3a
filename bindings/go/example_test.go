package fanfare_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

// firstData is the data of the first event that a client gets.
func firstData(response *http.Response) string {
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			return data
		}
	}
	return ""
}

func Example() {
	hub, err := fanfare.New(nil) // nil: the default of every option
	if err != nil {
		log.Fatal(err)
	}
	defer hub.Close()
	listener, err := hub.Listen("127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	response, err := http.Get("http://" + listener.Address() + "/events?topic=news")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	_, err = hub.Publish("news", fanfare.Event{Name: "headline", Data: "hello"})
	if errors.Is(err, fanfare.ErrFull) {
		// Clients are slower than the publisher: nothing was published, try again a little later.
		return
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Println(firstData(response))
	// Output: hello
}

func ExampleHub_Handler() {
	hub, err := fanfare.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer hub.Close()
	mux := http.NewServeMux()
	mux.Handle("/runs/{id}/events", hub.Handler(func(r *http.Request) (fanfare.Subscription, error) {
		if r.URL.Query().Get("key") != "secret" {
			return fanfare.Subscription{}, &fanfare.Refusal{Status: http.StatusForbidden}
		}
		return fanfare.Subscription{Topics: []string{"run/" + r.PathValue("id")}}, nil
	}))
	server := httptest.NewServer(mux)
	defer server.Close()

	refused, err := http.Get(server.URL + "/runs/7/events")
	if err != nil {
		log.Fatal(err)
	}
	refused.Body.Close()
	fmt.Println(refused.Status)
	response, err := http.Get(server.URL + "/runs/7/events?key=secret")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := hub.Publish("run/7", fanfare.Event{Data: "half done"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(firstData(response))
	// Output:
	// 403 Forbidden
	// half done
}

func ExampleHub_PublishBatch() {
	hub, err := fanfare.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer hub.Close()
	ids, err := hub.PublishBatch([]fanfare.Publication{
		{Topic: "a", Event: fanfare.Event{Data: "1"}},
		{Topics: []string{"a", "b"}, Event: fanfare.Event{Data: "2"}},
		{Topic: "no+topic", Event: fanfare.Event{Data: "3"}},
		{Topic: "a", Event: fanfare.Event{Data: "4"}},
	})
	fmt.Println(len(ids), "are published, and the next one is refused:", errors.Is(err, fanfare.ErrTopic))
	// Output: 2 are published, and the next one is refused: true
}

func ExampleHub_Notices() {
	hub, err := fanfare.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer hub.Close()
	notices := hub.Notices(context.Background(), &fanfare.NoticesOptions{Interest: []string{"camera/#"}})
	stream, err := hub.Subscribe([]string{"camera/1"}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	for notice, err := range notices {
		if err != nil {
			log.Fatal(err)
		}
		if notice.Kind == fanfare.NoticeWanted {
			fmt.Println("start", notice.Subscriptions[0])
			break
		}
	}
	// Output: start camera/1
}

func ExampleNewAuthorizer() {
	hub, err := fanfare.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer hub.Close()
	authorizer, err := fanfare.NewAuthorizer(func(_ context.Context, r *fanfare.Request) (fanfare.Grant, error) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			return fanfare.Grant{}, &fanfare.Refusal{
				Status: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {"Bearer"}}}
		}
		return fanfare.Grant{Topics: []string{"user/7/#"}, Tag: "user 7"}, nil
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer authorizer.Close()
	listener, err := hub.Listen("127.0.0.1:0", &fanfare.ListenOptions{Authorizer: authorizer})
	if err != nil {
		log.Fatal(err)
	}
	response, err := http.Get("http://" + listener.Address() + "/events?topic=user/7/mail")
	if err != nil {
		log.Fatal(err)
	}
	response.Body.Close()
	fmt.Println(response.Status, response.Header.Get("WWW-Authenticate"))
	// Output: 401 Unauthorized Bearer
}

func ExampleHub_Topic() {
	hub, err := fanfare.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer hub.Close()
	prices, err := hub.Topic("prices")
	if err != nil {
		log.Fatal(err)
	}
	_, err = prices.PublishContext(context.Background(), fanfare.Event{Key: "FFR", Data: "12.50"})
	fmt.Println(prices, err)
	// Output: prices <nil>
}
