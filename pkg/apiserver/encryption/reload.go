package encryption

import (
	"context"
	"time"

	"bonsai/pkg/apiserver/configfile"
)

// oldStays is how long the plugins of a configuration that was replaced are still there, for whom is in the middle of asking them.
const oldStays = time.Minute

// Follow puts the file to use again whenever it has changed, until ctx ends. What it has encrypted from then on is by the new first provider; data
// that was written before is read if its provider is still in the list.
func (t *Transformer) Follow(ctx context.Context, counts *configfile.Reloads) {
	r := &reloader{t: t, whole: ctx}
	f := configfile.Follower{Path: t.path, Seen: t.read, Use: r.use, What: "encryption configuration", Logger: t.log, Counts: counts}
	f.Run(ctx)
}

type reloader struct {
	t     *Transformer
	whole context.Context
	end   context.CancelFunc // of the plugins that are asked now; nil for those of the start
}

// use replaces the configuration, once all plugins of the new one are well.
func (r *reloader) use(_ context.Context, data []byte) (bool, error) {
	next, err := parse(r.t.path, data, true)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(r.whole)
	if err := next.start(ctx, r.t.log, r.t.Counts.ofKeys()); err != nil {
		cancel()
		next.close()
		return false, configfile.Later{Err: err}
	}
	old, end := r.t.current.Swap(next), r.end
	r.end = cancel
	time.AfterFunc(oldStays, func() {
		if end != nil {
			end()
		}
		old.close()
	})
	return true, nil
}

// close ends the connections to the plugins.
func (c *configured) close() {
	for _, p := range c.plugins {
		p.service.Close() // nothing is in flight that could fail by it
	}
}
