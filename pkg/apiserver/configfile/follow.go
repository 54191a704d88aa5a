package configfile

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/util/filesystem"

	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
)

// lookAgain is how often a file is read without notice of a change: not all file systems give notice, and a file that is a link
// into a directory that is exchanged gives none either.
const lookAgain = time.Minute

// Follower puts a file to use again when it has changed. One that cannot be used changes nothing: what was last put to use stays, and a
// line in the log says why.
type Follower struct {
	Path string
	// Seen is what was put to use at the start.
	Seen []byte
	// Use puts data to use. It reports whether that changes anything.
	Use func(ctx context.Context, data []byte) (changed bool, err error)
	// What names the file in the log.
	What   string
	Logger *slog.Logger
	Counts *Reloads // may be nil
}

// Later is the error of Use for what may be usable after all when it is tried again.
type Later struct{ Err error }

func (l Later) Error() string { return l.Err.Error() }

// Unwrap returns the reason.
func (l Later) Unwrap() error { return l.Err }

// Run follows the file until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	f.Counts.applied(f.Seen)
	filesystem.WatchUntil(ctx, lookAgain, f.Path, func() { f.look(ctx) }, func(err error) {
		f.Logger.Warn("changes of a file are looked for once a minute", "what", f.What, "path", f.Path, "error", err)
	})
}

func (f *Follower) look(ctx context.Context) {
	data, err := os.ReadFile(f.Path)
	if err == nil && bytes.Equal(data, f.Seen) {
		return
	}
	changed := false
	if err == nil {
		changed, err = f.Use(ctx, data)
		var later Later
		if !errors.As(err, &later) {
			f.Seen = data
		}
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		f.Logger.Error("a changed file cannot be used; what it said before still holds", "what", f.What, "path", f.Path, "error", err)
		f.Counts.failed()
	case changed:
		f.Logger.Info("a changed file is in use", "what", f.What, "path", f.Path)
		f.Counts.succeeded(data)
	}
}

// Reloads counts how often a configuration was read again, by upstream's names.
type Reloads struct {
	id    string
	total *prometheus.CounterVec
	last  *prometheus.GaugeVec
	info  *prometheus.GaugeVec
	mu    sync.Mutex
}

// NewReloads makes the counters of a controller, which is what upstream calls it: authorization_config_controller for one.
func NewReloads(set *meter.Set, controller, serverID string) *Reloads {
	prefix := "apiserver_" + controller + "_"
	return &Reloads{id: meter.Hash([]byte(serverID)),
		total: set.Counter(prefix+"automatic_reloads_total", "Times that the configuration was read again, by how that went.", "status", "apiserver_id_hash"),
		last:  set.Gauge(prefix+"automatic_reload_last_timestamp_seconds", "When the configuration was last read again.", "status", "apiserver_id_hash"),
		info:  set.Gauge(prefix+"last_config_info", "The hash of the configuration in use.", "apiserver_id_hash", "hash"),
	}
}

func (r *Reloads) failed() {
	if r == nil {
		return
	}
	r.count("failure")
}

func (r *Reloads) succeeded(data []byte) {
	if r == nil {
		return
	}
	r.count("success")
	r.applied(data)
}

func (r *Reloads) count(status string) {
	r.total.WithLabelValues(status, r.id).Inc()
	r.last.WithLabelValues(status, r.id).SetToCurrentTime()
}

// applied notes which configuration is in use.
func (r *Reloads) applied(data []byte) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.info.Reset()
	r.info.WithLabelValues(r.id, meter.Hash(data)).Set(1)
}
