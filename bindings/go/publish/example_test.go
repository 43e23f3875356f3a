package publish_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/fanfare-sse/fanfare/bindings/go/publish"
)

func ExampleClient_Publish() {
	client, err := publish.New("http://127.0.0.1:8081", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	id, err := client.Publish(ctx, "orders/42", publish.Event{Name: "shipped", Data: "by train"})
	switch {
	case errors.Is(err, publish.ErrUnknown):
		log.Print("it may be published: ", err)
	case err != nil:
		log.Print("it is not published: ", err)
	default:
		fmt.Println("published as", id)
	}
}

func ExampleClient_Publisher() {
	client, err := publish.New("unix:/run/fanfare/control.sock", &publish.Options{Token: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	publisher := client.Publisher(&publish.PublisherOptions{
		OnUndelivered: func(events []publish.Undelivered) {
			for _, u := range events {
				log.Printf("%v: %v", u.Topics, u.Err)
			}
		},
	})
	for n := range 1000 {
		// The id marks a repeated event for its subscribers.
		event := publish.Event{Data: fmt.Sprint(n), ID: fmt.Sprintf("run-7/%d", n)}
		err := publisher.Publish("run/7", event)
		if errors.Is(err, publish.ErrFull) {
			continue // or PublishContext, which waits
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var left *publish.UndeliveredError
	if err := publisher.Close(ctx); errors.As(err, &left) {
		log.Printf("%d events were not delivered", len(left.Events))
	}
}
