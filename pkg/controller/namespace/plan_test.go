package namespace

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"bonsai/pkg/reconcile"
	"bonsai/pkg/reconcile/plantest"
)

func of(resource, name string, collection bool, items ...metav1.PartialObjectMetadata) kind {
	return kind{schema.GroupVersionResource{Version: "v1", Resource: resource}, name, collection, items}
}

func item(name string, change ...func(*metav1.PartialObjectMetadata)) metav1.PartialObjectMetadata {
	m := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
	for _, c := range change {
		c(&m)
	}
	return m
}

func going(m *metav1.PartialObjectMetadata) { m.DeletionTimestamp = &metav1.Time{Time: plantest.Now} }
func held(m *metav1.PartialObjectMetadata)  { m.Finalizers = []string{"example.com/hold"} }

func terminating() *corev1.Namespace {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns", DeletionTimestamp: &metav1.Time{Time: plantest.Now}}}
	ns.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
	return ns
}

// The first line of each plan is the status update; a second plan from the written status must not write it again.
func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name  string
		state state
		want  []string
	}{
		{"pods go first", state{content: []kind{of("configmaps", "ConfigMap", true, item("c")), of("pods", "Pod", true, item("p"))}}, []string{
			"delete Pod ns/*: the namespace is being deleted, with 1 pods", "wait 100ms: to see what is left"}},
		{"pods are ending, the others wait", state{content: []kind{of("configmaps", "ConfigMap", true, item("c")), of("pods", "Pod", true, item("p", going))}}, []string{
			"wait 5s: all that is left is on its way out, or of groups that do not answer"}},
		{"then everything else", state{content: []kind{of("configmaps", "ConfigMap", true, item("a"), item("b")), of("things", "Thing", false, item("x"), item("y", going, held))}}, []string{
			"delete ConfigMap ns/*: the namespace is being deleted, with 2 configmaps", "delete Thing ns/x: the namespace is being deleted",
			"wait 100ms: to see what is left"}},
		{"empty", state{}, []string{"update Namespace ns: nothing is left in it"}},
		{"a group does not answer", state{undiscovered: &discovery.ErrGroupDiscoveryFailed{Groups: map[schema.GroupVersion]error{{Group: "x"}: errors.New("down")}}}, []string{
			"wait 5s: all that is left is on its way out, or of groups that do not answer"}},
	} {
		c.state.namespace = terminating()
		first := plan(c.state, plantest.Now)
		if first[0].Verb != reconcile.UpdateStatus {
			t.Errorf("%s: %v", c.name, first)
			continue
		}
		c.state.namespace = first[0].Object.(*corev1.Namespace)
		var got []string
		for _, a := range plan(c.state, plantest.Now) {
			got = append(got, a.String())
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, c.want)
		}
	}
}

// The messages are upstream's: people search for them when a namespace does not go away.
func TestConditions(t *testing.T) {
	ns := terminating()
	setConditions(ns, state{
		content: []kind{of("pods", "Pod", true, item("p")), of("configmaps", "ConfigMap", true, item("a", held), item("b", held))},
		failure: errors.New("no"),
	}, plantest.Now)
	var got []string
	for _, c := range ns.Status.Conditions {
		got = append(got, string(c.Type)+" "+string(c.Status)+" "+c.Reason+": "+c.Message)
	}
	want := []string{
		"NamespaceDeletionDiscoveryFailure False ResourcesDiscovered: All resources successfully discovered",
		"NamespaceDeletionGroupVersionParsingFailure False ParsedGroupVersions: All legacy kube types successfully parsed",
		"NamespaceDeletionContentFailure True ContentDeletionFailed: Failed to delete all resource types, 1 remaining: no",
		"NamespaceContentRemaining True SomeResourcesRemain: Some resources are remaining: configmaps. has 2 resource instances, pods. has 1 resource instances",
		"NamespaceFinalizersRemaining True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
