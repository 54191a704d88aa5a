package store

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy/adapter"
	"go.uber.org/zap"
)

// embedded is an etcd of one member in this process. It has no peers and so listens for none; others reach it only
// if a client URL is set. Several of them on one machine have nothing in common to clash over.
type embedded struct {
	server *embed.Etcd
	lock   *os.File
	// died is closed when etcd gave up, because it could not write to the disk; err says why.
	died <-chan struct{}
	err  *error
}

// Limits of one transaction. Upstream's clients send up to 3 MiB, and upstream's etcd takes half of that.
const (
	maxRequestBytes = 8 << 20
	maxTxnOps       = 16384
)

func startEmbedded(ctx context.Context, c Config) (*embedded, error) {
	lock, err := lockDir(c.Dir)
	if err != nil {
		return nil, err
	}
	e := &embedded{lock: lock}
	logger, died, why := etcdLogger(c.Logger)
	e.died, e.err = died, why
	ec, err := etcdConfig(c, logger)
	if err != nil {
		lock.Close()
		return nil, err
	}
	if err := e.start(ec); err != nil {
		lock.Close()
		return nil, fmt.Errorf("store: start etcd in %s: %w", c.Dir, err)
	}
	select {
	case <-e.server.Server.ReadyNotify():
		return e, nil
	case err = <-e.server.Err():
	case <-e.died:
		err = *e.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	e.close(slog.New(slog.DiscardHandler))
	return nil, fmt.Errorf("store: wait for etcd in %s: %w", c.Dir, err)
}

// start starts etcd in a goroutine of its own, because that is what ends when etcd finds its files unreadable: it
// logs at level fatal, or panics.
func (e *embedded) start(c *embed.Config) error {
	started := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				started <- fmt.Errorf("etcd panicked, its files may be damaged; if so, restore a backup: %v", p)
			}
		}()
		var err error
		e.server, err = embed.StartEtcd(c)
		started <- err
	}()
	select {
	case err := <-started:
		return err
	case <-e.died:
		return *e.err
	}
}

// lockDir keeps a second process out of dir. etcd has locks of its own, but waits for them in silence for ever.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("store: %s is in use by another process; stop it or choose another directory: %w", dir, err)
	}
	return f, nil
}

func etcdConfig(c Config, logger *zap.Logger) (*embed.Config, error) {
	ec := embed.NewConfig()
	ec.Dir = c.Dir
	ec.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)
	ec.ListenPeerUrls, ec.ListenClientUrls, ec.AdvertiseClientUrls = nil, nil, nil
	if c.ClientURL != "" {
		u, err := url.Parse(c.ClientURL)
		if err != nil {
			return nil, fmt.Errorf("store: client URL: %w", err)
		}
		ec.ListenClientUrls, ec.AdvertiseClientUrls = []url.URL{*u}, []url.URL{*u}
		ec.EnableGRPCGateway = false
	}

	// A lone member waits one to five ticks at start, for a rival that cannot come; and each tick costs a little
	// for as long as it runs. This is a start after at most a quarter of a second, and half a percent of a core.
	ec.TickMs, ec.ElectionMs = 50, 250
	// The raft log in memory serves followers that lag; there are none. Fewer entries than this would mean more
	// snapshots, each of which waits for the disk.
	ec.SnapshotCount, ec.SnapshotCatchUpEntries = 2000, 100
	ec.MaxSnapFiles, ec.MaxWalFiles = 2, 2
	ec.MaxTxnOps, ec.MaxRequestBytes = maxTxnOps, maxRequestBytes
	ec.QuotaBackendBytes = c.QuotaBytes
	ec.AutoCompactionRetention = "0" // compactLoop does it
	ec.BackendFreelistType = "map"
	return ec, nil
}

func (e *embedded) client() *clientv3.Client { return v3client.New(e.server.Server) }

// kv is what of etcd reads and writes, as the protocol has it.
func (e *embedded) kv() pb.KVClient {
	return adapter.KvServerToKvClient(v3rpc.NewQuotaKVServer(e.server.Server))
}

// close stops etcd. One that has died of its disk may not be able to stop in order: nothing is lost by leaving it.
func (e *embedded) close(log *slog.Logger) {
	defer e.lock.Close()
	done := make(chan struct{})
	go func() { defer close(done); e.server.Close() }()
	select {
	case <-done:
		return
	case <-e.died:
	}
	select {
	case <-done:
	case <-time.After(2 * time.Second):
		log.Error("etcd did not stop in order", "err", *e.err)
	}
}
