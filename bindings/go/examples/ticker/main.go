// Command ticker publishes the time to the topic "ticks" each second, until it is interrupted.
//
//	go run ./examples/ticker 127.0.0.1:8080
//	curl -N 'http://127.0.0.1:8080/events?topic=ticks'
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

func main() {
	addr := "127.0.0.1:8080"
	if len(os.Args) > 1 {
		addr = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, addr); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, addr string) error {
	hub, err := fanfare.New(&fanfare.Options{Heartbeat: 5 * time.Second})
	if err != nil {
		return err
	}
	defer hub.Close()
	listener, err := hub.Listen(addr, nil)
	if err != nil {
		return err
	}
	fmt.Printf("ticker: listening on %s: /events?topic=ticks\n", listener)

	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticks.C:
			_, err := hub.Publish("ticks", fanfare.Event{Name: "tick", Data: now.Format(time.RFC3339)})
			if errors.Is(err, fanfare.ErrFull) {
				continue // The next tick says all that this one would have.
			}
			if err != nil {
				return err
			}
		}
	}
}
