package integration

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// version is one of an object.
type version struct {
	value string
	rev   int64
}

// change is a version becoming another. One that deletes has the value that was deleted.
type change struct {
	what watch.EventType
	name string
	version
}

const deletion = watch.Deleted

// history is all that happened to the objects, in order.
type history []change

// tell reads from etcd, as etcdctl does, what happened after a revision up to now, and makes an object elsewhere to know when now is.
func (p *process) tell(after int64) (h history, now int64) {
	mark, err := p.client.CoreV1().ConfigMaps("kube-system").Create(p.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "now-"}}, metav1.CreateOptions{})
	require.NoError(p, err)
	now = revOf(mark)
	ctx, stop := context.WithTimeout(p.Context(), inTime)
	defer stop()
	for answer := range p.etcd().Watch(ctx, "/registry/configmaps/", clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithRev(after+1)) {
		require.NoError(p, answer.Err())
		for _, e := range answer.Events {
			if e.Kv.ModRevision == now {
				return h, now
			}
			if c, namespace := p.changeOf(e); namespace == "default" {
				h = append(h, c)
			}
		}
	}
	p.Fatal("etcd told nothing")
	return nil, 0
}

func (p *process) changeOf(e *clientv3.Event) (c change, namespace string) {
	kv := e.Kv
	switch {
	case e.Type == clientv3.EventTypeDelete:
		c.what, kv = deletion, e.PrevKv
	case e.IsCreate():
		c.what = watch.Added
	default:
		c.what = watch.Modified
	}
	m := &corev1.ConfigMap{}
	_, _, err := scheme.Codecs.UniversalDeserializer().Decode(kv.Value, nil, m)
	require.NoError(p, err)
	c.name, c.version = m.Name, version{m.Data["value"], e.Kv.ModRevision}
	return c, m.Namespace
}

// forget has etcd forget what was before a revision.
func (p *process) forget(rev int64) {
	_, err := p.etcd().Compact(p.Context(), rev)
	require.NoError(p, err)
}

// spot is where a value was.
type spot struct {
	name string
	rev  int64
}

// byValue finds what was written by its value, which nothing else has, and counts what was deleted by its name.
func (h history) byValue(t *testing.T) (done map[string]spot, deletions map[string]int) {
	done, deletions = map[string]spot{}, map[string]int{}
	for _, c := range h {
		if c.what == deletion {
			deletions[c.name]++
		} else if c.value != last {
			require.NotContains(t, done, c.value, "%v was done twice", c)
			done[c.value] = spot{c.name, c.rev}
		}
	}
	return done, deletions
}

// at is the state at a revision, of one object or of all.
func (h history) at(rev int64, only string) map[string]version {
	state := map[string]version{}
	for _, c := range h {
		switch {
		case c.rev > rev || only != "" && c.name != only:
		case c.what == deletion:
			delete(state, c.name)
		default:
			state[c.name] = c.version
		}
	}
	return state
}

// between is what a watcher has to see after one revision up to another.
func (h history) between(after, upTo int64, only string) (out history) {
	for _, c := range h {
		if c.rev > after && c.rev <= upTo && (only == "" || c.name == only) {
			out = append(out, c)
		}
	}
	return out
}

// watcher follows the objects, or one of them, and remembers what it is told.
type watcher struct {
	*process
	what  string
	maps  corev1client.ConfigMapInterface
	only  string
	after int // as many events it ends its connection itself
	at    int64
	last  int           // how many objects have had their last version
	late  chan struct{} // if not nil, it begins when this is closed
	anew  bool          // each connection begins with the state

	legs     []leg
	disorder []string // what came after what is later than it
}

// leg is what a watcher saw without a list in between: all changes from one revision on to another. It began with what a list showed,
// unless that is nil.
type leg struct {
	from, to int64
	listed   map[string]version
	seen     history
}

// watchers are those of every sort.
func (p *process) watchers(from int64, late chan struct{}) []*watcher {
	plain, proto := p.client.CoreV1().ConfigMaps("default"), clientOf(p.T, inProtobuf(p.config)).CoreV1().ConfigMaps("default")
	all := []*watcher{
		{what: "in JSON", maps: plain, after: math.MaxInt},
		{what: "in protobuf", maps: proto, after: math.MaxInt},
		{what: "impatient", maps: plain, after: 7},
		{what: "impatient, in protobuf", maps: proto, after: 13},
		{what: "of one object", maps: proto, only: shared[1], after: 11},
		{what: "that begins anew", maps: plain, after: 17, anew: true},
		{what: "that begins anew, in protobuf", maps: proto, after: 29, anew: true},
		{what: "that comes late", maps: plain, after: math.MaxInt, late: late},
	}
	for _, w := range all {
		w.process, w.at = p, from
		w.legs = []leg{{from: from, to: from}}
	}
	return all
}

