package garbagecollector

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// kind is a kind of object as the API server serves it.
type kind struct {
	schema.GroupVersionKind
	resource   schema.GroupVersionResource
	namespaced bool
	stop       func()
}

// node is what the graph keeps of an object. It is not changed once it is in the graph.
type node struct {
	kind            *kind
	namespace, name string
	uid             types.UID
	version         string
	owners          []metav1.OwnerReference
	finalizers      []string
	deleting        bool
}

// orphaning and foreground are the two ways in which a deleted owner stays for a while.
func (n *node) orphaning() bool {
	return n.deleting && has(n.finalizers, metav1.FinalizerOrphanDependents)
}
func (n *node) foreground() bool {
	return n.deleting && has(n.finalizers, metav1.FinalizerDeleteDependents)
}

// blocks says whether the node keeps an owner from going before it.
func (n *node) blocks(owner types.UID) bool {
	return slices.ContainsFunc(n.owners, func(ref metav1.OwnerReference) bool {
		return ref.UID == owner && ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
	})
}

func has(list []string, s string) bool { return slices.Contains(list, s) }

// is says whether the node is what a dependent in a namespace refers to. UIDs are unique, but a reference may be wrong.
func (n *node) is(ref metav1.OwnerReference, namespace string) bool {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	return err == nil && gv.Group == n.kind.Group && ref.Kind == n.kind.Kind && ref.Name == n.name &&
		(n.namespace == "" || n.namespace == namespace)
}

// graph is who owns whom. Each change returns whom it concerns: the UIDs of objects to be looked at.
type graph struct {
	mu    sync.Mutex
	nodes map[types.UID]*node
	// dependents has, for each UID that is referred to, who does. The UID's own object need not be known.
	dependents map[types.UID]map[types.UID]bool
}

func newGraph() *graph {
	return &graph{nodes: map[types.UID]*node{}, dependents: map[types.UID]map[types.UID]bool{}}
}

// set takes in a new or changed object. It concerns
//
//   - the object itself, if it waits for its dependents, or if an owner of it is missing or waits for it
//   - its dependents, if it has begun to wait for them
//   - its owners, old and new, if it refers to them otherwise than before
func (g *graph) set(n *node) (concerned []types.UID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.nodes[n.uid]
	g.nodes[n.uid] = n
	if old == nil || !equality.Semantic.DeepEqual(old.owners, n.owners) {
		if old != nil {
			concerned = append(concerned, g.unlink(old)...)
		}
		concerned = append(concerned, g.link(n)...)
	}
	if n.foreground() && (old == nil || !old.foreground()) {
		concerned = append(concerned, g.dependentsOf(n.uid)...)
	}
	if g.needsLook(n) {
		concerned = append(concerned, n.uid)
	}
	return concerned
}

// remove takes out an object that is gone. It concerns its dependents, and its owners, which may have waited for it.
func (g *graph) remove(uid types.UID) (concerned []types.UID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.nodes[uid]
	if n == nil {
		return nil
	}
	delete(g.nodes, uid)
	return append(g.unlink(n), g.dependentsOf(uid)...)
}

// removeKind takes out all objects of a kind that is not served any more.
func (g *graph) removeKind(k *kind) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for uid, n := range g.nodes {
		if n.kind == k {
			delete(g.nodes, uid)
			g.unlink(n)
		}
	}
}

// all are the objects that need a look, whatever changed.
func (g *graph) all() (concerned []types.UID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for uid, n := range g.nodes {
		if g.needsLook(n) {
			concerned = append(concerned, uid)
		}
	}
	return concerned
}

func (g *graph) needsLook(n *node) bool {
	if n.deleting {
		return n.orphaning() || n.foreground()
	}
	return slices.ContainsFunc(n.owners, func(ref metav1.OwnerReference) bool { return g.verdict(n, ref) != present })
}

// verdict is what the graph knows of an owner.
func (g *graph) verdict(n *node, ref metav1.OwnerReference) verdict {
	o := g.nodes[ref.UID]
	switch {
	case o == nil || !o.is(ref, n.namespace):
		return unseen
	case o.foreground():
		return waiting
	}
	return present
}

// link and unlink keep the dependents, and return the owners.
func (g *graph) link(n *node) (owners []types.UID) {
	for _, ref := range n.owners {
		if g.dependents[ref.UID] == nil {
			g.dependents[ref.UID] = map[types.UID]bool{}
		}
		g.dependents[ref.UID][n.uid] = true
		owners = append(owners, ref.UID)
	}
	return owners
}

func (g *graph) unlink(n *node) (owners []types.UID) {
	for _, ref := range n.owners {
		delete(g.dependents[ref.UID], n.uid)
		if len(g.dependents[ref.UID]) == 0 {
			delete(g.dependents, ref.UID)
		}
		owners = append(owners, ref.UID)
	}
	return owners
}

func (g *graph) dependentsOf(uid types.UID) (dependents []types.UID) {
	for d := range g.dependents[uid] {
		dependents = append(dependents, d)
	}
	return dependents
}

// state is what the graph knows about an object and its surroundings.
func (g *graph) state(uid types.UID) (s state, found bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.item = g.nodes[uid]; s.item == nil {
		return s, false
	}
	for _, ref := range s.item.owners {
		s.owners = append(s.owners, owner{ref, g.verdict(s.item, ref)})
	}
	s.circle = s.item.foreground() && g.waitsFor(uid, uid, map[types.UID]bool{})
	for _, d := range g.dependentsOf(uid) {
		n := g.nodes[d]
		for _, ref := range n.owners {
			if ref.UID == uid && s.item.is(ref, n.namespace) {
				s.dependents = append(s.dependents, n)
				break
			}
		}
	}
	return s, true
}

// waitsFor says whether an object that waits for its dependents waits, through them and theirs, for another.
func (g *graph) waitsFor(uid, other types.UID, visited map[types.UID]bool) bool {
	visited[uid] = true
	for d := range g.dependents[uid] {
		n := g.nodes[d]
		if !n.foreground() || !n.blocks(uid) {
			continue
		}
		if d == other || !visited[d] && g.waitsFor(d, other, visited) {
			return true
		}
	}
	return false
}
