package replicaset

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"bonsai/pkg/reconcile"
	"bonsai/pkg/reconcile/plantest"
)

// TestPlan reads the pods of web from the file, those of other sets are beside. A pod named "refused" stands
// for a creation that failed the last time.
func TestPlan(t *testing.T) {
	plantest.Run(t, func(o []reconcile.Object) reconcile.Plan {
		s := state{set: plantest.First[*appsv1.ReplicaSet](o)}
		for _, pod := range plantest.Of[*corev1.Pod](o) {
			switch ref := metav1.GetControllerOf(pod); {
			case pod.Name == "refused":
				err := errors.New(`pods "web-" is forbidden: exceeded quota`)
				s.failure = &reconcile.Failure{Action: reconcile.Action{Verb: reconcile.Create, Object: pod}, Err: err}
			case ref != nil && ref.UID != s.set.UID:
				s.beside = append(s.beside, pod)
			default:
				s.pods = append(s.pods, pod)
			}
		}
		return plan(s, plantest.Now)
	})
}

// The ranks, one after the other: in each row the first pod goes before the second, whatever the later ranks say.
func TestVictims(t *testing.T) {
	now := time.Unix(1e9, 0)
	pod := func(change ...func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))}}
		p.Spec.NodeName, p.Status.Phase = "n1", corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))}}
		for _, c := range change {
			c(p)
		}
		return p
	}
	unassigned := func(p *corev1.Pod) { p.Spec.NodeName = "" }
	pending := func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }
	unready := func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }
	cost := func(c string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.PodDeletionCost: c} }
	}
	node := func(n string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.NodeName = n } }
	readyFor := func(d time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-d)) }
	}
	restarted := func(p *corev1.Pod) { p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 3}} }
	age := func(d time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(now.Add(-d)) }
	}
	for _, c := range []struct {
		why         string
		goes, stays *corev1.Pod
	}{
		{"it has no node yet", pod(unassigned), pod(pending, unready, cost("-5"))},
		{"it does not run yet", pod(pending), pod(unready, cost("-5"))},
		{"it is not ready", pod(unready), pod(cost("-5"))},
		{"its deletion cost is lower", pod(cost("-5")), pod(node("crowded"))},
		{"its node has more siblings", pod(node("crowded")), pod(readyFor(time.Minute))},
		{"it became ready later", pod(readyFor(time.Minute)), pod(restarted)},
		{"it has restarted more often", pod(restarted), pod(age(time.Minute))},
		{"it is younger", pod(age(time.Minute)), pod()},
	} {
		beside := []*corev1.Pod{pod(node("crowded")), pod(node("crowded"))}
		c.goes.Name, c.goes.UID, c.stays.Name, c.stays.UID = "goes", "2", "stays", "1"
		got := victims([]*corev1.Pod{c.stays, c.goes}, beside, 1, now)
		if got[0].Name != "goes" || got[0].why != c.why {
			t.Errorf("%s: got %s because %s", c.why, got[0].Name, got[0].why)
		}
	}
}

// From any state, with pods that fail, finish, end or come out of nowhere, plans lead to the wanted number and then to nothing.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := world{pods: map[string]*corev1.Pod{}}
		n := int32(rapid.IntRange(0, 8).Draw(t, "replicas"))
		labels := map[string]string{"app": "web"}
		w.set = &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "rs"},
			Spec: appsv1.ReplicaSetSpec{Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}},
		}
		for i := range rapid.IntRange(0, 12).Draw(t, "pods") {
			w.add(randomPod(t, w.set, i))
		}
		for turns := 0; w.turn(); turns++ {
			if turns > 10 {
				t.Fatal("still something to do after 10 turns")
			}
		}
		if w.set.Status.Replicas != n {
			t.Fatalf("%d pods, %d wanted", w.set.Status.Replicas, n)
		}
	})
}

func randomPod(t *rapid.T, set *appsv1.ReplicaSet, i int) *corev1.Pod {
	pod := newPod(set)
	pod.Name, pod.GenerateName, pod.UID = fmt.Sprint("seen-", i), "", types.UID(fmt.Sprint("seen", i))
	pod.Status.Phase = rapid.SampledFrom([]corev1.PodPhase{"Pending", "Running", "Succeeded", "Failed"}).Draw(t, "phase")
	if rapid.Bool().Draw(t, "orphan") {
		pod.OwnerReferences = nil
	}
	if rapid.Bool().Draw(t, "relabelled") {
		pod.Labels = map[string]string{"app": "other"}
	}
	if rapid.Bool().Draw(t, "terminating") {
		pod.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	}
	return pod
}

type world struct {
	set  *appsv1.ReplicaSet
	pods map[string]*corev1.Pod
	made int
}

func (w *world) add(p *corev1.Pod) { w.pods[p.Name] = p }

func (w *world) turn() (did bool) {
	s := state{set: w.set}
	for _, p := range w.pods {
		s.pods = append(s.pods, p)
	}
	for _, a := range plan(s, time.Unix(1e9, 0)) {
		did = true
		switch o := a.Object.(type) {
		case *appsv1.ReplicaSet:
			w.set = o
		case *corev1.Pod:
			w.apply(a, o.DeepCopy())
		}
	}
	return did
}

func (w *world) apply(a reconcile.Action, pod *corev1.Pod) {
	switch a.Verb {
	case reconcile.Create:
		w.made++
		pod.Name = fmt.Sprint("made-", w.made)
		pod.UID = types.UID(pod.Name)
		w.add(pod)
	case reconcile.Delete:
		delete(w.pods, pod.Name)
	case reconcile.Patch:
		pod.OwnerReferences = nil
		if !strings.Contains(string(a.Patch), "$patch") {
			pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(w.set, gvk)}
		}
		w.add(pod)
	}
}