// follow goes on until it has seen the last version of all objects.
func (w *watcher) follow(ctx context.Context) error {
	if w.late != nil {
		select {
		case <-w.late:
		case <-ctx.Done():
		}
	}
	for !w.complete() {
		err := w.connect(ctx)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("the watcher %s has seen only %v", w.what, w.legs)
		case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
			if w.list(ctx) == nil {
				continue
			}
			w.await(ctx)
		case err != nil:
			w.await(ctx)
		}
	}
	return nil
}

func (w *watcher) complete() bool { return w.last == len(shared) || w.only != "" && w.last == 1 }

func (w *watcher) options() (o metav1.ListOptions) {
	if w.only != "" {
		o.FieldSelector = "metadata.name=" + w.only
	}
	return o
}

// connect watches from where it is until the connection ends.
func (w *watcher) connect(ctx context.Context) error {
	o := w.options()
	o.ResourceVersion, o.AllowWatchBookmarks = fmt.Sprint(w.at), true
	if w.anew {
		o.SendInitialEvents, o.ResourceVersionMatch = &w.anew, metav1.ResourceVersionMatchNotOlderThan
	}
	events, err := w.maps.Watch(ctx, o)
	if err != nil {
		return err
	}
	defer events.Stop()
	if w.anew {
		if ended, err := w.begin(events); ended {
			return err
		}
	}
	for n := 0; n < w.after && !w.complete(); n++ {
		e, ok := <-events.ResultChan()
		if !ok {
			return nil
		}
		if e.Type == watch.Error {
			return apierrors.FromObject(e.Object)
		}
		w.see(e.Type, e.Object.(*corev1.ConfigMap))
	}
	return nil
}

// begin reads the state that a connection begins with, up to the bookmark that says of which revision it is.
func (w *watcher) begin(events watch.Interface) (ended bool, err error) {
	state := map[string]version{}
	for e := range events.ResultChan() {
		if e.Type == watch.Error {
			return true, apierrors.FromObject(e.Object)
		}
		m := e.Object.(*corev1.ConfigMap)
		if e.Type == watch.Added {
			state[m.Name] = version{m.Data["value"], revOf(m)}
			continue
		}
		if e.Type != watch.Bookmark || m.Annotations[metav1.InitialEventsAnnotationKey] != "true" || revOf(m) < w.at {
			w.disorder = append(w.disorder, fmt.Sprintf("%s %v after %d in the first state", e.Type, m, w.at))
		}
		w.start(revOf(m), state)
		return false, nil
	}
	return true, nil
}

// start begins a leg with the state at a revision.
func (w *watcher) start(rev int64, state map[string]version) {
	w.at, w.last = rev, 0
	for _, v := range state {
		if v.value == last {
			w.last++
		}
	}
	w.legs = append(w.legs, leg{from: rev, to: rev, listed: state})
}

func (w *watcher) see(what watch.EventType, m *corev1.ConfigMap) {
	leg := &w.legs[len(w.legs)-1]
	c := change{what, m.Name, version{m.Data["value"], revOf(m)}}
	if c.rev < w.at || c.rev == w.at && what != watch.Bookmark {
		w.disorder = append(w.disorder, fmt.Sprintf("%v after %d", c, w.at))
	}
	w.at, leg.to = c.rev, c.rev
	if what == watch.Bookmark {
		return
	}
	leg.seen = append(leg.seen, c)
	if what == watch.Added && c.value == last {
		w.last++
	}
}

// list begins anew, at the newest state.
func (w *watcher) list(ctx context.Context) error {
	got, err := w.maps.List(ctx, w.options())
	if err != nil {
		return err
	}
	w.start(revOf(got), stateOf(got))
	return nil
}

// requireSaw compares what the watcher saw with what happened.
func (w *watcher) requireSaw(h history, start int64) {
	if w.late != nil {
		require.Greater(w, len(w.legs), 1, "who asked for what etcd has forgotten was not told so")
	}
	require.Empty(w, w.disorder, "the watcher %s", w.what)
	require.Equal(w, start, w.legs[0].from)
	for _, l := range w.legs {
		if l.listed != nil {
			require.Equal(w, h.at(l.from, w.only), l.listed, "the watcher %s listed at %d", w.what, l.from)
		}
		require.Equal(w, h.between(l.from, l.to, w.only), l.seen, "the watcher %s from %d on", w.what, l.from)
	}
	require.Equal(w, h.at(math.MaxInt64, w.only), h.at(w.at, w.only), "the watcher %s ended too early", w.what)
}
