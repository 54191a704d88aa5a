// Package store keeps every object of the cluster: durably in etcd, and once more in memory as the image
// that all reads and watches are served from. It knows keys, revisions and bytes; it knows no kinds.
//
// # The problem
//
// etcd is durable and orders all writes, but reading through it costs a range read, a copy and a decode for
// each request, and one etcd watch for each watcher. The naive server that does so spends its time
// re-encoding what has not changed.
//
// # The flow
//
//	Commit ──(1) draft──────────────────────────────┐
//	  │                                             │ same *Object
//	  │(2) one transaction    (3) one watch         ▼
//	  └───────────► etcd ──────────────────► follow: change{old, new}
//	                 │                              │ (4) under one lock, a revision at a time
//	                 │(6) revision only             ├──► image    trees by key and by indexed field
//	                 │                              ├──► history  the last changes, for resuming
//	                 ▼                              └──► hub      watchers by prefix and term
//	Get, List ─► Newest ─► Wait ─► image                   │ (5) *change appended to the queue
//	                                                       ▼
//	Watcher.Next ◄── filter: Match, old and new ◄── its own queue
//
// A write is one etcd transaction (Commit); those that come at the same time are sent as a group (gate.go). It is answered after etcd has it on disk. One etcd watch on the
// whole prefix feeds the image, in revision order; the image hands the same *Object, and so the same bytes, to
// every watcher whose scope matches. A watcher's own filter runs in its own goroutine (Next), so that the
// one goroutine that follows etcd does as little as possible for each. Reads of the present never touch etcd's data: a
// read of the newest state asks etcd only for its revision and waits until the image has reached it. Reads of
// the past come from a snapshot that an earlier page was taken from, or from etcd; watches resume from the
// history, or from etcd. etcd forgets after five to ten minutes (Compact), and the history with it.
//
// etcd runs in this process (Config.Dir), then without any socket between; or outside (Config.Endpoints), where several
// stores may share it. Both behave the same, which one test of the model runs side by side.
//
// # The guarantees
//
//   - Commit returns after the transaction is on disk, or with an error that says it did not happen
//     or (ErrUnknownOutcome only) that this is unknown.
//   - The image moves from revision to revision atomically: no read sees half a transaction.
//   - A watcher sees each matching change after its start once, in order, or its watch ends with an error.
//   - An *Object is immutable once handed out. Its Value is exactly what etcd holds or, with Config.Transform (encryption at
//     rest), what was transformed into that: at the border to etcd and nowhere else, so that no read of the image pays for it.
//   - A value that Extract refuses is kept, listed and watched like any other, without Attrs, and logged: hiding it
//     would make it impossible to find and delete.
//
// # Simpler than upstream
//
// One image for all resources instead of one watch cache with its own etcd watch for each; one history;
// old pages are read from kept snapshots of the ordered trees, or from etcd when those are gone. Prefixes are
// whole path segments ("/registry/pods/") or single keys, never parts of a name, which makes routing a change
// to its watchers a lookup per segment.
package store

import (
	"context"
	"sync/atomic"
	"time"
)

// Object is one version of one stored object. It is immutable, apart from its cached forms.
type Object struct {
	// Key is the full etcd key, such as /registry/pods/default/web.
	Key string
	// Rev is the revision of the transaction that wrote this version; for the object of a Deleted event,
	// that of the delete. It is what clients see as resourceVersion.
	Rev int64
	// Value is exactly what etcd holds, but for what Config.Transform makes of it there.
	Value []byte
	// Attrs is what selectors and indexes read.
	Attrs Attrs

	flaw  *flaw
	cache *formCache
	forms [numForms]atomic.Pointer[form]
}

// Attrs are the facts about an object that selectors and indexes need, so that neither decodes anything.
type Attrs struct {
	Labels Set
	Fields Set
}

// Form names one of the encodings that are made from Value at first need and kept with the object.
type Form int

// The forms. Each already carries the resourceVersion.
const (
	JSON Form = iota
	Protobuf
	numForms
)

// ReadAt says which state a read wants. The zero value is the newest: everything acknowledged before the call.
type ReadAt struct {
	Kind ReadKind
	Rev  int64
}

// ReadKind is the manner in which ReadAt.Rev binds.
type ReadKind int

