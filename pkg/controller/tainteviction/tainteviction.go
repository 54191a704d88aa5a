// Package tainteviction removes pods from nodes with a NoExecute taint. A pod that does not tolerate the taint goes at once, one
// that tolerates it for some seconds goes when they are over, one that tolerates it without limit stays. Every pod
// tolerates not-ready and unreachable for five minutes, because admission says so; that is how long a pod stays
// on a node that has fallen silent.
//
// The time counts from when the taint was added, or from when the pod came, if that was later. So nothing has to be
// remembered, and a restart of the controller does not begin the five minutes anew. Only for taints that were set by
// hand, which carry no time, the first sight is kept in memory.
package tainteviction

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"bonsai/pkg/reconcile"
)

// Config is what the controller needs.
type Config struct {
	reconcile.Env
}

const byNode = "pods.node"

// Run runs the controller until the context ends.
func Run(ctx context.Context, c Config) error {
	pods, nodes := c.Informers.Core().V1().Pods(), c.Informers.Core().V1().Nodes()
	if err := reconcile.Index(pods.Informer(), byNode, nodeOf); err != nil {
		return err
	}
	o := &observer{pods: pods.Lister(), nodes: nodes.Lister(), index: pods.Informer(), seen: map[sight]time.Time{}}
	loop := &reconcile.Loop[state]{
		Env:     c.Env,
		Name:    "taint-eviction-controller",
		Queue:   "noexec_taint_pod",
		Workers: 4,
		Kinds: []reconcile.Resource{
			reconcile.For(pods.Informer(), func(ns string) reconcile.Client[*corev1.Pod] { return c.Client.CoreV1().Pods(ns) }),
		},
		Sources: []reconcile.Source{
			{Informer: pods.Informer(), Keys: reconcile.Self, Changed: placeChanged},
			{Informer: nodes.Informer(), Keys: o.podsOn, Changed: taintsChanged},
		},
		Observe: o.observe,
		Plan:    plan,
	}
	return loop.Run(ctx)
}

func nodeOf(o reconcile.Object) []string { return []string{o.(*corev1.Pod).Spec.NodeName} }

func placeChanged(old, next reconcile.Object) bool {
	a, b := old.(*corev1.Pod), next.(*corev1.Pod)
	return a.Spec.NodeName != b.Spec.NodeName || !equality.Semantic.DeepEqual(a.Spec.Tolerations, b.Spec.Tolerations)
}

func taintsChanged(old, next reconcile.Object) bool {
	return !equality.Semantic.DeepEqual(old.(*corev1.Node).Spec.Taints, next.(*corev1.Node).Spec.Taints)
}

// sight is a taint without a time on a node.
type sight struct{ node, key, value string }

type observer struct {
	pods  corelisters.PodLister
	nodes corelisters.NodeLister
	index cache.SharedIndexInformer

	mu   sync.Mutex
	seen map[sight]time.Time
}

// podsOn are the pods of a node. A node that has lost a taint is forgotten on the way, so that the taint's next time is a new one.
func (o *observer) podsOn(node reconcile.Object) []reconcile.Key {
	o.forget(node.(*corev1.Node))
	pods, _ := reconcile.Indexed[*corev1.Pod](o.index, byNode, node.GetName())
	keys := make([]reconcile.Key, 0, len(pods))
	for _, p := range pods {
		keys = append(keys, reconcile.KeyOf(p))
	}
	return keys
}

func (o *observer) observe(_ context.Context, key reconcile.Key, _ *reconcile.Failure) (s state, found bool, err error) {
	if s.pod, err = o.pods.Pods(key.Namespace).Get(key.Name); err != nil || s.pod.Spec.NodeName == "" {
		return s, false, nil
	}
	node, err := o.nodes.Get(s.pod.Spec.NodeName)
	if err != nil {
		return s, false, nil
	}
	for _, t := range node.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoExecute {
			s.taints = append(s.taints, o.timed(node.Name, t))
		}
	}
	return s, true, nil
}

// timed is the taint with the time at which it was first seen, if it has none of its own.
func (o *observer) timed(node string, t corev1.Taint) corev1.Taint {
	if t.TimeAdded != nil {
		return t
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	at := sight{node, t.Key, t.Value}
	if o.seen[at].IsZero() {
		o.seen[at] = time.Now()
	}
	t.TimeAdded = &metav1.Time{Time: o.seen[at]}
	return t
}

func (o *observer) forget(node *corev1.Node) {
	o.mu.Lock()
	defer o.mu.Unlock()
	has := map[sight]bool{}
	for _, t := range node.Spec.Taints {
		has[sight{node.Name, t.Key, t.Value}] = true
	}
	for at := range o.seen {
		if at.node == node.Name && !has[at] {
			delete(o.seen, at)
		}
	}
}

// state is a pod and the NoExecute taints of its node, each with its time.
type state struct {
	pod    *corev1.Pod
	taints []corev1.Taint
}

// plan removes the pod when the shortest of its tolerations is over.
func plan(s state, now time.Time) (p reconcile.Plan) {
	if s.pod.DeletionTimestamp != nil || len(s.taints) == 0 {
		return nil
	}
	due, taint := time.Time{}, corev1.Taint{}
	for _, t := range s.taints {
		until, limited := tolerated(s.pod, t)
		if limited && (due.IsZero() || until.Before(due)) {
			due, taint = until, t
		}
	}
	switch {
	case due.IsZero():
	case due.After(now):
		p.Wait(due.Sub(now), "then the pod has tolerated %s for as long as it does", taint.ToString())
	default:
		evict(&p, s.pod, now, fmt.Sprintf("its node has the taint %s, which it does not tolerate (any more)", taint.ToString()))
	}
	return p
}

// tolerated says until when a pod tolerates a taint, or that it does so without limit. Of several tolerations that match the
// shortest counts.
func tolerated(pod *corev1.Pod, t corev1.Taint) (until time.Time, limited bool) {
	seconds, matched := int64(math.MaxInt64), false
	for _, o := range pod.Spec.Tolerations {
		if o.ToleratesTaint(klog.Background(), &t, false) {
			matched = true
			if o.TolerationSeconds != nil {
				seconds = min(seconds, max(*o.TolerationSeconds, 0))
			}
		}
	}
	from := t.TimeAdded.Time
	if pod.Status.StartTime != nil && pod.Status.StartTime.After(from) {
		from = pod.Status.StartTime.Time
	}
	switch {
	case !matched:
		return from, true
	case seconds == math.MaxInt64:
		return time.Time{}, false
	}
	return from.Add(time.Duration(seconds) * time.Second), true
}

// evict says in the pod's status why it has to go, and deletes it.
func evict(p *reconcile.Plan, pod *corev1.Pod, now time.Time, why string) {
	body, _ := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status": map[string]any{"conditions": []any{map[string]any{
			"type": corev1.DisruptionTarget, "status": corev1.ConditionTrue, "reason": "DeletionByTaintManager",
			"message": "Taint manager: deleting due to NoExecute taint", "lastTransitionTime": metav1.NewTime(now),
		}}},
	})
	p.Patch(pod, body, "it will be deleted, and its status says why").Subresource = "status"
	p.Delete(pod, "%s", why).Done = &reconcile.Note{About: pod, Type: corev1.EventTypeNormal, Reason: "TaintManagerEviction",
		Message: fmt.Sprintf("Marking for deletion Pod %s", reconcile.KeyOf(pod))}
}
