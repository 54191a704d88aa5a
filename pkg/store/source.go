package store

import (
	"context"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// source is where the image hears of changes from.
type source interface {
	// watch calls emit for all that happens to the prefix from revision from on, until ctx ends or the stream
	// breaks; then it returns the reason, errGap if etcd no longer has what happened. Each emit carries the events
	// of whole revisions, and the revision that the image is at with them. There is one watch at a time.
	watch(ctx context.Context, from int64, emit func([]*mvccpb.Event, int64)) error
	// progress asks for an emit that says how far the watch has come. There may be no answer; ask again.
	progress(ctx context.Context) error
}

// outside is an etcd elsewhere.
type outside struct {
	client *clientv3.Client
	prefix string
}

// stream is the context that names the stream of the one watch to the client library. The leader requirement ends
// the watch of a member that is cut off from its peers.
func (o *outside) stream(ctx context.Context) context.Context { return clientv3.WithRequireLeader(ctx) }

func (o *outside) watch(ctx context.Context, from int64, emit func([]*mvccpb.Event, int64)) error {
	ctx, cancel := context.WithCancel(o.stream(ctx))
	defer cancel()
	for resp := range o.client.Watch(ctx, o.prefix, clientv3.WithPrefix(), clientv3.WithRev(from)) {
		switch {
		case resp.CompactRevision != 0:
			return errGap
		case resp.Err() != nil:
			return resp.Err()
		case resp.IsProgressNotify():
			emit(nil, resp.Header.Revision)
		case len(resp.Events) > 0:
			events := make([]*mvccpb.Event, len(resp.Events))
			for i, e := range resp.Events {
				events[i] = (*mvccpb.Event)(e)
			}
			emit(events, events[len(events)-1].Kv.ModRevision)
		}
	}
	return errStream
}

func (o *outside) progress(ctx context.Context) error { return o.client.RequestProgress(o.stream(ctx)) }

// inside is the etcd in this process, listened to directly. etcd gives a watcher that lags by more than 128 changes
// up for a while and lets it catch up from its database every 100 ms. The client library puts four goroutines
// between etcd and the reader, which under load on few cores are often later than that; here is one, and it only moves
// responses to a list without end.
type inside struct {
	kv     mvcc.WatchableKV
	prefix string

	mu     sync.Mutex
	stream mvcc.WatchStream // of the present watch
	id     mvcc.WatchID
}

func (in *inside) watch(ctx context.Context, from int64, emit func([]*mvccpb.Event, int64)) error {
	stream := in.kv.NewWatchStream()
	box := &mailbox{full: make(chan struct{}, 1)}
	go box.drain(stream.Chan())
	defer in.close(stream)
	end := clientv3.GetPrefixRangeEnd(in.prefix)
	id, err := stream.Watch(ctx, clientv3.AutoWatchID, []byte(in.prefix), []byte(end), from)
	if err != nil {
		return err
	}
	in.set(stream, id)
	for {
		select {
		case <-box.full:
		case <-ctx.Done():
			return ctx.Err()
		}
		events, rev, err := flatten(box.take())
		if err != nil {
			return err
		}
		if rev != 0 {
			emit(events, rev)
		}
	}
}

// flatten joins responses. A response to a watcher that lags names a later revision than that of its last event; the
// event's is how far the watch has come.
func flatten(responses []mvcc.WatchResponse) (events []*mvccpb.Event, rev int64, err error) {
	for _, r := range responses {
		if r.CompactRevision != 0 {
			return nil, 0, errGap
		}
		if rev = r.Revision; len(r.Events) > 0 {
			rev = r.Events[len(r.Events)-1].Kv.ModRevision
		}
		events = append(events, r.Events...)
	}
	return events, rev, nil
}

func (in *inside) set(stream mvcc.WatchStream, id mvcc.WatchID) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stream, in.id = stream, id
}

func (in *inside) close(stream mvcc.WatchStream) {
	in.set(nil, 0)
	stream.Close()
}

func (in *inside) progress(context.Context) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stream != nil {
		in.stream.RequestProgress(in.id)
	}
	return nil
}

// mailbox is a list without end between etcd and the image.
type mailbox struct {
	mu   sync.Mutex
	list []mvcc.WatchResponse
	full chan struct{}
}

// drain runs until etcd closes the channel.
func (m *mailbox) drain(from <-chan mvcc.WatchResponse) {
	for r := range from {
		mvcc.ReportEventReceived(len(r.Events))
		m.mu.Lock()
		m.list = append(m.list, r)
		m.mu.Unlock()
		select {
		case m.full <- struct{}{}:
		default:
		}
	}
}

func (m *mailbox) take() []mvcc.WatchResponse {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.list
	m.list = nil
	return list
}
