package integration

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// What clients may rely on, all at once, is that there is one history. TestOneHistory has clients read and write a few objects
// while the server is killed and started again and again, and watchers follow them. Then it asks whether all that anybody was told fits into
// one history, three times over:
//
//   - without looking into the store: is there an order of the requests that explains every answer (linear_model_test.go)?
//   - with the history that etcd kept: was each write that was acknowledged done at the revision that its client was told, once, and none that
//     was refused? Is each list what the history up to its revision makes?
//   - and with the watchers: did each see each change once, in its order, over all connections (linear_watch_test.go)? Half-way etcd is made
//     to forget what was; who then asks for that is told so, and begins anew with a list. Others begin each connection with the state: is it that
//     of the revision that its bookmark names?
//
// Each write leaves a value of its own, so that one knows in the history who did it. A write without an answer may have been done or not.

const (
	rounds        = 4   // lives of the server
	writesPerLife = 120 // that are acknowledged, before it is killed
	writers       = 8
)

var shared = []string{"a", "b", "c", "d"}

func TestOneHistory(t *testing.T) { requireOneHistory(t, []*process{startProcess(t)}) }

// Two servers of one cluster tell the same history, though each has an image of its own, and clients go from one to the other.
func TestOneHistoryOfTwoServers(t *testing.T) { requireOneHistory(t, startTwins(t)) }

func requireOneHistory(t *testing.T, servers []*process) {
	p := servers[0]
	j := &journal{process: p, servers: servers, began: time.Now()}
	first, err := p.client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	start := revOf(first)
	forgotten := make(chan struct{})
	var watchers []*watcher
	for _, s := range servers {
		watchers = append(watchers, s.watchers(start, forgotten)...)
	}
	var following errgroup.Group
	for _, w := range watchers {
		following.Go(func() error { return w.follow(t.Context()) })
	}

	past, now := history(nil), start
	j.live(func(life int) {
		if life == rounds/2 {
			past, now = p.tell(start)
			p.forget(now)
		}
	})
	close(forgotten)
	j.end()
	require.NoError(t, following.Wait())

	history, _ := p.tell(now)
	history = append(past, history...)
	requireLinearizable(t, j.ops)
	j.requireInTime()
	j.requireWritten(history)
	for _, l := range j.lists {
		require.Equal(t, history.at(l.rev, ""), l.state, "a list at %d", l.rev)
	}
	for _, w := range watchers {
		w.requireSaw(history, start)
	}
	t.Logf("%d requests, %d conflicts, %d of unknown outcome, %d lists, %d changes", len(j.ops), j.count(conflict), j.count(unknown), len(j.lists), len(history))
}

// journal is what the clients were told.
type journal struct {
	*process            // the first of the servers
	servers  []*process // one is killed after the other
	began    time.Time
	done     atomic.Int64 // writes acknowledged

	mu    sync.Mutex
	ops   []porcupine.Operation
	lists []listed
}

// listed is a list that a client got: the state at a revision.
type listed struct {
	call, end, rev int64
	state          map[string]version
}

func (j *journal) now() int64 { return time.Since(j.began).Nanoseconds() }

func (j *journal) note(client int, call int64, in request, out reply) {
	end := j.now()
	if out.what == unknown {
		if in.verb == "get" {
			return
		}
		end = math.MaxInt64 // it may still come
	} else if in.verb != "get" && out.what == made {
		j.done.Add(1)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ops = append(j.ops, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: end})
}

func (j *journal) count(what string) (n int) {
	for _, op := range j.ops {
		if op.Output.(reply).what == what {
			n++
		}
	}
	return n
}

