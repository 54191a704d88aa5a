package namespace

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"bonsai/pkg/reconcile"
)

// kind is what there is in the namespace of one kind.
type kind struct {
	resource schema.GroupVersionResource
	name     string
	// collection says that all can be deleted with one request.
	collection bool
	items      []metav1.PartialObjectMetadata
}

// state is all that a plan depends on, besides the time.
type state struct {
	namespace *corev1.Namespace
	content   []kind
	// undiscovered are the API groups whose server does not answer; there may be objects of theirs.
	undiscovered *discovery.ErrGroupDiscoveryFailed
	// failure is why the last attempt to delete content failed.
	failure error
}

const (
	// again is how soon a look is taken after deletions; waiting, how soon when everything is on its way out.
	again   = 100 * time.Millisecond
	waiting = 5 * time.Second
)

// plan tells how far it is, then does the next step.
func plan(s state, now time.Time) (p reconcile.Plan) {
	next := s.namespace.DeepCopy()
	setConditions(next, s, now)
	p.UpdateStatus(s.namespace, next, "%s", remaining(s.content))
	if len(s.content) == 0 && s.undiscovered == nil {
		finalize(&p, s, next)
		return p
	}
	left := s.content
	if i := slices.IndexFunc(left, isPods); i >= 0 {
		left = left[i : i+1]
	}
	deleted := false
	for _, k := range left {
		deleted = k.delete(&p, s.namespace.Name) || deleted
	}
	if deleted {
		p.Wait(again, "to see what is left")
	} else {
		p.Wait(waiting, "all that is left is on its way out, or of groups that do not answer")
	}
	return p
}

func isPods(k kind) bool { return k.resource.GroupResource() == schema.GroupResource{Resource: "pods"} }

// finalize lets the namespace go, once its status is written: the two are writes of one object.
func finalize(p *reconcile.Plan, s state, next *corev1.Namespace) {
	if len(*p) > 0 {
		return
	}
	next.Spec.Finalizers = slices.DeleteFunc(next.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	p.Update(s.namespace, next, "nothing is left in it")
}

// delete plans the deletion of what is not being deleted yet, and says whether there is any.
func (k kind) delete(p *reconcile.Plan, namespace string) bool {
	var alive []metav1.PartialObjectMetadata
	for _, i := range k.items {
		if i.DeletionTimestamp == nil {
			alive = append(alive, i)
		}
	}
	if len(alive) == 0 {
		return false
	}
	background := metav1.DeletePropagationBackground
	if k.collection {
		all := k.object(metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}})
		p.Delete(all, "the namespace is being deleted, with %d %s", len(alive), k.resource.Resource).Options.PropagationPolicy = &background
		return true
	}
	for _, i := range alive {
		p.Delete(k.object(i), "the namespace is being deleted").Options.PropagationPolicy = &background
	}
	return true
}

func (k kind) object(m metav1.PartialObjectMetadata) object {
	m.Kind = k.name
	return object{&m, k.resource}
}

// setConditions writes down what is left and why.
func setConditions(ns *corev1.Namespace, s state, now time.Time) {
	set := func(t corev1.NamespaceConditionType, bad bool, badReason, badMessage, reason, message string) {
		c := corev1.NamespaceCondition{Type: t, Status: corev1.ConditionFalse, Reason: reason, Message: message}
		if bad {
			c.Status, c.Reason, c.Message = corev1.ConditionTrue, badReason, badMessage
		}
		put(ns, c, now)
	}
	set(corev1.NamespaceDeletionDiscoveryFailure, s.undiscovered != nil, "DiscoveryFailed", discoveryMessage(s.undiscovered),
		"ResourcesDiscovered", "All resources successfully discovered")
	set(corev1.NamespaceDeletionGVParsingFailure, false, "", "",
		"ParsedGroupVersions", "All legacy kube types successfully parsed")
	set(corev1.NamespaceDeletionContentFailure, s.failure != nil, "ContentDeletionFailed", contentMessage(s.failure),
		"ContentDeleted", "All content successfully deleted, may be waiting on finalization")
	set(corev1.NamespaceContentRemaining, len(s.content) > 0, "SomeResourcesRemain", remaining(s.content),
		"ContentRemoved", "All content successfully removed")
	held := finalizers(s.content)
	set(corev1.NamespaceFinalizersRemaining, held != "", "SomeFinalizersRemain", held,
		"ContentHasNoFinalizers", "All content-preserving finalizers finished")
}

func discoveryMessage(f *discovery.ErrGroupDiscoveryFailed) string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf("Discovery failed for some groups, %d failing: %v", len(f.Groups), f)
}

func contentMessage(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("Failed to delete all resource types, 1 remaining: %v", err)
}

func remaining(content []kind) string {
	var parts []string
	for _, k := range content {
		parts = append(parts, fmt.Sprintf("%s.%s has %d resource instances", k.resource.Resource, k.resource.Group, len(k.items)))
	}
	if len(parts) == 0 {
		return "nothing remains"
	}
	slices.Sort(parts)
	return "Some resources are remaining: " + strings.Join(parts, ", ")
}

// finalizers tells which finalizers hold how many objects.
func finalizers(content []kind) string {
	count := map[string]int{}
	for _, k := range content {
		for _, i := range k.items {
			for _, f := range i.Finalizers {
				count[f]++
			}
		}
	}
	var parts []string
	for f, n := range count {
		parts = append(parts, fmt.Sprintf("%s in %d resource instances", f, n))
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return "Some content in the namespace has finalizers remaining: " + strings.Join(parts, ", ")
}

// put sets a condition; its time changes with its status only.
func put(ns *corev1.Namespace, c corev1.NamespaceCondition, now time.Time) {
	c.LastTransitionTime = metav1.NewTime(now)
	for i, was := range ns.Status.Conditions {
		if was.Type != c.Type {
			continue
		}
		if was.Status == c.Status {
			c.LastTransitionTime = was.LastTransitionTime
		}
		ns.Status.Conditions[i] = c
		return
	}
	ns.Status.Conditions = append(ns.Status.Conditions, c)
}
