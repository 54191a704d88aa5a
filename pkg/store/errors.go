package store

import (
	"errors"
	"fmt"
)

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("store: no such key")
	// ErrTooOld means that the history before a revision is gone; list again.
	ErrTooOld = errors.New("store: revision is too old")
	// ErrSlow ends the watch of a reader that fell too far behind; it may resume from its last event.
	ErrSlow = errors.New("store: watcher is too slow")
)

// ConflictError says which condition of a Txn did not hold. Rev is the key's present revision, 0 if absent.
type ConflictError struct {
	Key string
	Rev int64
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("store: %s is at revision %d", e.Key, e.Rev)
}

// TooLargeError says that the image did not reach a revision in time.
type TooLargeError struct{ Asked, Current int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("store: revision %d asked for, at %d now", e.Asked, e.Current)
}