// The kinds of read.
const (
	Newest       ReadKind = iota // all that was acknowledged before the call (resourceVersion unset)
	Any                          // what the image holds, without waiting (resourceVersion=0)
	NotOlderThan                 // Rev or later; waits for it
	Exact                        // the state at exactly Rev
)

// Term narrows a list or watch to the objects whose field has this value. It is looked up if the field is one of
// Config.Indexed, and tried object by object otherwise.
type Term struct{ Field, Value string }

// ListOptions narrow and page a List.
type ListOptions struct {
	Term  *Term              // looked up, not tried one by one
	Match func(*Object) bool // nil matches all
	Limit int                // 0: no limit
	After string             // the last key of the page before
}

// Page is a consistent part of the image, in key order.
type Page struct {
	Objects []*Object
	Rev     int64 // the revision that the whole list is from; pass it as Exact for the next page
	More    bool
	// Remaining counts what follows this page; -1 when unknown, because Match or Term is set.
	Remaining int64
	// Looked is how many objects were looked at, Waited how long the image was waited for; Past says that it had to be read from etcd.
	Looked int
	Waited time.Duration
	Past   bool
}

// Condition holds if Key was last written at Rev; Rev 0 means the key is absent.
type Condition struct {
	Key string
	Rev int64
}

// Put writes one object. The store keeps Value: it must not be changed afterwards.
type Put struct {
	Key   string
	Value []byte
	Attrs Attrs
	// TTL is after which etcd drops the object, at the earliest; 0 keeps it until deleted. Objects of about the same
	// age share a lease, so that it may stay up to a minute longer.
	TTL time.Duration
	// JSON, if not nil, makes the object's form JSON when its revision is known, before anybody sees the object: so no reader has to.
	// It is called once at most. Maker is as in FormBy.
	JSON  func(rev int64) []byte
	Maker uint64
}

// Txn is applied wholly, if all conditions hold, or not at all. No key may occur twice in Put and Delete.
type Txn struct {
	If     []Condition
	Put    []Put
	Delete []string
}

// WatchOptions say what a watcher sees.
type WatchOptions struct {
	// Prefix is a directory ("/registry/pods/") or, without a slash at its end, one key.
	Prefix string
	Term   *Term
	Match  func(*Object) bool
	// After is the revision after which changes are delivered. Ignored with Initial.
	After int64
	// Initial, if not nil, makes the watch begin with the state it names, as Added events, then an event
	// with InitialEnd set, then the changes. Exact means NotOlderThan here: what follows is newer anyway.
	Initial *ReadAt
	// Bookmarks asks for Bookmark events, about once a minute when nothing else was sent.
	Bookmarks bool
}

// EventType is what happened to an object, as this watcher's Match sees it: an object that begins to match is
// Added, one that ceases to match is Deleted.
type EventType int

// The event types.
const (
	Added EventType = iota
	Modified
	Deleted
	Bookmark
)

// Event is one change.
type Event struct {
	Type   EventType
	Object *Object // nil for Bookmark; for Deleted, the last state with Rev set to that of the delete
	Rev    int64
	// InitialEnd marks the Bookmark that closes the initial state.
	InitialEnd bool
}

// API is the store as the API server uses it; *Store is the only implementation outside tests.
type API interface {
	// Get returns the object, or ErrNotFound.
	Get(ctx context.Context, key string, at ReadAt) (*Object, error)
	// List returns the objects below prefix, a directory ("/registry/pods/"), or the one whose key it is. ErrTooOld if Exact names a compacted revision,
	// *TooLargeError if a revision is asked for that does not come about in time.
	List(ctx context.Context, prefix string, at ReadAt, o ListOptions) (*Page, error)
	// Watch starts a watcher; it ends with ctx. ErrTooOld if changes after After are no longer known.
	Watch(ctx context.Context, o WatchOptions) (*Watcher, error)
	// Commit applies t. It returns one Object for each Put, the same that the image and watchers hand out, then
	// one for each Delete: the last state with Rev set to that of the delete, or nil if there was none.
	// *ConflictError if a condition does not hold; ErrUnknownOutcome if no answer came in time.
	Commit(ctx context.Context, t Txn) ([]*Object, error)
	// Newest returns etcd's revision by a quorum read; concurrent callers share one.
	Newest(ctx context.Context) (int64, error)
	// Wait returns when the image has reached rev.
	Wait(ctx context.Context, rev int64) error
	// Revision is the image's.
	Revision() int64
}
