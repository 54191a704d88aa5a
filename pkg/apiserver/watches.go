package apiserver

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// watching is one open watch: who it is, for people to look at, and what it does, for the guard.
type watching struct {
	user, agent string
	row         *resource.Row
	namespace   string
	scope       string
	narrow      bool // looked up by an indexed field, so that few changes concern it
	since       time.Time
	watcher     atomic.Pointer[store.Watcher]
	cancel      context.CancelFunc
	givenUp     bool // by the guard; it still has graceToRead

	// writing is since when a write to the client is under way, in Unix nanoseconds; 0 between writes.
	writing      atomic.Int64
	sent, events atomic.Int64 // the last revision sent; how many events
}

// watches are all that are open. What writes cost depends on how many there are of a kind, so these are counted by scope.
type watches struct {
	mu      sync.Mutex
	open    map[*watching]struct{}
	byUser  map[string]int
	byScope map[watchScope]int
	most    int
	perUser int
}

// watchScope is the objects of a kind, in one namespace or (empty) in all.
type watchScope struct {
	row       *resource.Row
	namespace string
}

func newWatches(most, perUser int) *watches {
	return &watches{open: map[*watching]struct{}{}, byUser: map[string]int{}, byScope: map[watchScope]int{}, most: most, perUser: perUser}
}

// begin counts w in, unless there are too many already: each costs memory for as long as its client likes. Administrators have
// no limit of their own.
func (ws *watches) begin(w *watching, admin bool) error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.open) >= ws.most || ws.byUser[w.user] >= ws.perUser && !admin {
		return apierrors.NewTooManyRequests("Too many requests, please try again later.", 5)
	}
	ws.open[w] = struct{}{}
	ws.byUser[w.user]++
	if !w.narrow {
		ws.byScope[w.in()]++
	}
	return nil
}

func (w *watching) in() watchScope { return watchScope{w.row, w.namespace} }

func (ws *watches) end(w *watching) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.open, w)
	drop(ws.byUser, w.user)
	if !w.narrow {
		drop(ws.byScope, w.in())
	}
}

// drop takes one off, and forgets the key with the last.
func drop[K comparable](m map[K]int, k K) {
	if m[k]--; m[k] <= 0 {
		delete(m, k)
	}
}

// interested is how many watches are told of a change of one object.
func (ws *watches) interested(row *resource.Row, namespace string) int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	n := ws.byScope[watchScope{row, ""}]
	if namespace != "" {
		n += ws.byScope[watchScope{row, namespace}]
	}
	return n
}

// stalled ends the watches whose client has not taken in what was written since before the time given.
func (ws *watches) stalled(before time.Time) (ended int) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.open {
		if since := w.writing.Load(); !w.givenUp && since != 0 && since < before.UnixNano() {
			w.cancel()
			w.givenUp = true
			ended++
		}
	}
	return ended
}

// guard ends stalled watches. A reader that takes nothing holds buffers, a goroutine and whatever its events point at; that it will have to
// begin anew costs it one request.
func (s *Server) guard(ctx context.Context) {
	every := time.NewTicker(s.cfg.WatchStall / 3)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			if n := s.watches.stalled(time.Now().Add(-s.cfg.WatchStall)); n > 0 {
				s.log.Info("watches ended whose readers have stalled", "count", n)
			}
		}
	}
}

// table lists the open watches, those that are furthest behind first.
func (ws *watches) table(now time.Time) [][]string {
	ws.mu.Lock()
	list := make([]*watching, 0, len(ws.open))
	for w := range ws.open {
		list = append(list, w)
	}
	ws.mu.Unlock()
	behind := map[*watching]int{}
	for _, w := range list {
		if from := w.watcher.Load(); from != nil {
			behind[w] = from.Behind()
		}
	}
	slices.SortFunc(list, func(a, b *watching) int {
		return cmp.Or(cmp.Compare(behind[b], behind[a]), cmp.Compare(a.scope, b.scope), a.since.Compare(b.since))
	})
	rows := make([][]string, 0, len(list))
	for _, w := range list {
		stalled := ""
		if since := w.writing.Load(); since != 0 {
			stalled = now.Sub(time.Unix(0, since)).Round(time.Millisecond).String()
		}
		rows = append(rows, []string{w.scope[:min(len(w.scope), 200)], w.user, w.agent, now.Sub(w.since).Round(time.Second).String(),
			fmt.Sprint(w.events.Load()), fmt.Sprint(w.sent.Load()), fmt.Sprint(behind[w]), stalled})
	}
	return rows
}

// guarded passes on what is for the client, and notes for the guard that it is at it.
type guarded struct {
	to *recorder
	*watching
}

func (g guarded) Write(b []byte) (int, error) {
	g.writing.Store(time.Now().UnixNano())
	defer g.writing.Store(0)
	return g.to.Write(b)
}

func (g guarded) Flush() {
	g.writing.Store(time.Now().UnixNano())
	defer g.writing.Store(0)
	g.to.Flush()
}
