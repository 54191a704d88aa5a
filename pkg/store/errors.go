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
	// ErrClosed ends what was waiting when the store was closed.
	ErrClosed = errors.New("store: closed")
	// ErrUnknownOutcome means that a write may or may not have happened: the answer did not arrive in time.
	// Read the object to find out.
	ErrUnknownOutcome = errors.New("store: it is unknown whether the write happened")
	// ErrNoSpace means that etcd takes no more writes until space is freed.
	ErrNoSpace = errors.New("store: etcd's space is used up; delete objects, compact, defragment, " +
		"then clear the alarm (etcdctl alarm disarm)")
	// ErrRequestTooLarge means that a transaction is bigger than etcd takes. It did not happen.
	ErrRequestTooLarge = errors.New("store: etcd refuses a transaction of this size")
)

// ConflictError says which condition of a Txn did not hold. Rev is the key's present revision, 0 if absent.
type ConflictError struct {
	Key string
	Rev int64
}

func (e *ConflictError) Error() string {
	if e.Rev == 0 {
		return fmt.Sprintf("store: %s does not exist", e.Key)
	}
	return fmt.Sprintf("store: %s is at revision %d", e.Key, e.Rev)
}

// TooLargeError says that the image did not reach a revision in time.
type TooLargeError struct{ Asked, Current int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("store: revision %d asked for, at %d now", e.Asked, e.Current)
}
