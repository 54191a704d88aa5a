package deployment

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"bonsai/pkg/reconcile"
)

// world is a cluster in which ReplicaSets make and remove pods at once and pods become ready, or not, as they like.
type world struct {
	t   *rapid.T
	d   *appsv1.Deployment
	set map[string]*appsv1.ReplicaSet
	now time.Time
}

func newWorld(t *rapid.T) *world {
	kinds := func(name string) intstr.IntOrString {
		if rapid.Bool().Draw(t, name+" in percent") {
			return intstr.FromString(fmt.Sprintf("%d%%", rapid.IntRange(0, 100).Draw(t, name)))
		}
		return intstr.FromInt(rapid.IntRange(0, 5).Draw(t, name))
	}
	surge, unavailable := kinds("maxSurge"), kinds("maxUnavailable")
	replicas, history, deadline := int32(rapid.IntRange(0, 12).Draw(t, "replicas")), int32(2), int32(600)
	labels := map[string]string{"app": "web"}
	return &world{t: t, set: map[string]*appsv1.ReplicaSet{}, now: time.Unix(1e9, 0), d: &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "d", Generation: 1},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, RevisionHistoryLimit: &history, ProgressDeadlineSeconds: &deadline,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &unavailable},
			},
		},
	}}
}

func (w *world) template(n int) {
	w.d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: fmt.Sprintf("v%d", n)}}
	w.d.Generation++
}

// turn plans and applies once, and says whether there was anything to do.
func (w *world) turn() bool {
	s := state{deployment: w.d}
	for _, rs := range w.set {
		s.replicaSets = append(s.replicaSets, rs)
	}
	w.now = w.now.Add(time.Second)
	did := false
	for _, a := range plan(s, w.now) {
		did = did || a.Verb != reconcile.Wait
		w.apply(a)
	}
	return did
}

func (w *world) apply(a reconcile.Action) {
	switch o := a.Object.(type) {
	case *appsv1.Deployment:
		w.d = o
	case *appsv1.ReplicaSet:
		if a.Verb == reconcile.Delete {
			delete(w.set, o.Name)
			return
		}
		if a.Verb == reconcile.Create {
			o.UID, o.CreationTimestamp = types.UID(o.Name), metav1.NewTime(w.now)
		}
		o.Status.Replicas = *o.Spec.Replicas // the replica set controller is quick
		o.Status.ReadyReplicas = min(o.Status.ReadyReplicas, o.Status.Replicas)
		o.Status.AvailableReplicas = min(o.Status.AvailableReplicas, o.Status.Replicas)
		w.set[o.Name] = o
	}
}

func (w *world) total() (pods, available int32) {
	for _, rs := range w.set {
		pods += *rs.Spec.Replicas
		available += rs.Status.AvailableReplicas
	}
	return pods, available
}

// ready makes the pods of all sets available.
func (w *world) ready() {
	for name, rs := range w.set {
		rs = rs.DeepCopy()
		rs.Status.ReadyReplicas, rs.Status.AvailableReplicas = rs.Status.Replicas, rs.Status.Replicas
		w.set[name] = rs
	}
}

// flicker changes how many pods of a random set are available.
func (w *world) flicker() {
	for name, rs := range w.set {
		n := int32(rapid.IntRange(0, int(rs.Status.Replicas)).Draw(w.t, "available of "+name))
		rs = rs.DeepCopy()
		rs.Status.ReadyReplicas, rs.Status.AvailableReplicas = n, n
		w.set[name] = rs
	}
}

// settle lets all pods become available until there is nothing to do.
func (w *world) settle() {
	for range 200 {
		w.ready()
		if !w.turn() {
			return
		}
	}
	w.t.Fatalf("there is still something to do after 200 turns")
}

// Whatever the pods do, a rollout takes away no pod that was promised and makes none that is not allowed, and when
// the pods become available it ends.
func TestRollout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.template(0)
		w.settle()
		p := &planner{d: w.d}
		most, promised := *w.d.Spec.Replicas+p.surge(), *w.d.Spec.Replicas-p.unavailable()
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if rapid.IntRange(0, 4).Draw(t, "new template") == 0 {
				w.template(rapid.IntRange(0, 3).Draw(t, "template"))
			}
			w.flicker()
			_, before := w.total()
			w.turn()
			pods, after := w.total()
			if pods > most {
				t.Fatalf("%d pods, at most %d are allowed", pods, most)
			}
			if after < before && after < promised {
				t.Fatalf("available pods went from %d to %d, %d are promised", before, after, promised)
			}
		}
		w.settle()
		w.checkDone()
	})
}

// The number of replicas may change in the middle of a rollout, and while it is paused.
func TestScale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.template(0)
		w.settle()
		w.template(1)
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			n := int32(rapid.IntRange(0, 20).Draw(t, "replicas"))
			w.d = w.d.DeepCopy()
			w.d.Spec.Replicas, w.d.Spec.Paused = &n, rapid.Bool().Draw(t, "paused")
			w.d.Generation++
			w.flicker()
			w.turn()
			if pods, _ := w.total(); pods > n+(&planner{d: w.d}).surge() && w.sets() > 1 {
				t.Fatalf("%d pods after scaling to %d", pods, n)
			}
			w.turn()
		}
		w.d = w.d.DeepCopy()
		w.d.Spec.Paused = false
		w.settle()
		w.checkDone()
	})
}

func (w *world) sets() (n int) {
	for _, rs := range w.set {
		if *rs.Spec.Replicas > 0 {
			n++
		}
	}
	return n
}

func (w *world) checkDone() {
	w.t.Helper()
	if pods, available := w.total(); pods != *w.d.Spec.Replicas || available != pods || w.sets() > 1 {
		w.t.Fatalf("settled with %d pods, %d available, of %d sets; %d wanted", pods, available, w.sets(), *w.d.Spec.Replicas)
	}
	if len(w.set) > 1+int(*w.d.Spec.RevisionHistoryLimit) {
		w.t.Fatalf("%d sets are kept", len(w.set))
	}
	c := condition(&w.d.Status, appsv1.DeploymentProgressing)
	if c == nil || c.Status != corev1.ConditionTrue || w.d.Status.ObservedGeneration != w.d.Generation {
		w.t.Fatalf("status %+v", w.d.Status)
	}
}
