package apiserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// watch answers with a stream of events until the client, its timeout or the server ends it. An event is a few bytes
// around the object's kept ones; a batch of them is flushed at once, so that a client that is behind catches up in large writes.
func (s *Server) watch(c *call) error {
	l, err := listOptions(c)
	if err != nil {
		return err
	}
	if c.f.media == mediaYAML {
		return notAcceptable(typeJSON+streamed, typeProtobuf+streamed)
	}
	c.f.pretty = false
	ctx, cancel := context.WithTimeout(c.ctx(), watchTime(l.TimeoutSeconds))
	defer cancel()
	ctx, withdrawn := c.kinds.whileServed(ctx, c.t.row)
	defer withdrawn()
	stop := context.AfterFunc(s.stopping, cancel)
	defer stop()
	defer c.cutOffStream(ctx)()
	me := &watching{user: c.user.Name, agent: managerOf("", c.r), row: c.t.row, namespace: c.t.namespace, scope: l.scope(),
		narrow: l.isNarrow(), since: c.start, cancel: cancel}
	if err := s.watches.begin(me, isAdmin(c)); err != nil {
		return err
	}
	defer s.watches.end(me)
	w, fromState, openErr := s.openWatch(ctx, l)
	future := (*store.TooLargeError)(nil)
	over := openErr != nil && ctx.Err() != nil // before it began: it was to take no time
	if openErr != nil && !over && !errors.Is(openErr, store.ErrTooOld) && !errors.As(openErr, &future) {
		return apiError(openErr, c.t, "")
	}
	out, err := newEventWriter(c, s.now, guarded{c.w, me})
	if err != nil {
		return err
	}
	if websocket.IsWebSocketUpgrade(c.r) {
		if out.frames, err = frames(c); err != nil {
			return nil // it has been answered
		}
		defer out.frames.follow(ctx, cancel)()
	} else {
		out.head()
	}
	switch {
	case over:
		return nil
	case future != nil:
		return s.endWatch(c, out, apiError(openErr, c.t, ""))
	case openErr != nil:
		return s.endWatch(c, out, tooOld(l.ResourceVersion, s.store.Revision()))
	}
	me.watcher.Store(w)
	if !fromState {
		c.pass.Leave(s.now()) // from here on it only waits
	}
	defer s.metrics.watching(c.t)()
	return s.endWatch(c, out, s.stream(ctx, w, out, l))
}

// watchTime is how long a watch lasts: what the client asks for or, lest all clients come back at once, half an hour to an hour.
func watchTime(asked *int64) time.Duration {
	if asked != nil && *asked != 0 {
		return time.Duration(*asked) * time.Second
	}
	return time.Duration((1 + rand.Float64()) * float64(30*time.Minute))
}

// openWatch decides where a watch begins: with the state and then its changes, or with the changes after a revision.
func (s *Server) openWatch(ctx context.Context, l *listing) (w *store.Watcher, fromState bool, err error) {
	o := store.WatchOptions{Prefix: l.prefix, Term: l.term, Match: l.match, Bookmarks: l.AllowWatchBookmarks}
	at, err := readAt(l.ResourceVersion)
	if err != nil {
		return nil, false, err
	}
	wantsState := at.Kind != store.NotOlderThan // without a revision, a watch has always begun with the state
	if l.SendInitialEvents != nil {
		wantsState = *l.SendInitialEvents
	}
	switch {
	case wantsState:
		o.Initial = &at
	case at.Kind == store.NotOlderThan:
		o.After = at.Rev
	default:
		if o.After, err = s.store.Newest(ctx); err != nil {
			return nil, false, err
		}
	}
	w, err = s.store.Watch(ctx, o)
	return w, wantsState, err
}

