package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// event is what a test remembers of one.
type event struct{ what, name, version string }

func eventOf(e watch.Event) event {
	m := e.Object.(metav1.Object)
	return event{string(e.Type), m.GetName(), m.GetResourceVersion()}
}

// collect watches from a revision on until it has seen the last one, over connections that it cuts after a few events.
func collect(ctx context.Context, client kubernetes.Interface, from, last string, r *rand.Rand) (seen []event, err error) {
	for at := from; at != last; {
		w, err := client.CoreV1().ConfigMaps("default").Watch(ctx, metav1.ListOptions{ResourceVersion: at})
		if err != nil {
			return seen, err
		}
		for left := 1 + r.IntN(40); left > 0 && at != last; left-- {
			e, ok := <-w.ResultChan()
			if !ok || e.Type == watch.Error {
				return seen, fmt.Errorf("watch ended: %v", e.Object)
			}
			seen = append(seen, eventOf(e))
			at = seen[len(seen)-1].version
		}
		w.Stop()
	}
	return seen, nil
}

// Whoever goes on from the last event that it saw, however often and whichever it was, loses none and sees none twice; in both encodings.
func TestWatchResumes(t *testing.T) {
	s := startServer(t)
	maps := s.client.CoreV1().ConfigMaps("default")
	start, err := maps.List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	s.fill(100)
	var want []event
	whole, err := maps.Watch(t.Context(), metav1.ListOptions{ResourceVersion: start.ResourceVersion})
	require.NoError(t, err)
	defer whole.Stop()
	for i := range 300 {
		name := fmt.Sprintf("m%03d", i%100)
		if i%3 == 2 {
			require.NoError(t, maps.Delete(t.Context(), name, metav1.DeleteOptions{}))
			_, err = maps.Create(t.Context(), configMap(name, nil), metav1.CreateOptions{})
		} else {
			_, err = maps.Update(t.Context(), configMap(name, map[string]string{"i": strconv.Itoa(i)}), metav1.UpdateOptions{})
		}
		require.NoError(t, err)
	}
	end, err := maps.Create(t.Context(), configMap("end", nil), metav1.CreateOptions{})
	require.NoError(t, err)
	for len(want) == 0 || want[len(want)-1].name != "end" {
		want = append(want, eventOf(<-whole.ResultChan()))
	}
	require.Len(t, want, 100+300+100+1)
	var g errgroup.Group
	for i := range 8 {
		config := s.config
		if i%2 == 1 {
			config = inProtobuf(config)
		}
		client := clientOf(t, config)
		g.Go(func() error {
			from := i * len(want) / 10
			at := start.ResourceVersion
			if from > 0 {
				at = want[from-1].version
			}
			seen, err := collect(t.Context(), client, at, end.ResourceVersion, rand.New(rand.NewPCG(1, uint64(i))))
			if err == nil && fmt.Sprint(seen) != fmt.Sprint(want[from:]) {
				err = fmt.Errorf("watcher %d saw %d events of %d:\n%v\n%v", i, len(seen), len(want)-from, seen, want[from:])
			}
			return err
		})
	}
	require.NoError(t, g.Wait())
	s.resumesEverywhere(append([]event{{version: start.ResourceVersion}}, want...))
}

// resumesEverywhere goes on from each event of a history, for a few events.
func (s *server) resumesEverywhere(history []event) {
	var g errgroup.Group
	g.SetLimit(8)
	clients := []kubernetes.Interface{s.client, clientOf(s.T, inProtobuf(s.config))}
	for i, from := range history[:len(history)-1] {
		want := history[i+1 : min(i+5, len(history))]
		g.Go(func() error {
			w, err := clients[i%2].CoreV1().ConfigMaps("default").Watch(s.Context(), metav1.ListOptions{ResourceVersion: from.version})
			if err != nil {
				return err
			}
			defer w.Stop()
			for _, next := range want {
				e, ok := <-w.ResultChan()
				if !ok || e.Type == watch.Error {
					return fmt.Errorf("a watch from %v on ended: %v", from, e.Object)
				}
				if got := eventOf(e); got != next {
					return fmt.Errorf("a watch from %v on: %v, not %v", from, got, next)
				}
			}
			return nil
		})
	}
	require.NoError(s, g.Wait())
}

