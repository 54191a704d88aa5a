package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"bonsai/pkg/reconcile"
)

// server is a config map store whose watch can be held back, which no fake clientset can do.
type server struct {
	mu      sync.Mutex
	version int
	created int
	refuse  int // how many creates to refuse
	held    []watch.Event
	hold    bool
	watch   *watch.RaceFreeFakeWatcher
}

func newServer() *server {
	return &server{version: 10, watch: watch.NewRaceFreeFake()}
}

func (s *server) informer() cache.SharedIndexInformer {
	lw := &cache.ListWatch{
		ListFunc: func(metav1.ListOptions) (runtime.Object, error) {
			return &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: "10"}}, nil
		},
		WatchFunc: func(o metav1.ListOptions) (watch.Interface, error) {
			if o.SendInitialEvents != nil {
				return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("List").GroupKind(), "", nil)
			}
			return s.watch, nil
		},
	}
	return cache.NewSharedIndexInformer(lw, &corev1.ConfigMap{}, 0, cache.Indexers{})
}

func (s *server) emit(t watch.EventType, o *corev1.ConfigMap) {
	s.version++
	o.ResourceVersion = fmt.Sprint(s.version)
	if s.hold {
		s.held = append(s.held, watch.Event{Type: t, Object: o})
		return
	}
	s.watch.Action(t, o)
}

func (s *server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.held {
		s.watch.Action(e.Type, e.Object)
	}
	s.held, s.hold = nil, false
}

// removeAndHold removes a config map, and lets nobody see what happens afterwards.
func (s *server) removeAndHold(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := child()
	gone.Name = name
	s.emit(watch.Deleted, gone)
	s.hold = true
}

// resource writes config maps to the server.
type resource struct {
	*server
	i cache.SharedIndexInformer
}

func (r resource) Handles(o reconcile.Object) bool     { _, ok := o.(*corev1.ConfigMap); return ok }
func (r resource) Informer() cache.SharedIndexInformer { return r.i }

func (r resource) Write(_ context.Context, a reconcile.Action) (reconcile.Object, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := a.Object.(*corev1.ConfigMap).DeepCopy()
	if a.Verb == reconcile.Delete {
		r.emit(watch.Deleted, o)
		return nil, nil
	}
	r.created++
	if r.refuse > 0 {
		r.refuse--
		return nil, errors.New("refused")
	}
	o.Name = fmt.Sprintf("%s%d", o.GenerateName, r.created)
	o.UID = types.UID(o.Name)
	r.emit(watch.Added, o)
	return o.DeepCopy(), nil
}

func child() *corev1.ConfigMap {
	yes := true
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", GenerateName: "c-",
		OwnerReferences: []metav1.OwnerReference{{Kind: "Parent", Name: "p", Controller: &yes}}}}
}

// rig is a loop that wants n config maps, in the bubble of a synctest.
type rig struct {
	*server
	history  reconcile.History
	plans    int
	failures []string
	cancel   func()
	done     chan error
}

func start(t *testing.T, s *server, n int, change func(*reconcile.Loop[int])) *rig {
	t.Helper()
	r := &rig{server: s, done: make(chan error, 1)}
	informer, client := s.informer(), fake.NewClientset()
	loop := &reconcile.Loop[int]{
		Env:     reconcile.Env{Client: client, Informers: informers.NewSharedInformerFactory(client, 0), History: &r.history},
		Name:    "test",
		Kinds:   []reconcile.Resource{resource{s, informer}},
		Sources: []reconcile.Source{{Informer: informer, Keys: reconcile.Owner("Parent")}},
		Observe: func(_ context.Context, _ reconcile.Key, last *reconcile.Failure) (int, bool, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if err := reconcile.FailedTo[*corev1.ConfigMap](last, reconcile.Create); err != nil {
				r.failures = append(r.failures, err.Error())
			}
			return len(informer.GetStore().List()), true, nil
		},
		Plan: func(have int, _ time.Time) (p reconcile.Plan) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.plans++
			for range n - have {
				p.Create(child(), "%d wanted, %d exist", n, have)
			}
			return p
		},
	}
	if change != nil {
		change(loop)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go informer.RunWithContext(ctx)
	go func() { r.done <- loop.Run(ctx) }()
	pass(time.Second)
	return r
}

