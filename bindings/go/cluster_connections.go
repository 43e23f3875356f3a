package fanfare

// #include "native.h"
import "C"

import (
	"context"
	"runtime"
	"time"
)

// clusterTimeout is how long the nodes of a cluster are waited for by default.
const clusterTimeout = 2 * time.Second

// ClusterCount is how many connections the nodes of a cluster have, and how many nodes have said so.
type ClusterCount struct {
	// Nodes is how many nodes the cluster has, with the hub that was asked: those that have shown in the last
	// 10 seconds that they are there, and have not ended in order since.
	Nodes uint64
	// Answered is how many of them have answered in time.
	Answered uint64
	// Count is the number of connections at those that have answered, listed or not.
	Count uint64
}

// Missing is how many nodes have not answered in time. Their connections are not in Count.
func (c ClusterCount) Missing() uint64 { return c.Nodes - c.Answered }

// ClusterConnections is how many connections the nodes of a cluster have, and some of them.
type ClusterConnections struct {
	ClusterCount
	// Connections are those that are listed, each with its [Connection.Node].
	Connections []Connection
}

// ClusterConnections counts the connections at all nodes of the hub's cluster, and lists some: at most
// 10,000, and of each node what fits into 2 MiB. With a negative limit it counts, and lists none.
//
// The nodes are waited for until the timeout is over, from 50 ms to 10 s, whatever it says; zero is
// 2 s. If all answer it takes some milliseconds. Nodes that have not answered by then are no error, but
// [ClusterCount.Missing]. When ctx ends first, its error is returned, and the question goes on by itself until
// the timeout; a question holds a thread for its time.
//
// The error is [ErrCluster] when the hub is in no cluster, or the cluster's server does not pass the question
// on; [ErrBusy] when 16 questions of the hub are on their way; [ErrSubscription], [ErrUTF8] for a tag that is
// not, [ErrOptions] for a limit out of its bounds; [ErrClosed] or [ErrForked].
func (h *Hub) ClusterConnections(
	ctx context.Context, filter ConnectionFilter, timeout time.Duration,
) (ClusterConnections, error) {
	isCountOnly := filter.Limit < 0
	if err := filter.check(); err != nil {
		return ClusterConnections{}, err
	}
	return untilDone(ctx, func() (ClusterConnections, error) {
		var memory memory
		defer memory.release()
		given := filter.native(&memory)
		count := C.fanfare_cluster_count_empty()
		var list *C.fanfare_connections
		place := &list
		if isCountOnly {
			place = nil
		}
		err := failure(C.fanfare_hub_cluster_connections(h.pointer(), &given, clusterMS(timeout), &count, place))
		runtime.KeepAlive(h)
		if err != nil {
			return ClusterConnections{}, err
		}
		found := ClusterConnections{ClusterCount: counted(count)}
		if !isCountOnly {
			found.Connections, err = listed(list)
		}
		return found, err
	})
}

// ClusterSubscribers counts the connections at all nodes of the hub's cluster that get a topic's events, by
// its name or by filters, each once. It waits for the nodes as [Hub.ClusterConnections] does, and its errors
// are the same, but for [ErrTopic] when the topic is none.
func (h *Hub) ClusterSubscribers(ctx context.Context, topic string, timeout time.Duration) (ClusterCount, error) {
	return untilDone(ctx, func() (ClusterCount, error) {
		var memory memory
		defer memory.release()
		count := C.fanfare_cluster_count_empty()
		err := failure(C.fanfare_hub_cluster_subscribers(
			h.pointer(), memory.text(topic), clusterMS(timeout), &count))
		runtime.KeepAlive(h)
		return counted(count), err
	})
}

func counted(count C.fanfare_cluster_count) ClusterCount {
	return ClusterCount{uint64(count.nodes), uint64(count.answered), uint64(count.count)}
}

// clusterMS leaves the bounds to the library, which takes the nearest time that it has.
func clusterMS(timeout time.Duration) C.uint64_t {
	if timeout == 0 {
		timeout = clusterTimeout
	}
	return C.uint64_t(wholeMS(timeout))
}
