package garbagecollector

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"bonsai/pkg/reconcile"
)

// What is decided about an object whose owner the graph does not have, by what the API server says of it.
func TestVerify(t *testing.T) {
	cluster := &kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Node"}}
	item := func(namespace, kind string) *node {
		return &node{kind: thing, namespace: namespace, name: "item", uid: "item", version: "7",
			owners: []metav1.OwnerReference{{APIVersion: "v1", Kind: kind, Name: "owner", UID: "owner"}}}
	}
	live := func(uid string) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)}}
	}
	for _, c := range []struct {
		name string
		item *node
		live *metav1.PartialObjectMetadata
		in   string // the namespace that is asked
		want string
	}{
		{"gone", item("ns", "Thing"), nil, "ns", "delete Thing ns/item: its owner Thing owner is gone"},
		{"another of the same name", item("ns", "Thing"), live("other"), "ns", "delete Thing ns/item: its owner Thing owner is gone"},
		{"there after all", item("ns", "Thing"), live("owner"), "ns", ""},
		{"an owner without namespace", item("ns", "Node"), nil, "", "delete Thing ns/item: its owner Node owner is gone"},
		{"an unknown kind", item("ns", "Other"), nil, "-", ""},
		{"an owner in a namespace, of an object in none", item("", "Thing"), nil, "-",
			`event Thing item OwnerRefInvalidNamespace "ownerRef [v1/Thing, namespace: , name: owner, uid: owner] does not exist in namespace \"\"": ` +
				"the owner owner would be in a namespace, and the object is in none"},
	} {
		asked := "-"
		o := observer{graph: newGraph(), kind: func(gk schema.GroupKind) *kind {
			return map[string]*kind{"Thing": thing, "Node": cluster}[gk.Kind]
		}, get: func(_ context.Context, _ *kind, namespace, _ string) (*metav1.PartialObjectMetadata, error) {
			asked = namespace
			if c.live == nil {
				return nil, apierrors.NewNotFound(schema.GroupResource{}, "owner")
			}
			return c.live, nil
		}}
		o.graph.set(c.item)
		s, _, err := o.observe(t.Context(), reconcile.Key{Name: "item"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, a := range plan(s, time.Time{}) {
			got += a.String()
		}
		if got != c.want || asked != c.in {
			t.Errorf("%s: asked in %q: %s", c.name, asked, got)
		}
	}
}

// An object in one namespace is not the owner of one in another, even if a reference has its UID.
func TestReferenceAcrossNamespaces(t *testing.T) {
	g := newGraph()
	g.set(&node{kind: thing, namespace: "a", name: "owner", uid: "owner"})
	dependent := &node{kind: thing, namespace: "b", name: "d", uid: "d",
		owners: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Thing", Name: "owner", UID: "owner"}}}
	g.set(dependent)
	s, _ := g.state("d")
	if s.owners[0].verdict != unseen {
		t.Errorf("the owner is %s", s.owners[0].verdict)
	}
	if s, _ = g.state("owner"); len(s.dependents) != 0 {
		t.Error("it counts as a dependent")
	}
}
