package store

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// A watcher that was ended with all others may be removed only later, when somebody watches the same prefix again: who came later
// must go on hearing of changes.
func TestHubForgetsTheEndedOnly(t *testing.T) {
	s := &Store{cfg: Config{WatchQueue: 8}}
	var h hub
	before := newWatcher(s, WatchOptions{Prefix: "/registry/pods/"})
	h.add(before)
	h.failAll(errors.New("reloaded"))
	after := newWatcher(s, WatchOptions{Prefix: "/registry/pods/"})
	h.add(after)
	h.remove(before)
	h.route(&change{rev: 1, new: &Object{Key: "/registry/pods/default/web", Rev: 1}})
	require.Equal(t, []*Watcher{after}, h.flush())
	require.Equal(t, 1, h.count)
}