// stream copies events from w to out until one of them ends.
func (s *Server) stream(ctx context.Context, w *store.Watcher, out *eventWriter, l *listing) error {
	sent := s.metrics.watchEvents.WithLabelValues(out.c.t.group, out.c.t.version, out.c.t.resource)
	out.sizes = s.metrics.watchSizes.WithLabelValues(out.c.t.group, out.c.t.version, out.c.t.resource)
	var pause pause
	initial := 0
	for {
		events, err := w.Next(ctx)
		if err != nil {
			return err
		}
		begun := false
		for i := range events {
			if events[i].InitialEnd {
				begun = true
			} else if !begun {
				initial++
			}
			if events[i].Type == store.Bookmark && !wantsBookmark(l, &events[i]) {
				continue
			}
			if err := out.event(&events[i]); err != nil {
				return err
			}
		}
		if err := out.flush(); err != nil {
			return err
		}
		sent.Add(float64(len(events)))
		if begun {
			s.metrics.storage.began(out.c, l, initial, s.now())
			out.c.pass.Leave(s.now()) // from here on it only waits
		}
		pause.take(ctx, s.gatherTime(out.to.watching, len(events)))
	}
}

// wantsBookmark tells whether a bookmark is for this client: the one that ends the initial state unless it
// wants none.
func wantsBookmark(l *listing, e *store.Event) bool {
	return l.AllowWatchBookmarks && (!e.InitialEnd || l.SendInitialEvents == nil || *l.SendInitialEvents)
}

// endWatch tells the client, within the stream, why it ends, unless that is the client's own doing or no more than time.
// A reader that was too slow is just cut off: it can go on from its last event.
func (s *Server) endWatch(c *call, out *eventWriter, err error) error {
	var status apierrors.APIStatus
	switch {
	case errors.Is(err, store.ErrTooOld):
		err = apierrors.NewResourceExpired("The resourceVersion for the provided watch is too old.")
	case errors.As(err, &status):
	case errors.Is(err, store.ErrSlow):
		s.metrics.slowWatchers.WithLabelValues(c.t.group, c.t.resource).Inc()
		return nil
	case err == nil, c.ctx().Err() != nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	default:
		s.log.Warn("watch ended", "auditID", c.auditID, "path", c.r.URL.Path, "error", err)
	}
	out.fail(err)
	return nil
}

func tooOld(asked string, oldest int64) error {
	return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %s (%d)", asked, oldest))
}

// eventWriter encodes events for one watch.
type eventWriter struct {
	c     *call
	f     format
	to    guarded
	b     *bufio.Writer // nil between events: a watch that has nothing to say holds no buffer
	read  func(*store.Object) ([]byte, error)
	now   func() time.Time
	table *tabler // if the client wants tables
	// frames is where each event is a message; nil where they are a stream.
	frames *framed
	sizes  prometheus.Observer
}