// pass lets time pass in the bubble, which takes none, and everything come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wake is an event for the parent's key: a child by another hand.
func (r *rig) wake() {
	r.mu.Lock()
	o := child()
	o.Name = "foreign"
	r.emit(watch.Added, o)
	r.mu.Unlock()
	pass(time.Second)
}

func (r *rig) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		t.Errorf("Run: %v", err)
	}
	synctest.Wait()
}

// The loop makes what is missing exactly once, however late its cache learns of it and however often it is woken.
func TestWaitsForOwnWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		r := start(t, s, 4, nil)
		r.wake()
		if r.created != 3 {
			t.Fatalf("%d created, want 3", r.created)
		}
		plans := r.plans
		s.removeAndHold("foreign") // the deletion is seen; from then on the cache is behind
		pass(time.Second)
		if r.created != 4 {
			t.Fatalf("%d created after a deletion, want 4", r.created)
		}
		pass(time.Minute) // woken every second, it must not plan
		if r.plans != plans+1 || r.created != 4 {
			t.Fatalf("%d plans and %d creates from an old cache", r.plans-plans, r.created)
		}
		s.release()
		pass(2 * time.Second)
		if r.plans == plans+1 || r.created != 4 {
			t.Fatalf("the cache has caught up: %d plans, %d created", r.plans-plans, r.created)
		}
		r.stop(t)
	})
}

// A refusal of everything costs one request per attempt, the attempts become rare, and the plan is told.
func TestSlowStartAndBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.refuse = 1 << 30
		r := start(t, s, 64, nil)
		r.wake()
		pass(10 * time.Second)
		s.mu.Lock()
		if r.created > 15 {
			t.Errorf("%d requests in 10s of refusals", r.created)
		}
		if len(r.failures) == 0 || r.failures[0] != "refused" {
			t.Errorf("failures told: %q", r.failures)
		}
		s.refuse, s.created = 0, 0
		s.mu.Unlock()
		pass(2 * time.Minute)
		if r.created != 63 {
			t.Errorf("%d created once allowed, want 63", r.created)
		}
		r.stop(t)
	})
}

// A panic costs a key a turn, not the process, and the loop goes on.
func TestPanicIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		r := start(t, newServer(), 2, func(l *reconcile.Loop[int]) {
			plan := l.Plan
			l.Plan = func(n int, now time.Time) reconcile.Plan {
				if first {
					first = false
					panic("once")
				}
				return plan(n, now)
			}
		})
		r.wake()
		pass(time.Second)
		if r.created != 1 || r.history.Counts()["test"].Panics != 1 {
			t.Errorf("%d created, counts %+v", r.created, r.history.Counts())
		}
		r.stop(t)
	})
}

// Idle means idle: without events there are no plans.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newServer(), 1, nil)
		r.wake()
		plans := r.plans
		pass(time.Hour)
		if r.plans != plans {
			t.Errorf("%d plans in an hour without events", r.plans-plans)
		}
		r.stop(t)
	})
}

// The history tells what was decided and why, and what was written.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newServer(), 2, nil)
		r.wake()
		var lines []string
		for _, rec := range r.history.Recent() {
			for _, s := range rec.Steps {
				lines = append(lines, fmt.Sprintf("%s %s: %s %s because %s -> %s", rec.Loop, rec.Key, s.Verb, s.Target, s.Reason, s.Wrote))
			}
		}
		want := "test ns/p: create ConfigMap ns/c-* because 2 wanted, 1 exist -> 12"
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		r.stop(t)
	})
}