// live has the clients work while the server dies and comes back. It calls dying before it kills it.
func (j *journal) live(dying func(life int)) {
	ctx, stop := context.WithCancel(j.Context())
	var working sync.WaitGroup
	for i := range writers {
		c := &writer{journal: j, id: i, r: rand.New(rand.NewPCG(7, uint64(i))), known: map[string]*corev1.ConfigMap{}}
		for _, s := range j.servers {
			config := rest.CopyConfig(s.config)
			if i%2 == 1 {
				config = inProtobuf(config)
			}
			config.Wrap(func(next http.RoundTripper) http.RoundTripper { return once{next} })
			c.all = append(c.all, clientOf(j.T, config).CoreV1().ConfigMaps("default"))
		}
		working.Go(func() { c.work(ctx) })
	}
	defer working.Wait()
	defer stop()
	for life := range rounds {
		enough := j.done.Load() + writesPerLife
		j.until("the clients have written enough", func() bool { return j.done.Load() >= enough })
		dying(life)
		s := j.servers[life%len(j.servers)]
		s.kill()
		s.run()
	}
}

// once keeps client-go from trying again what the server did not do: the first answer is what counts.
type once struct{ next http.RoundTripper }

func (o once) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := o.next.RoundTrip(r)
	if resp != nil {
		resp.Header.Del("Retry-After")
	}
	return resp, err
}

// end makes a last version of each object, which tells the watchers that it is the last.
func (j *journal) end() {
	maps := j.client.CoreV1().ConfigMaps("default")
	for _, name := range shared {
		if err := maps.Delete(j.Context(), name, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
			require.NoError(j, err)
		}
		_, err := maps.Create(j.Context(), holding(name, last), metav1.CreateOptions{})
		require.NoError(j, err)
	}
}

// last is the value of the last version of each object.
const last = "last"

func holding(name, value string) *corev1.ConfigMap {
	m := configMap(name, nil)
	m.Data = map[string]string{"value": value}
	return m
}

// requireInTime checks that revisions go with time, over all objects: what began after another had ended has a later revision, a
// list one that is not earlier.
func (j *journal) requireInTime() {
	type told struct {
		call, end, rev int64
		write          bool
	}
	var all []told
	for _, op := range j.ops {
		if in, out := op.Input.(request), op.Output.(reply); in.verb != "get" && in.verb != "delete" && out.what == made {
			all = append(all, told{op.Call, op.Return, out.rev, true})
		}
	}
	for _, l := range j.lists {
		all = append(all, told{l.call, l.end, l.rev, false})
	}
	byCall := append([]told(nil), all...)
	sort.Slice(byCall, func(a, b int) bool { return byCall[a].call < byCall[b].call })
	sort.Slice(all, func(a, b int) bool { return all[a].end < all[b].end })
	newest, next := int64(0), 0
	for _, o := range byCall {
		for ; next < len(all) && all[next].end < o.call; next++ {
			newest = max(newest, all[next].rev)
		}
		if o.rev < newest || o.write && o.rev == newest {
			j.Errorf("what began after revision %d had been told of got %d", newest, o.rev)
		}
	}
}

// requireWritten compares what was answered to each write with what was done, and what was read with what was written.
func (j *journal) requireWritten(history history) {
	done, deletions := history.byValue(j.T)
	sent, least, most := map[string]bool{}, map[string]int{}, map[string]int{}
	for _, op := range j.ops {
		in, out := op.Input.(request), op.Output.(reply)
		if in.value != "" {
			sent[in.value] = true
		}
		switch c, ok := done[in.value]; {
		case in.verb == "get":
			require.True(j, out.what == absent || done[out.value] == spot{in.name, out.rev}, "%v was told %v, which never was", in, out)
		case in.verb == "delete" && out.what != absent:
			most[in.name]++
			if out.what == made {
				least[in.name]++
			}
		case out.what == made:
			require.Equal(j, spot{in.name, out.rev}, c, "%v was acknowledged as %v", in, out)
		case out.what != unknown:
			require.False(j, ok, "%v was refused (%v) and done", in, out)
		}
	}
	for value := range done {
		require.True(j, sent[value], "nobody wrote %s", value)
	}
	for _, name := range shared {
		// The test itself may have deleted each once, in the end.
		require.GreaterOrEqual(j, deletions[name], least[name], name)
		require.LessOrEqual(j, deletions[name], most[name]+1, name)
	}
}

