package quota

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation"
	resourcehelper "k8s.io/component-helpers/resource"
)

var pods = Meter{
	Resource: schema.GroupResource{Resource: "pods"},
	Counts:   countsForPods,
	Use: func(o Object, now time.Time) corev1.ResourceList {
		return of(o, func(p *corev1.Pod) corev1.ResourceList { return podUse(p, now) })
	},
	In:      podIn,
	Lacks:   podLacks,
	Charged: podCharged,
}

// of calls use with the object, if it is of its type.
func of[T any](o Object, use func(T) corev1.ResourceList) corev1.ResourceList {
	if t, ok := o.(T); ok {
		return use(t)
	}
	return nil
}

// mustState are the names of which every container has to say how much it wants, once a quota counts them. Upstream calls that a mistake,
// made before there were classes of service, and has kept it to these.
var mustState = []corev1.ResourceName{
	corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
	corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory,
}

var podNames = append([]corev1.ResourceName{
	countName(schema.GroupResource{Resource: "pods"}), corev1.ResourcePods, corev1.ResourceEphemeralStorage,
	corev1.ResourceRequestsEphemeralStorage, corev1.ResourceLimitsEphemeralStorage,
}, mustState...)

func countsForPods(name corev1.ResourceName) bool {
	text := string(name)
	return slices.Contains(podNames, name) ||
		strings.HasPrefix(text, corev1.ResourceHugePagesPrefix) || strings.HasPrefix(text, corev1.ResourceRequestsHugePagesPrefix) ||
		strings.HasPrefix(text, corev1.DefaultResourceRequestsPrefix) && (!isNative(name) || isDeviceClass(text[len(corev1.DefaultResourceRequestsPrefix):]))
}

// isNative tells names that the cluster itself knows from those that plugins bring.
func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

func isDeviceClass(name string) bool {
	return strings.HasPrefix(name, resourcev1.ResourceDeviceClassPrefix)
}

// isExtended tells the names of which only the requests can be counted, as there is no overcommitting them.
func isExtended(name corev1.ResourceName) bool {
	return isDeviceClass(string(name)) || !isNative(name) && !strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) &&
		len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

// podUse is what a pod uses. What it is counted for as an object lasts as long as it is stored, the rest as long as it may run.
func podUse(p *corev1.Pod, now time.Time) corev1.ResourceList {
	out := corev1.ResourceList{podNames[0]: one}
	if hasEnded(p, now) {
		return out
	}
	o := resourcehelper.PodResourcesOptions{UseStatusResources: true}
	add(out, asked(resourcehelper.PodRequests(p, o), resourcehelper.PodLimits(p, o)))
	return out
}

// asked puts requests and limits under the names that quotas have for them.
func asked(requests, limits corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{corev1.ResourcePods: one}
	for name, q := range requests {
		huge := strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
		plain := huge || name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage
		if plain {
			out[name] = q
		}
		if plain || isExtended(name) {
			out[corev1.DefaultResourceRequestsPrefix+name] = q
		}
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		if q, ok := limits[name]; ok {
			out["limits."+name] = q
		}
	}
	return out
}

// hasEnded tells whether a pod runs no more, or should not: the node of one that is stuck in its deletion may be lost, and
// its owner needs the room for another.
func hasEnded(p *corev1.Pod, now time.Time) bool {
	if p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
		return true
	}
	at := overdue(p)
	return !at.IsZero() && now.After(at)
}

// overdue is when a pod that is being deleted counts no more; zero if it is not.
func overdue(p *corev1.Pod) time.Time {
	if p.DeletionTimestamp == nil || p.DeletionGracePeriodSeconds == nil {
		return time.Time{}
	}
	return p.DeletionTimestamp.Add(time.Duration(*p.DeletionGracePeriodSeconds) * time.Second)
}

