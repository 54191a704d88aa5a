package store

import "context"

// Watcher is one reader of changes.
type Watcher struct{}

// Next returns the events since the last call, at least one; it blocks until there is one. An error (ErrSlow,
// ErrTooOld, or ctx's) is final.
func (w *Watcher) Next(ctx context.Context) ([]Event, error) { panic("contract only") }
