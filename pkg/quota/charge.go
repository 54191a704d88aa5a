package quota

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Write is an object that is about to be stored: next in the place of old, which is nil for a create.
type Write struct {
	Meter       Meter
	Subresource string
	Next, Old   Object
}

// Charge returns what status.used of each quota becomes by a write, nil for those that it leaves as they are, or why a
// quota does not let it pass. The quotas are all of the object's namespace.
func Charge(quotas []*corev1.ResourceQuota, w Write, now time.Time) ([]corev1.ResourceList, error) {
	about, err := w.matching(quotas)
	if err != nil {
		return nil, err
	}
	use := w.Meter.Use(w.Next, now)
	if below := negative(use); len(below) > 0 {
		return nil, fmt.Errorf("quota usage is negative for resource(s): %s", join(below))
	}
	used := make([]corev1.ResourceList, len(quotas))
	for i, q := range quotas {
		if !about[i] {
			continue
		}
		var before corev1.ResourceList
		if w.Old != nil && w.Meter.matches(q, w.Old) {
			before = w.Meter.Use(w.Old, now)
		}
		if used[i], err = w.chargeOne(q, grown(use, before)); err != nil {
			return nil, err
		}
	}
	return used, nil
}

// matching tells which of the quotas are about the object, and whether it says and they know all that is needed to charge it.
func (w Write) matching(quotas []*corev1.ResourceQuota) ([]bool, error) {
	about := make([]bool, len(quotas))
	for i, q := range quotas {
		if about[i] = w.Meter.matches(q, w.Next); !about[i] {
			continue
		}
		names := w.Meter.about(q.Status.Hard)
		if w.Meter.Lacks != nil {
			if what := w.Meter.Lacks(names, w.Next); what != "" {
				return nil, fmt.Errorf("failed quota: %s: must specify %s", q.Name, what)
			}
		}
		if len(pick(q.Status.Used, names)) < len(names) {
			return nil, fmt.Errorf("status unknown for quota: %s, resources: %s", q.Name, join(names))
		}
	}
	return about, nil
}

// matches tells whether a quota counts an object. What it counts is what its controller has taken note of.
func (m Meter) matches(q *corev1.ResourceQuota, o Object) bool {
	return len(m.about(q.Status.Hard)) > 0 && m.inScope(q, o)
}

// chargeOne adds what a write uses more to what a quota counts.
func (w Write) chargeOne(q *corev1.ResourceQuota, more corev1.ResourceList) (corev1.ResourceList, error) {
	requested := pick(more, sortedNames(q.Status.Hard))
	if len(requested) == 0 {
		return nil, nil
	}
	used := q.Status.Used.DeepCopy()
	add(used, requested)
	var over []corev1.ResourceName
	for name := range requested {
		if now := used[name]; now.Cmp(q.Status.Hard[name]) > 0 {
			over = append(over, name)
		}
	}
	// A status tells what is so already, and cannot be refused.
	if len(over) > 0 && w.Subresource != "status" {
		return nil, fmt.Errorf("exceeded quota: %s, requested: %s, used: %s, limited: %s", q.Name,
			text(pick(requested, over)), text(pick(q.Status.Used, over)), text(pick(q.Status.Hard, over)))
	}
	return used, nil
}

func negative(list corev1.ResourceList) []corev1.ResourceName {
	var out []corev1.ResourceName
	for name, q := range list {
		if q.Sign() < 0 {
			out = append(out, name)
		}
	}
	return out
}

// Count returns what objects use of the names in a quota's spec that m counts, zero included.
func (m Meter) Count(q *corev1.ResourceQuota, objects []Object, now time.Time) corev1.ResourceList {
	names := m.about(q.Spec.Hard)
	sum := corev1.ResourceList{}
	for _, name := range names {
		sum[name] = resource.Quantity{Format: resource.DecimalSI}
	}
	for _, o := range objects {
		if m.inScope(q, o) {
			add(sum, pick(m.Use(o, now), names))
		}
	}
	return sum
}

// Difference says in words what changes from one status of a quota to another.
func Difference(old, next corev1.ResourceQuotaStatus) string {
	var parts []string
	if !Equal(old.Hard, next.Hard) {
		parts = append(parts, "limited is "+text(next.Hard))
	}
	if used := changed(next.Used, old.Used); len(used) > 0 {
		parts = append(parts, "used is "+text(used))
	}
	if gone := changed(old.Used, next.Used); len(parts) == 0 && len(gone) > 0 {
		parts = append(parts, "nobody counts "+join(sortedNames(gone)))
	}
	return strings.Join(parts, "; ")
}

// changed is the part of a that is not so in b.
func changed(a, b corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{}
	for name, q := range a {
		if other, ok := b[name]; !ok || q.Cmp(other) != 0 {
			out[name] = q
		}
	}
	return out
}

// Overdue is when the first of the pods that are being deleted will count no more, though it may still be there; false if none will.
func Overdue(pods []*corev1.Pod, now time.Time) (first time.Time, ok bool) {
	for _, p := range pods {
		if at := overdue(p); at.After(now) && (!ok || at.Before(first)) {
			first, ok = at, true
		}
	}
	return first, ok
}

// IsObjectCount tells whether objects of a resource are counted by their number alone, so that their metadata is all that one needs to have.
func (m Meter) IsObjectCount() bool {
	switch m.Resource {
	case pods.Resource, services.Resource, claims.Resource, devices.Resource:
		return false
	}
	return true
}