// next is the next event of a watch.
func (s *server) next(w watch.Interface) watch.Event {
	s.Helper()
	select {
	case e, ok := <-w.ResultChan():
		require.True(s, ok, "the watch ended")
		return e
	case <-time.After(inTime):
		s.Fatal("no event came")
		panic("unreachable")
	}
}

// A watch with a selector is told when an object comes to fit and when it ceases to, and gets its initial state with an end.
func TestWatchSelectors(t *testing.T) {
	s := startServer(t)
	ctx, maps := t.Context(), s.client.CoreV1().ConfigMaps("default")
	_, err := maps.Create(ctx, configMap("first", map[string]string{"app": "web"}), metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = maps.Create(ctx, configMap("other", map[string]string{"app": "db"}), metav1.CreateOptions{})
	require.NoError(t, err)
	yes := true
	w, err := maps.Watch(ctx, metav1.ListOptions{LabelSelector: "app=web", SendInitialEvents: &yes, AllowWatchBookmarks: true,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
	require.NoError(t, err)
	defer w.Stop()
	e := s.next(w)
	require.Equal(t, watch.Added, e.Type)
	require.Equal(t, "first", e.Object.(*corev1.ConfigMap).Name)
	e = s.next(w)
	require.Equal(t, watch.Bookmark, e.Type)
	mark := e.Object.(*corev1.ConfigMap)
	require.Equal(t, "true", mark.Annotations[metav1.InitialEventsAnnotationKey])
	require.NotEmpty(t, mark.ResourceVersion)

	for _, step := range []struct {
		app  string
		want watch.EventType
	}{{"web", watch.Added}, {"web", watch.Modified}, {"db", watch.Deleted}, {"web", watch.Added}} {
		set := map[string]string{"app": step.app, "step": strconv.Itoa(rand.Int())}
		now, err := maps.Update(ctx, configMap("other", set), metav1.UpdateOptions{})
		require.NoError(t, err)
		e := s.next(w)
		require.Equal(t, step.want, e.Type)
		got := e.Object.(*corev1.ConfigMap)
		require.Equal(t, now.ResourceVersion, got.ResourceVersion, "also the event of leaving says when")
		if step.want == watch.Deleted {
			require.Equal(t, "web", got.Labels["app"], "what leaves is shown as it was last seen")
		}
	}
}

// An informer with a thousand pods sees the same after the server was away and came back on the same data.
func TestRestart(t *testing.T) {
	s := startServer(t)
	s.serviceAccount("default")
	ctx := t.Context()
	pods := s.client.CoreV1().Pods("default")
	var g errgroup.Group
	g.SetLimit(64)
	for i := range 1000 {
		g.Go(func() error {
			_, err := pods.Create(ctx, simplePod(fmt.Sprintf("p%04d", i)), metav1.CreateOptions{})
			return err
		})
	}
	require.NoError(t, g.Wait())
	shared := informers.NewSharedInformerFactory(clientOf(t, inProtobuf(s.config)), 0)
	lister := shared.Core().V1().Pods().Lister()
	informer := shared.Core().V1().Pods().Informer()
	running, cancel := context.WithCancel(ctx)
	defer shared.Shutdown()
	defer cancel()
	shared.Start(running.Done())
	s.until("the informer has synced", informer.HasSynced)
	before := versionsOf(t, lister)
	require.Len(t, before, 1000)

	s.stop()
	s.start()
	require.Equal(t, before, versionsOf(t, lister))
	require.NoError(t, pods.Delete(ctx, "p0000", *metav1.NewDeleteOptions(0)))
	_, err := pods.Create(ctx, simplePod("new"), metav1.CreateOptions{})
	require.NoError(t, err)
	s.until("the informer goes on", func() bool {
		_, gone := lister.Pods("default").Get("p0000")
		_, there := lister.Pods("default").Get("new")
		return gone != nil && there == nil
	})
	list, err := pods.List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	after := map[string]string{}
	for _, p := range list.Items {
		after[p.Name] = p.ResourceVersion
	}
	require.Equal(t, after, versionsOf(t, lister))
	delete(before, "p0000")
	before["new"] = after["new"]
	require.Equal(t, before, after, "what nobody touched is at the version it was at")
}

func versionsOf(t *testing.T, lister corelisters.PodLister) map[string]string {
	all, err := lister.Pods("default").List(labels.Everything())
	require.NoError(t, err)
	out := map[string]string{}
	for _, p := range all {
		out[p.Name] = p.ResourceVersion
	}
	return out
}