// podLacks names what containers do not state, and which ones.
func podLacks(names []corev1.ResourceName, o Object) string {
	p, ok := o.(*corev1.Pod)
	if !ok || resourcehelper.IsPodLevelResourcesSet(p) {
		return ""
	}
	without := map[corev1.ResourceName][]string{}
	for _, cs := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
		for i := range cs {
			stated := asked(cs[i].Resources.Requests, cs[i].Resources.Limits)
			for _, name := range names {
				if _, has := stated[name]; !has && slices.Contains(mustState, name) {
					without[name] = append(without[name], cs[i].Name)
				}
			}
		}
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(without)) {
		slices.Sort(without[name])
		parts = append(parts, fmt.Sprintf("%s for: %s", name, strings.Join(slices.Compact(without[name]), ",")))
	}
	return strings.Join(parts, "; ")
}

// podCharged: what a pod asks for changes by a resize alone, and its scope by a deadline.
func podCharged(subresource string, next, old Object) bool {
	switch {
	case old == nil:
		return subresource == ""
	case subresource == "":
		was, ok := old.(*corev1.Pod)
		is, ok2 := next.(*corev1.Pod)
		return ok && ok2 && hasDeadline(was) != hasDeadline(is)
	}
	return subresource == "resize"
}

func hasDeadline(p *corev1.Pod) bool {
	return p.Spec.ActiveDeadlineSeconds != nil && *p.Spec.ActiveDeadlineSeconds >= 0
}

// podIn: a pod's class of service is in its status from its creation on.
func podIn(s corev1.ScopedResourceSelectorRequirement, o Object) bool {
	p, ok := o.(*corev1.Pod)
	if !ok {
		return false
	}
	switch s.ScopeName {
	case corev1.ResourceQuotaScopeTerminating:
		return hasDeadline(p)
	case corev1.ResourceQuotaScopeNotTerminating:
		return !hasDeadline(p)
	case corev1.ResourceQuotaScopeBestEffort:
		return p.Status.QOSClass == corev1.PodQOSBestEffort
	case corev1.ResourceQuotaScopeNotBestEffort:
		return p.Status.QOSClass != corev1.PodQOSBestEffort
	case corev1.ResourceQuotaScopePriorityClass:
		return selects(s, p.Spec.PriorityClassName)
	case corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return looksElsewhere(p.Spec.Affinity)
	}
	return false
}

// selects tells whether a scope's operator holds for one of the values; empty ones do not count.
func selects(s corev1.ScopedResourceSelectorRequirement, values ...string) bool {
	values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
	if s.Operator == corev1.ScopeSelectorOpExists {
		return len(values) > 0
	}
	op, ok := map[corev1.ScopeSelectorOperator]selection.Operator{
		corev1.ScopeSelectorOpIn: selection.In, corev1.ScopeSelectorOpNotIn: selection.NotIn,
		corev1.ScopeSelectorOpDoesNotExist: selection.DoesNotExist,
	}[s.Operator]
	r, err := labels.NewRequirement(string(s.ScopeName), op, s.Values)
	if !ok || err != nil {
		return false
	}
	if len(values) == 0 {
		return r.Matches(labels.Set{})
	}
	return slices.ContainsFunc(values, func(v string) bool { return r.Matches(labels.Set{string(s.ScopeName): v}) })
}

// looksElsewhere tells whether an affinity names pods of other namespaces.
func looksElsewhere(a *corev1.Affinity) bool {
	if a == nil {
		return false
	}
	var terms []corev1.PodAffinityTerm
	weighted := func(ts []corev1.WeightedPodAffinityTerm) {
		for _, t := range ts {
			terms = append(terms, t.PodAffinityTerm)
		}
	}
	if with := a.PodAffinity; with != nil {
		terms = append(terms, with.RequiredDuringSchedulingIgnoredDuringExecution...)
		weighted(with.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if without := a.PodAntiAffinity; without != nil {
		terms = append(terms, without.RequiredDuringSchedulingIgnoredDuringExecution...)
		weighted(without.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return slices.ContainsFunc(terms, func(t corev1.PodAffinityTerm) bool { return len(t.Namespaces) > 0 || t.NamespaceSelector != nil })
}
