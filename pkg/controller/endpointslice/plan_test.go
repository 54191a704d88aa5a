package endpointslice

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"bonsai/pkg/reconcile"
	"bonsai/pkg/reconcile/plantest"
)

func TestPlan(t *testing.T) {
	plantest.Run(t, func(o []reconcile.Object) reconcile.Plan {
		s := state{
			service: plantest.First[*corev1.Service](o),
			pods:    plantest.Of[*corev1.Pod](o),
			slices:  plantest.Of[*discoveryv1.EndpointSlice](o),
			nodes:   map[string]*corev1.Node{},
		}
		for _, n := range plantest.Of[*corev1.Node](o) {
			s.nodes[n.Name] = n
		}
		return plan(s, plantest.Now)
	})
}

// world applies plans to slices.
type world struct {
	state
	made int
}

func newWorld() *world {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "s"}}
	service.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	service.Spec.Ports = []corev1.ServicePort{{Port: 80, Protocol: "TCP", TargetPort: intstr.FromInt(8080)}}
	return &world{state: state{service: service, nodes: map[string]*corev1.Node{"n": {}}}}
}

// pod makes a pod with the given number; its address is its own.
func (w *world) pod(i int) *corev1.Pod {
	name := fmt.Sprintf("p%04d", i)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name)}}
	p.Spec.NodeName = "n"
	p.Status.Phase = corev1.PodRunning
	p.Status.PodIPs = []corev1.PodIP{{IP: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)}}
	return p
}

// turn applies one plan and returns the number of writes.
func (w *world) turn() int {
	p := plan(w.state, plantest.Now)
	for _, a := range p {
		slice := a.Object.(*discoveryv1.EndpointSlice)
		w.slices = slices.DeleteFunc(w.slices, func(s *discoveryv1.EndpointSlice) bool { return s.Name == slice.Name })
		if a.Verb == reconcile.Create {
			w.made++
			slice.Name = fmt.Sprintf("web-%d", w.made)
		}
		if a.Verb != reconcile.Delete {
			w.slices = append(w.slices, slice)
		}
	}
	return len(p)
}

func (w *world) listed() map[string]int {
	seen := map[string]int{}
	for _, s := range w.slices {
		for _, e := range s.Endpoints {
			seen[e.TargetRef.Name]++
		}
	}
	return seen
}

// Whatever pods come and go, each is listed once, no slice is too large, and a second plan has nothing to do.
func TestPack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			first, n := rapid.IntRange(0, 300).Draw(t, "first"), rapid.IntRange(0, 350).Draw(t, "pods")
			w.pods = nil
			for i := range n {
				w.pods = append(w.pods, w.pod(first+i))
			}
			w.turn()
			seen := w.listed()
			for _, p := range w.pods {
				if seen[p.Name] != 1 {
					t.Fatalf("%s is listed %d times", p.Name, seen[p.Name])
				}
			}
			if len(seen) != n || len(w.slices) == 0 {
				t.Fatalf("%d listed in %d slices, want %d", len(seen), len(w.slices), n)
			}
			for _, s := range w.slices {
				if len(s.Endpoints) > maxEndpoints {
					t.Fatalf("%d endpoints in one slice", len(s.Endpoints))
				}
			}
			if again := w.turn(); again != 0 {
				t.Fatalf("%d more writes without a change", again)
			}
		}
	})
}

// One pod that comes or goes costs one write, however many there are.
func TestOnePodIsOneWrite(t *testing.T) {
	w := newWorld()
	for i := range 250 {
		w.pods = append(w.pods, w.pod(i))
	}
	if n := w.turn(); n != 3 {
		t.Fatalf("%d writes for 250 pods, want 3", n)
	}
	w.pods = w.pods[1:]
	if n := w.turn(); n != 1 {
		t.Errorf("%d writes for one pod that went", n)
	}
	w.pods = append(w.pods, w.pod(300))
	if n := w.turn(); n != 1 {
		t.Errorf("%d writes for one pod that came", n)
	}
}
