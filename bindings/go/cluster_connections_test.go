package fanfare_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	fanfare "github.com/fanfare-sse/fanfare/bindings/go"
)

// node starts a hub of a cluster, which listens.
func node(t *testing.T, url string) (hub *fanfare.Hub, port int) {
	t.Helper()
	return start(t, &fanfare.Options{ClusterURL: url, ClusterPrefix: "go", Shards: 1, Logger: quiet()})
}

// untilNodes waits until so many nodes answer: one shows itself a moment after it has come.
func untilNodes(t *testing.T, hub *fanfare.Hub, want uint64) {
	t.Helper()
	until(t, fmt.Sprintf("%d nodes answer", want), func() bool {
		count, err := hub.ClusterSubscribers(withDeadline(t), "none", 0)
		if err != nil && !errors.Is(err, fanfare.ErrCluster) {
			t.Fatal(err)
		}
		return count.Nodes == want && count.Answered == want
	})
}

func idsOf(connections []fanfare.Connection) []fanfare.ConnectionID {
	ids := make([]fanfare.ConnectionID, len(connections))
	for i, connection := range connections {
		ids[i] = connection.ID
	}
	slices.Sort(ids)
	return ids
}

func TestAHubOfAClusterCountsAndListsTheConnectionsOfAll(t *testing.T) {
	url := redisServer(t)
	hubs, ports := make([]*fanfare.Hub, 2), make([]int, 2)
	for i := range hubs {
		hubs[i], ports[i] = node(t, url)
	}
	ctx := withDeadline(t)
	subscribe(t, ports[0], "rooms/1")
	subscribe(t, ports[1], "rooms/1")
	subscribe(t, ports[1], "rooms/2")
	pulled(t, hubs[0], &fanfare.StreamOptions{Tag: "7"}, "rooms/+")
	pulled(t, hubs[1], &fanfare.StreamOptions{Tag: "7"}, "rooms/2")
	untilConnections(t, hubs[0], 2)
	untilConnections(t, hubs[1], 3)
	for _, hub := range hubs {
		untilNodes(t, hub, 2)
		for topic, want := range map[string]uint64{"rooms/1": 3, "rooms/2": 3, "rooms/3": 1, "other": 0} {
			count, err := hub.ClusterSubscribers(ctx, topic, 10*time.Second)
			if err != nil || count != (fanfare.ClusterCount{Nodes: 2, Answered: 2, Count: want}) || count.Missing() != 0 {
				t.Errorf("%s: %+v, %v", topic, count, err)
			}
		}
		found, err := hub.ClusterConnections(ctx, fanfare.ConnectionFilter{}, 10*time.Second)
		if err != nil || found.ClusterCount != (fanfare.ClusterCount{Nodes: 2, Answered: 2, Count: 5}) {
			t.Fatalf("%+v, %v", found, err)
		}
		byNode := make(map[string][]fanfare.Connection)
		for _, connection := range found.Connections {
			byNode[connection.Node] = append(byNode[connection.Node], connection)
		}
		var listed [][]fanfare.ConnectionID
		for name, connections := range byNode {
			if name == "" {
				t.Error("a connection has no node")
			}
			listed = append(listed, idsOf(connections))
		}
		slices.SortFunc(listed, func(a, b []fanfare.ConnectionID) int { return len(a) - len(b) })
		for i, own := range hubs {
			connections, err := own.Connections(fanfare.ConnectionFilter{})
			if err != nil || len(listed) != 2 || !slices.Equal(listed[i], idsOf(connections)) || connections[0].Node != "" {
				t.Errorf("%v are listed, and %+v of node %d, %v", listed, connections, i, err)
			}
		}

		tagged, err := hub.ClusterConnections(ctx, fanfare.ConnectionFilter{Tag: "7"}, 10*time.Second)
		if err != nil || tagged.Count != 2 || len(tagged.Connections) != 2 ||
			tagged.Connections[0].Node == tagged.Connections[1].Node {
			t.Fatalf("%+v, %v", tagged, err)
		}
		for _, connection := range tagged.Connections {
			if connection.Tag != "7" || len(connection.Subscriptions) != 1 || time.Since(connection.Since) > time.Minute {
				t.Errorf("it is %+v", connection)
			}
		}
		of := fanfare.ConnectionFilter{Subscription: "rooms/1", Limit: 1}
		if found, err := hub.ClusterConnections(ctx, of, 10*time.Second); err != nil || found.Count != 2 ||
			len(found.Connections) != 1 || !slices.Equal(found.Connections[0].Subscriptions, []string{"rooms/1"}) {
			t.Errorf("%+v, %v", found, err)
		}
		of.Limit = -1
		if found, err := hub.ClusterConnections(ctx, of, 10*time.Second); err != nil || found.Count != 2 ||
			found.Connections != nil {
			t.Errorf("%+v, %v", found, err)
		}
	}
	hubs[0].Close()
	untilNodes(t, hubs[1], 1)
	ended, end := context.WithCancel(ctx)
	end()
	all := fanfare.ConnectionFilter{}
	alone := bare(t, nil)
	for _, want := range []struct{ got, want error }{
		{second1(hubs[1].ClusterSubscribers(ctx, "rooms/+", 0)), fanfare.ErrTopic},
		{second1(hubs[1].ClusterConnections(ctx, fanfare.ConnectionFilter{Subscription: "a#"}, 0)), fanfare.ErrSubscription},
		{second1(hubs[1].ClusterConnections(ctx, fanfare.ConnectionFilter{Tag: "\xff"}, 0)), fanfare.ErrUTF8},
		{second1(hubs[1].ClusterConnections(ctx, fanfare.ConnectionFilter{Limit: 1_000_001}, 0)), fanfare.ErrOptions},
		{second1(hubs[1].ClusterConnections(ended, all, 0)), context.Canceled},
		{second1(hubs[1].ClusterSubscribers(ended, "rooms/1", 0)), context.Canceled},
		{second1(hubs[0].ClusterConnections(ctx, all, 0)), fanfare.ErrClosed},
		{second1(hubs[0].ClusterSubscribers(ctx, "rooms/1", 0)), fanfare.ErrClosed},
		{second1(alone.ClusterConnections(ctx, all, 0)), fanfare.ErrCluster},
		{second1(alone.ClusterSubscribers(ctx, "rooms/1", 0)), fanfare.ErrCluster},
	} {
		if !errors.Is(want.got, want.want) {
			t.Errorf("%v, not %v", want.got, want.want)
		}
	}
}