// writer is one client.
type writer struct {
	*journal
	id, n int
	r     *rand.Rand
	all   []corev1client.ConfigMapInterface // by server
	maps  corev1client.ConfigMapInterface   // of the server that it asks now
	known map[string]*corev1.ConfigMap      // what it has seen last
}

// work sends one request after another, each to any server that is there. If none is, or one does not answer, it waits for it.
func (w *writer) work(ctx context.Context) {
	for ctx.Err() == nil {
		i := w.r.IntN(len(w.servers))
		if !w.servers[i].isUp() {
			i = (i + 1) % len(w.servers)
		}
		w.servers[i].await(ctx)
		if w.maps = w.all[i]; !w.request(ctx) {
			w.servers[i].await(ctx)
		}
	}
}

// request sends a request and tells whether it was answered. It is given time, so that clients that stop leave no outcome open.
func (w *writer) request(ctx context.Context) (answered bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), inTime)
	defer cancel()
	w.n++
	in := request{name: shared[w.r.IntN(len(shared))]}
	call := w.now()
	if w.r.IntN(10) == 0 {
		return w.list(ctx, call)
	}
	in.verb = []string{"get", "get", "create", "create", "update", "update", "update", "patch", "delete"}[w.r.IntN(9)]
	seen := w.known[in.name]
	if in.verb == "update" && seen == nil {
		in.verb = "get"
	}
	switch in.verb {
	case "create", "patch", "update":
		in.value = fmt.Sprintf("%d-%d", w.id, w.n)
	}
	if in.verb == "update" {
		in.rev = revOf(seen)
	}
	got, err := w.send(ctx, in, seen)
	out := replyOf(got, err)
	w.note(w.id, call, in, out)
	if out.what == made && in.verb != "delete" {
		w.known[in.name] = got
	}
	return out.what != unknown
}

func (w *writer) send(ctx context.Context, in request, seen *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	switch in.verb {
	case "get":
		return w.maps.Get(ctx, in.name, metav1.GetOptions{})
	case "create":
		return w.maps.Create(ctx, holding(in.name, in.value), metav1.CreateOptions{})
	case "update":
		seen = seen.DeepCopy()
		seen.Data = map[string]string{"value": in.value}
		return w.maps.Update(ctx, seen, metav1.UpdateOptions{})
	case "patch":
		return w.maps.Patch(ctx, in.name, types.MergePatchType, fmt.Appendf(nil, `{"data":{"value":%q}}`, in.value), metav1.PatchOptions{})
	}
	return nil, w.maps.Delete(ctx, in.name, metav1.DeleteOptions{})
}

func replyOf(got *corev1.ConfigMap, err error) reply {
	switch {
	case apierrors.IsNotFound(err):
		return reply{what: absent}
	case apierrors.IsAlreadyExists(err):
		return reply{what: exists}
	case apierrors.IsConflict(err):
		return reply{what: conflict}
	case err != nil:
		return reply{what: unknown}
	case got == nil:
		return reply{what: made}
	}
	return reply{made, got.Data["value"], revOf(got)}
}

// list reads all objects at once, at the newest state.
func (w *writer) list(ctx context.Context, call int64) (answered bool) {
	got, err := w.maps.List(ctx, metav1.ListOptions{})
	if err != nil {
		return false
	}
	state := stateOf(got)
	for _, name := range shared {
		out := reply{what: absent}
		if v, ok := state[name]; ok {
			out = reply{made, v.value, v.rev}
		}
		w.note(w.id, call, request{verb: "get", name: name}, out)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lists = append(w.lists, listed{call, w.now(), revOf(got), state})
	return true
}

func stateOf(list *corev1.ConfigMapList) map[string]version {
	state := map[string]version{}
	for _, m := range list.Items {
		state[m.Name] = version{m.Data["value"], revOf(&m)}
	}
	return state
}

func revOf(o interface{ GetResourceVersion() string }) int64 {
	rev, err := strconv.ParseInt(o.GetResourceVersion(), 10, 64)
	if err != nil {
		panic(err) // of whoever answers with such a version
	}
	return rev
}