func newEventWriter(c *call, now func() time.Time, to guarded) (*eventWriter, error) {
	w := &eventWriter{c: c, f: c.f, to: to, now: now, read: reader(c.t, c.f)}
	if c.f.shape == asTable {
		var err error
		if w.table, err = newTabler(c); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// head begins the answer, so that the client knows that it watches before anything happens.
func (w *eventWriter) head() {
	contentType := typeJSON
	if w.f.media == mediaProtobuf {
		contentType = typeProtobuf + ";stream=watch"
	}
	w.c.w.Header().Set("Content-Type", contentType)
	w.c.w.WriteHeader(http.StatusOK)
	w.to.Flush()
}

func (w *eventWriter) flush() error {
	if w.b == nil {
		return nil
	}
	err := w.b.Flush()
	w.b.Reset(nil)
	writers.Put(w.b)
	if w.b = nil; err != nil {
		return err
	}
	w.to.Flush()
	return nil
}

var eventNames = [...]string{store.Added: "ADDED", store.Modified: "MODIFIED", store.Deleted: "DELETED", store.Bookmark: "BOOKMARK"}

// event writes one event.
func (w *eventWriter) event(e *store.Event) error {
	body, err := w.body(e)
	if err != nil {
		return err
	}
	w.sizes.Observe(float64(len(body)))
	w.to.events.Add(1)
	w.to.sent.Store(e.Rev)
	return w.frame(eventNames[e.Type], body)
}

// body is the event's object, encoded.
func (w *eventWriter) body(e *store.Event) ([]byte, error) {
	switch {
	case e.Type == store.Bookmark:
		return w.shape(bookmarkObject(w.c.t, e))
	case w.f.shape == whole:
		return w.read(e.Object)
	}
	obj, err := decodeFor(w.c.t, e.Object)
	if err != nil {
		return nil, err
	}
	return w.shape(obj)
}

// bookmarkObject is an object that says nothing but how far the watch has come.
func bookmarkObject(t *target, e *store.Event) resource.Object {
	obj := t.ver.New()
	obj.GetObjectKind().SetGroupVersionKind(t.gvk())
	obj.SetResourceVersion(strconv.FormatInt(e.Rev, 10))
	if e.InitialEnd {
		obj.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	return obj
}

// shape encodes obj in the shape that the client wants.
func (w *eventWriter) shape(obj resource.Object) ([]byte, error) {
	switch w.f.shape {
	case asTable:
		table, err := w.table.table(metav1.ListMeta{ResourceVersion: obj.GetResourceVersion()}, w.now(), obj)
		if err != nil {
			return nil, err
		}
		return encodeAs(w.f, w.f.as.WithKind("Table"), table)
	case partial, partialList:
		return encodeAs(w.f, w.f.as.WithKind("PartialObjectMetadata"), partialOf(w.c.t.row, obj))
	}
	return encodeAs(w.f, w.c.t.gvk(), obj)
}

// frame writes an event around its object: a line of JSON, or a protobuf message after its length.
func (w *eventWriter) frame(name string, body []byte) error {
	if w.frames != nil {
		return w.message(name, body)
	}
	return w.part(name, body)
}

// message sends an event as one message of a WebSocket.
func (w *eventWriter) message(name string, body []byte) error {
	var whole bytes.Buffer
	w.to.writing.Store(time.Now().UnixNano())
	defer w.to.writing.Store(0)
	w.b = bufio.NewWriter(&whole)
	if err := w.part(name, body); err != nil {
		return err
	}
	if err := w.b.Flush(); err != nil {
		return err
	}
	w.b = nil
	if w.f.media == mediaProtobuf {
		whole.Next(lengthOfFrame) // a message has a length of its own
	}
	_, err := w.frames.Write(whole.Bytes())
	return err
}

// part appends an event to what is sent with the next flush.
func (w *eventWriter) part(name string, body []byte) error {
	if w.b == nil {
		w.b = writers.Get().(*bufio.Writer)
		w.b.Reset(w.to)
	}
	if w.f.media == mediaProtobuf {
		return w.protobufFrame(name, body)
	}
	for _, part := range [...]string{`{"type":"`, name, `","object":`} {
		if _, err := w.b.WriteString(part); err != nil {
			return err
		}
	}
	if _, err := w.b.Write(body); err != nil {
		return err
	}
	_, err := w.b.WriteString("}\n")
	return err
}

// lengthOfFrame is how many bytes say how long a frame is.
const lengthOfFrame = 4

// protobufFrame writes the length of a metav1.WatchEvent in four bytes, then the message: the type is field 1; the object, as the
// only field of a RawExtension, is field 2.
func (w *eventWriter) protobufFrame(name string, body []byte) error {
	inner := 1 + uvarintSize(len(body)) + len(body)
	size := 2 + len(name) + 1 + uvarintSize(inner) + inner
	head := make([]byte, lengthOfFrame, lengthOfFrame+size-len(body))
	binary.BigEndian.PutUint32(head, uint32(size))
	head = append(append(head, 1<<3|2, byte(len(name))), name...)
	head = binary.AppendUvarint(append(head, 2<<3|2), uint64(inner))
	head = binary.AppendUvarint(append(head, 1<<3|2), uint64(len(body)))
	if _, err := w.b.Write(head); err != nil {
		return err
	}
	_, err := w.b.Write(body)
	return err
}

func uvarintSize(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// fail ends the stream with an ERROR event.
func (w *eventWriter) fail(err error) {
	status := statusOf(err)
	body, encodeErr := encodeAs(format{media: w.f.media}, statusGVK, status)
	if encodeErr != nil {
		return
	}
	if w.frame("ERROR", body) == nil {
		_ = w.flush() // the client may be gone, which is no news at the end
	}
}
