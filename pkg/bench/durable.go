package bench

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// durable is an etcd behind the limit server, of which nothing is asked but to keep what is sent:
//
//	POST /durable?size=N    reads the body, has etcd keep it under a key of its own, answers N bytes
//
// An echo that keeps is what no server that writes to etcd can outdo with requests of one write each. It is started when it is first
// asked for, since most rows do without.
type durable struct {
	dir    string
	start  sync.Once
	server *embed.Etcd
	err    error
	last   atomic.Int64
}

func (d *durable) keep(ctx context.Context, body []byte) error {
	if d.start.Do(d.run); d.err != nil {
		return d.err
	}
	key := strconv.AppendInt([]byte("/registry/pods/bench/"), d.last.Add(1), 10)
	_, err := d.server.Server.Put(ctx, &pb.PutRequest{Key: key, Value: body})
	return err
}

func (d *durable) run() {
	c := embed.NewConfig()
	c.Dir = filepath.Join(d.dir, "etcd")
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	c.ListenPeerUrls, c.ListenClientUrls, c.AdvertiseClientUrls = nil, nil, nil
	if d.server, d.err = embed.StartEtcd(c); d.err == nil {
		<-d.server.Server.ReadyNotify()
	}
}

func (d *durable) close() {
	if d.server != nil {
		d.server.Close()
		os.RemoveAll(d.server.Config().Dir)
	}
}

// durably is echo, once etcd has the body.
func (l *limits) durably(w http.ResponseWriter, r *http.Request) {
	l.answering(w, r, func(body []byte) error {
		if err := l.etcd.keep(r.Context(), body); err != nil {
			return fmt.Errorf("keep in etcd: %w", err)
		}
		return nil
	})
}
