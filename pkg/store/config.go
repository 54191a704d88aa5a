package store

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"time"
)

// Config says where the data is and how much memory may be spent on it. Zero values mean the defaults named.
type Config struct {
	// Dir is the data directory of the etcd that runs inside this process. Either Dir or Endpoints is set.
	Dir string
	// ClientURL is where the etcd inside listens for others, such as etcdctl: "http://127.0.0.1:2379" or
	// "unix:///run/etcd.sock". Empty: nowhere. There is no authentication on it; keep it on the machine.
	ClientURL string
	// Endpoints are those of an etcd outside, 3.5.8 or later (before, its progress answers could overtake events);
	// TLS is how to reach it.
	Endpoints []string
	TLS       *tls.Config

	// Prefix is what the image covers; it ends in a slash. Default "/registry/".
	Prefix string
	// Extract reads the Attrs from a stored value. It is called for what other processes wrote, at Open for
	// everything, and concurrently. nil: no Attrs.
	Extract func(key string, value []byte) (Attrs, error)
	// Transform is what values pass on their way to and from etcd. nil: etcd holds them as they are.
	Transform Transformer
	// Indexed names the fields that a Term looks up instead of trying one object after the other.
	Indexed []string

	// FormBudget is how many bytes of cached encodings are kept in total. Default 64 MiB.
	FormBudget int64
	// HistoryBytes is how many bytes of past values are kept in memory for watches to resume from; beyond it they
	// are resumed from etcd. Default 16 MiB.
	HistoryBytes int64
	// WatchQueue is how many changes a watcher may be behind. Default 8192.
	WatchQueue int
	// QuotaBytes bounds the etcd inside. Default 4 GiB.
	QuotaBytes int64
	// CompactEvery is the time after which etcd and the history forget the past: what is older than two of them is
	// gone, what is younger than one is kept. Default 5 minutes, as upstream; negative: never, which suits an
	// etcd that something else compacts.
	CompactEvery time.Duration
	// BookmarkEvery is the time between the bookmarks of an otherwise silent watch, roughly. Default one minute.
	BookmarkEvery time.Duration

	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if (c.Dir == "") == (len(c.Endpoints) == 0) {
		return c, errors.New("store: set either Dir, for an etcd in this process, or Endpoints, for one outside")
	}
	or(&c.Prefix, "/registry/")
	or(&c.FormBudget, 64<<20)
	or(&c.HistoryBytes, 16<<20)
	or(&c.WatchQueue, 8192)
	or(&c.QuotaBytes, 4<<30)
	or(&c.CompactEvery, 5*time.Minute)
	or(&c.BookmarkEvery, time.Minute)
	or(&c.Logger, slog.New(slog.DiscardHandler))
	if c.Extract == nil {
		c.Extract = func(string, []byte) (Attrs, error) { return Attrs{}, nil }
	}
	return c, nil
}

func or[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
