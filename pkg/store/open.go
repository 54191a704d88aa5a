package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Store implements API. Locks are taken in the order mu, then a watcher's or waiters' own; none is held while
// waiting for etcd or its disk.
type Store struct {
	cfg    Config
	client *clientv3.Client
	kv     pb.KVClient // that of client, as the protocol has it
	server *embedded   // nil when etcd is outside
	source source

	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	tasks  sync.WaitGroup

	closing sync.Once
	closed  error

	mu      sync.RWMutex // image, history, hub: they move together
	image   *image
	history history
	hub     hub

	giveUp  atomic.Pointer[context.CancelCauseFunc] // ends the watch of etcd
	rev     atomic.Int64                            // of the image; set after all watchers of the revision have it queued
	waiters waiters
	newest  shared
	drafts  drafts
	gate    gate
	leases  leases
	kept    kept
	forms   *formCache
	intern  *interner
}

var _ API = (*Store)(nil)

// Open starts or connects to etcd and loads the image. It returns when all that was ever acknowledged is readable.
func Open(ctx context.Context, c Config) (*Store, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg:     c,
		history: history{max: c.HistoryBytes},
		forms:   &formCache{budget: c.FormBudget},
		intern:  newInterner(),
		waiters: waiters{kick: make(chan struct{}, 1)},
	}
	s.hub.indexed = c.Indexed
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	if err := s.connect(ctx); err != nil {
		s.cancel(err)
		return nil, err
	}
	rev, err := s.load(ctx)
	if err != nil {
		s.Close()
		if s.server == nil {
			err = fmt.Errorf("from etcd at %v (is it up, and are the certificates right?): %w", c.Endpoints, err)
		}
		return nil, fmt.Errorf("store: load: %w", err)
	}
	s.tasks.Go(func() { s.follow(rev) })
	s.tasks.Go(s.progressLoop)
	s.tasks.Go(s.compactLoop)
	return s, nil
}

func (s *Store) connect(ctx context.Context) (err error) {
	if s.cfg.Dir != "" {
		if s.server, err = startEmbedded(ctx, s.cfg); err != nil {
			return err
		}
		s.client, s.kv = s.server.client(), s.server.kv()
		s.source = &inside{kv: s.server.server.Server.Watchable(), prefix: s.cfg.Prefix}
		s.tasks.Go(s.mourn)
		return nil
	}
	s.client, err = clientv3.New(clientv3.Config{
		Endpoints:            s.cfg.Endpoints,
		TLS:                  s.cfg.TLS,
		DialTimeout:          20 * time.Second,
		DialKeepAliveTime:    30 * time.Second,
		DialKeepAliveTimeout: 10 * time.Second,
		MaxCallSendMsgSize:   maxRequestBytes,
		Logger:               outsideLogger(s.cfg.Logger),
		Context:              s.ctx,
	})
	if err != nil {
		return fmt.Errorf("store: connect to etcd at %v: %w", s.cfg.Endpoints, err)
	}
	s.kv = clientv3.RetryKVClient(s.client)
	s.source = &outside{client: s.client, prefix: s.cfg.Prefix}
	return nil
}

// mourn makes the death of the etcd inside that of the store: whoever waits learns the reason at once.
func (s *Store) mourn() {
	select {
	case <-s.server.died:
		s.cfg.Logger.Error("the store has stopped", "err", *s.server.err)
		s.shut(*s.server.err)
	case <-s.ctx.Done():
	}
}

// Done is closed when the store has stopped, by Close or because etcd failed for good; Err says why.
func (s *Store) Done() <-chan struct{} { return s.ctx.Done() }

// Err is nil while the store works, ErrClosed after Close, and otherwise what went wrong.
func (s *Store) Err() error { return context.Cause(s.ctx) }

// Close ends all watches and waits, then etcd. What was acknowledged is on disk already.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closed = s.close() })
	return s.closed
}

func (s *Store) close() error {
	s.shut(ErrClosed)
	s.tasks.Wait()
	s.kept.close()
	err := s.client.Close()
	if s.server != nil {
		s.server.close(s.cfg.Logger)
		return nil // the client inside has no connection to close, and says so as an error
	}
	return err
}

// shut ends everything that runs or waits, for the reason err.
func (s *Store) shut(err error) {
	s.cancel(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hub.failAll(s.Err())
}

// until returns a context that ends with ctx and with the store.
func (s *Store) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(s.Err()) })
	return ctx, func() { stop(); cancel(nil) }
}
