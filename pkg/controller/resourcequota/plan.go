package resourcequota

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bonsai/pkg/quota"
	"bonsai/pkg/reconcile"
)

const (
	// recount is how long a count is believed without a reason to count again; look, how long until a kind that was not served is looked for.
	recount = 5 * time.Minute
	look    = time.Minute
)

// state is all that a plan depends on, besides the time.
type state struct {
	quota   *corev1.ResourceQuota
	tallies []tally
	// unknown are resources that the quota counts and nobody serves.
	unknown []schema.GroupResource
}

// tally is what there is of one resource: the objects, or their number if the meter counts nothing else.
type tally struct {
	meter   quota.Meter
	objects []quota.Object
	number  int64
}

// plan writes down what is limited and what is used. Of what nobody serves nothing is used, and nothing is said: it is refused as
// unknown until it has been counted.
func plan(s state, now time.Time) (p reconcile.Plan) {
	next := s.quota.DeepCopy()
	next.Status.Hard = s.quota.Spec.Hard.DeepCopy()
	next.Status.Used = corev1.ResourceList{}
	var pods []*corev1.Pod
	for _, t := range s.tallies {
		for name, q := range t.used(s.quota, now) {
			next.Status.Used[name] = q
		}
		for _, o := range t.objects {
			if pod, ok := o.(*corev1.Pod); ok {
				pods = append(pods, pod)
			}
		}
	}
	p.UpdateStatus(s.quota, next, "%s", quota.Difference(s.quota.Status, next.Status))
	if at, ok := quota.Overdue(pods, now); ok {
		p.Wait(at.Sub(now)+time.Second, "then a pod that is being deleted counts no more, though it may still be there")
	}
	if len(s.unknown) > 0 {
		p.Wait(look, "nobody serves %s, which it counts", s.unknown[0])
	}
	p.Wait(recount, "what is used is counted now and then in any case")
	return p
}

// used is what is used of the names that the quota has for the resource.
func (t tally) used(q *corev1.ResourceQuota, now time.Time) corev1.ResourceList {
	if !t.meter.IsObjectCount() {
		return t.meter.Count(q, t.objects, now)
	}
	out := t.meter.Count(q, nil, now)
	if len(q.Spec.Scopes) > 0 || q.Spec.ScopeSelector != nil {
		return out // scopes are about other things
	}
	for name := range out {
		out[name] = *resource.NewQuantity(t.number, resource.DecimalSI)
	}
	return out
}
