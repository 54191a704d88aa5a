package quota

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Object is an API object: of the resources with a Meter of their own, the type of k8s.io/api; of the others, metadata will do.
type Object = metav1.Object

// Meter measures the objects of one resource. An object of another type than the resource's uses nothing.
type Meter struct {
	Resource schema.GroupResource
	// Counts says whether a name in a quota's list is about these objects.
	Counts func(name corev1.ResourceName) bool
	// Use is what an object uses, of all that any quota might count.
	Use func(o Object, now time.Time) corev1.ResourceList
	// In says whether an object is in a scope; nil if no scope is about these objects.
	In func(s corev1.ScopedResourceSelectorRequirement, o Object) bool
	// Lacks says what an object must state because of the names that a quota counts, and does not; nil for no such thing.
	Lacks func(names []corev1.ResourceName, o Object) string
	// Charged says whether a write of these objects may use more than before: old is nil for a create.
	Charged func(subresource string, next, old Object) bool
}

// named are the core resources whose objects are also counted under a name without "count/", the older one.
var named = []corev1.ResourceName{
	corev1.ResourceReplicationControllers, corev1.ResourceQuotas, corev1.ResourceSecrets, corev1.ResourceConfigMaps,
}

// ignored are the resources that no quota counts: events would be lost when they matter most, the others are not kept.
var ignored = []schema.GroupResource{
	{Resource: "events"}, {Group: "events.k8s.io", Resource: "events"}, {Resource: "bindings"}, {Resource: "componentstatuses"},
}

// For returns the meter of a resource; false if no quota counts it.
func For(r schema.GroupResource) (Meter, bool) {
	switch r {
	case pods.Resource:
		return pods, true
	case services.Resource:
		return services, true
	case claims.Resource:
		return claims, true
	case devices.Resource:
		return devices, true
	}
	return objects(r), !slices.Contains(ignored, r)
}

// countName is the name under which all objects of a resource are counted.
func countName(r schema.GroupResource) corev1.ResourceName {
	return corev1.ResourceName("count/" + r.String())
}

// objects counts the objects of a resource, and knows no more of them.
func objects(r schema.GroupResource) Meter {
	names := []corev1.ResourceName{countName(r)}
	if alias := corev1.ResourceName(r.Resource); r.Group == "" && slices.Contains(named, alias) {
		names = append(names, alias)
	}
	use := corev1.ResourceList{}
	for _, name := range names {
		use[name] = one
	}
	return Meter{
		Resource: r,
		Counts:   func(name corev1.ResourceName) bool { return slices.Contains(names, name) },
		Use:      func(Object, time.Time) corev1.ResourceList { return use },
		Charged:  created,
	}
}

func created(subresource string, _, old Object) bool { return subresource == "" && old == nil }

// about returns those of the names that m counts, sorted.
func (m Meter) about(list corev1.ResourceList) []corev1.ResourceName {
	return slices.DeleteFunc(sortedNames(list), func(name corev1.ResourceName) bool { return !m.Counts(name) })
}

// Counted returns the resources whose objects a quota with these names counts, each once.
func Counted(hard corev1.ResourceList) []schema.GroupResource {
	var out []schema.GroupResource
	add := func(r schema.GroupResource) {
		if !slices.Contains(out, r) && !slices.Contains(ignored, r) {
			out = append(out, r)
		}
	}
	for _, name := range sortedNames(hard) {
		for _, m := range []Meter{pods, services, claims, devices} {
			if m.Counts(name) {
				add(m.Resource)
			}
		}
		if r, ok := strings.CutPrefix(string(name), "count/"); ok {
			add(schema.ParseGroupResource(r))
		} else if slices.Contains(named, name) {
			add(schema.GroupResource{Resource: string(name)})
		}
	}
	return out
}

// scopes are all conditions that a quota puts on the objects that it counts.
func scopes(q *corev1.ResourceQuota) []corev1.ScopedResourceSelectorRequirement {
	var out []corev1.ScopedResourceSelectorRequirement
	for _, s := range q.Spec.Scopes {
		out = append(out, corev1.ScopedResourceSelectorRequirement{ScopeName: s, Operator: corev1.ScopeSelectorOpExists})
	}
	if q.Spec.ScopeSelector != nil {
		out = append(out, q.Spec.ScopeSelector.MatchExpressions...)
	}
	return out
}

// inScope tells whether an object is in all of a quota's scopes.
func (m Meter) inScope(q *corev1.ResourceQuota, o Object) bool {
	for _, s := range scopes(q) {
		if m.In == nil || !m.In(s, o) {
			return false
		}
	}
	return true
}
