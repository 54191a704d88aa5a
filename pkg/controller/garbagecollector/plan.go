package garbagecollector

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/pkg/reconcile"
)

// verdict is what is known of an owner.
type verdict string

const (
	unseen     verdict = "not in the graph" // only until the API server was asked
	present    verdict = "present"
	waiting    verdict = "waiting for its dependents"
	absent     verdict = "gone"
	unknown    verdict = "of an unknown kind"
	impossible verdict = "in a namespace, and the object is in none"
)

type owner struct {
	ref     metav1.OwnerReference
	verdict verdict
}

// state is an object, its owners and who refers to it.
type state struct {
	item       *node
	owners     []owner
	dependents []*node
	// circle says that the object waits for dependents that in turn wait for it. It is what happens when both are deleted in the
	// foreground and each owns the other.
	circle bool
}

// plan decides about one object.
func plan(s state, _ time.Time) (p reconcile.Plan) {
	slices.SortFunc(s.dependents, func(a, b *node) int { return strings.Compare(string(a.uid), string(b.uid)) })
	switch {
	case s.item.orphaning():
		orphan(&p, s)
	case s.item.foreground():
		release(&p, s)
	case !s.item.deleting:
		collect(&p, s)
	}
	return p
}

// orphan takes the reference off all dependents, and then lets the owner go.
func orphan(p *reconcile.Plan, s state) {
	for _, d := range s.dependents {
		patchOwners(p, d, without(d.owners, s.item.uid), "its owner %s goes and leaves it behind", describe(s.item))
	}
	dropFinalizer(p, s.item, metav1.FinalizerOrphanDependents, "its dependents no longer refer to it")
}

// release lets an owner go when nothing is left that blocks it. Until then its dependents are each looked at by themselves.
func release(p *reconcile.Plan, s state) {
	blocked := slices.ContainsFunc(s.dependents, func(d *node) bool { return d.blocks(s.item.uid) })
	switch {
	case blocked && s.circle:
		unblock(p, s.item)
		return
	case blocked:
		return
	}
	dropFinalizer(p, s.item, metav1.FinalizerDeleteDependents, "no dependent is left that blocks it")
}

// collect deletes an object without an owner left, or takes off it the references that hold it no more.
func collect(p *reconcile.Plan, s state) {
	if len(s.owners) == 0 {
		return
	}
	var kept, lost []owner
	waits := false
	for _, o := range s.owners {
		switch o.verdict {
		case absent, waiting:
			lost = append(lost, o)
			waits = waits || o.verdict == waiting
		case impossible:
			p.Tell(invalid(s.item, o.ref), "the owner %s would be %s", o.ref.Name, o.verdict)
			kept = append(kept, o)
		default:
			kept = append(kept, o)
		}
	}
	switch {
	case len(lost) == 0:
	case len(kept) > 0:
		patchOwners(p, s.item, refs(kept), "%s; %s", tell(lost), tell(kept))
	default:
		remove(p, s, waits, tell(lost))
	}
}

// remove deletes the object, by the policy that its own finalizers ask for. If its owner waits for it and it has dependents, they go
// first.
func remove(p *reconcile.Plan, s state, ownerWaits bool, why string) {
	policy := metav1.DeletePropagationBackground
	switch {
	case ownerWaits && len(s.dependents) > 0:
		policy = metav1.DeletePropagationForeground
	case has(s.item.finalizers, metav1.FinalizerOrphanDependents):
		policy = metav1.DeletePropagationOrphan
	case has(s.item.finalizers, metav1.FinalizerDeleteDependents):
		policy = metav1.DeletePropagationForeground
	}
	a := p.Delete(objectOf(s.item), "%s", why)
	a.Options = metav1.DeleteOptions{PropagationPolicy: &policy, Preconditions: &metav1.Preconditions{ResourceVersion: &s.item.version}}
}

// unblock breaks a circle: the object blocks its owners no more, so that one of those that wait for each other can go.
func unblock(p *reconcile.Plan, n *node) {
	owners := slices.Clone(n.owners)
	for i := range owners {
		owners[i].BlockOwnerDeletion = new(bool)
	}
	patchOwners(p, n, owners, "it and its owners wait for each other")
}

// The patches carry the resourceVersion: lists in merge patches are replaced, so they have to be made from the newest.

func patchOwners(p *reconcile.Plan, n *node, owners []metav1.OwnerReference, why string, args ...any) {
	patch(p, n, map[string]any{"ownerReferences": owners}, why, args...)
}

func dropFinalizer(p *reconcile.Plan, n *node, finalizer, why string) {
	left := slices.DeleteFunc(slices.Clone(n.finalizers), func(f string) bool { return f == finalizer })
	patch(p, n, map[string]any{"finalizers": left}, "%s", why)
}

func patch(p *reconcile.Plan, n *node, metadata map[string]any, why string, args ...any) {
	metadata["uid"], metadata["resourceVersion"] = n.uid, n.version
	body, _ := json.Marshal(map[string]any{"metadata": metadata})
	p.Patch(objectOf(n), body, why, args...)
}

func objectOf(n *node) object {
	m := &metav1.PartialObjectMetadata{}
	m.APIVersion, m.Kind = n.kind.GroupVersion().String(), n.kind.Kind
	m.Namespace, m.Name, m.UID, m.ResourceVersion = n.namespace, n.name, n.uid, n.version
	return object{m, n.kind.resource}
}

func without(owners []metav1.OwnerReference, uid types.UID) []metav1.OwnerReference {
	return slices.DeleteFunc(slices.Clone(owners), func(r metav1.OwnerReference) bool { return r.UID == uid })
}

func refs(owners []owner) (list []metav1.OwnerReference) {
	for _, o := range owners {
		list = append(list, o.ref)
	}
	return list
}

func describe(n *node) string { return n.kind.Kind + " " + n.name }

func tell(owners []owner) string {
	var parts []string
	for _, o := range owners {
		parts = append(parts, fmt.Sprintf("its owner %s %s is %s", o.ref.Kind, o.ref.Name, o.verdict))
	}
	return strings.Join(parts, ", ")
}

func invalid(n *node, ref metav1.OwnerReference) reconcile.Note {
	return reconcile.Note{About: objectOf(n), Type: corev1.EventTypeWarning, Reason: "OwnerRefInvalidNamespace",
		Message: fmt.Sprintf("ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does not exist in namespace %q",
			ref.APIVersion, ref.Kind, n.namespace, ref.Name, ref.UID, n.namespace)}
}