// wire is between a node and its cluster's server, and passes nothing on while the gate is locked.
type wire struct {
	url  string
	gate sync.RWMutex
}

func newWire(t *testing.T, url string) *wire {
	t.Helper()
	addr, db, _ := strings.Cut(strings.TrimPrefix(url, "redis://"), "/")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	w := &wire{url: fmt.Sprintf("redis://%s/%s", listener.Addr(), db)}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", addr)
			if err != nil {
				near.Close()
				continue
			}
			go w.pass(near, far)
			go w.pass(far, near)
		}
	}()
	return w
}

func (w *wire) pass(from, to net.Conn) {
	defer to.Close()
	part := make([]byte, 4096)
	for {
		n, err := from.Read(part)
		w.gate.RLock()
		_, writing := to.Write(part[:n])
		w.gate.RUnlock()
		if err != nil || writing != nil {
			return
		}
	}
}

func TestANodeThatIsCutOffIsMissing(t *testing.T) {
	url := redisServer(t)
	wire := newWire(t, url)
	hub, port := node(t, url)
	far, farPort := node(t, wire.url)
	subscribe(t, port, "rooms/1")
	subscribe(t, farPort, "rooms/1")
	untilNodes(t, hub, 2)
	untilNodes(t, far, 2)
	ctx := withDeadline(t)

	wire.gate.Lock()
	release := sync.OnceFunc(wire.gate.Unlock)
	defer release()
	partly := fanfare.ClusterCount{Nodes: 2, Answered: 1, Count: 1}
	count, err := hub.ClusterSubscribers(ctx, "rooms/1", time.Second)
	if err != nil || count != partly || count.Missing() != 1 {
		t.Errorf("%+v, %v", count, err)
	}
	found, err := hub.ClusterConnections(ctx, fanfare.ConnectionFilter{}, time.Second)
	if err != nil || found.ClusterCount != partly || len(found.Connections) != 1 {
		t.Errorf("%+v, %v", found, err)
	}
	// It asks, and gets no answer from the server.
	if _, err := far.ClusterSubscribers(ctx, "rooms/1", -1); !errors.Is(err, fanfare.ErrCluster) {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := hub.ClusterConnections(short, fanfare.ConnectionFilter{}, time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	answers := make(chan error, 17)
	for range cap(answers) {
		go func() { answers <- second1(hub.ClusterSubscribers(ctx, "rooms/1", 2*time.Second)) }()
	}
	busy := 0
	for range cap(answers) {
		if err := <-answers; errors.Is(err, fanfare.ErrBusy) {
			busy++
		} else if err != nil {
			t.Error(err)
		}
	}
	if busy == 0 {
		t.Error("17 questions are on their way at once")
	}
	release()
	untilNodes(t, hub, 2)
	untilNodes(t, far, 2)
}

func TestAHubOfAClusterIsClosedWhileItAsks(t *testing.T) {
	hub, _ := node(t, redisServer(t))
	ctx := withDeadline(t)
	var running, begun sync.WaitGroup
	for _, ask := range []func() error{
		func() error { return second1(hub.ClusterConnections(ctx, fanfare.ConnectionFilter{}, 0)) },
		func() error { return second1(hub.ClusterSubscribers(ctx, "t", 0)) },
	} {
		running.Add(1)
		begun.Add(1)
		go func() {
			defer running.Done()
			err := ask()
			for begun.Done(); !errors.Is(err, fanfare.ErrClosed); err = ask() {
				if err != nil && !errors.Is(err, fanfare.ErrCluster) {
					t.Error(err)
					return
				}
			}
		}()
	}
	begun.Wait()
	hub.Close()
	running.Wait()
}
