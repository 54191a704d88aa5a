package apiserver

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"bonsai/pkg/store"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
)

// requireClientsFault checks that what a client sent is answered as its own mistake.
func requireClientsFault(t *testing.T, err error) {
	t.Helper()
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatalf("an error that is no answer: %v", err)
	}
	if code := status.Status().Code; code < 400 || code >= 500 {
		t.Fatalf("what a client sent is answered with %d: %v", code, err)
	}
}

// FuzzSelectors lists objects by any label and field selector. What is let in says the same when it is written down and read again,
// and where the store looks instead of trying all, no object is missed.
func FuzzSelectors(f *testing.F) {
	b := newBench(f)
	for kind := range b.kinds.table.Rows() {
		f.Add(uint8(kind), uint8(0), "app in (web,db),!gone,n>1", "metadata.name=a,metadata.namespace!=b")
	}
	for _, s := range [][2]string{
		{"a=b", "spec.nodeName=n1"}, {"a==b,c!=d", "status.phase!=Running"}, {"a notin ()", `metadata.name=a\,b`}, {"=", `a\`}, {"a,,b", ",,"},
		{"a in (", "involvedObject.kind=Pod"}, {"a<1", "metadata.name="}, {"x/y/z", "type=Opaque,type=x"}, {"a in (b),a in (b)", "metadata.name=a,metadata.name=b"},
	} {
		for kind, row := range b.kinds.table.Rows() {
			if row.Resource == "pods" || row.Resource == "secrets" || row.Resource == "events" {
				f.Add(uint8(kind), uint8(0), s[0], s[1])
			}
		}
	}
	sets := []map[string]string{{}, {"app": "web", "n": "2"}, {"app": "db", "a": "b", "gone": ""}, {"a": "1"}}
	f.Fuzz(func(t *testing.T, kind, version uint8, label, field string) {
		row, ver := b.pick(kind, version)
		c := b.call(row, ver, "list", "")
		c.r.URL = &url.URL{Path: "/", RawQuery: url.Values{"labelSelector": {label}, "fieldSelector": {field}}.Encode()}
		c.t.readSelectors(c.r)
		l, err := listOptions(c)
		if err != nil {
			requireClientsFault(t, err)
			return
		}
		again, err := labels.Parse(l.labels.String())
		if err != nil {
			t.Fatalf("%q is %q, which is no selector: %v", label, l.labels, err)
		}
		for _, set := range sets {
			if l.labels.Matches(labels.Set(set)) != again.Matches(labels.Set(set)) {
				t.Fatalf("%q is %q, which is not the same for %v", label, l.labels, set)
			}
			for _, name := range []string{"a", "b"} {
				requireFound(t, c.t, l, name, set)
			}
		}
	})
}

// requireFound checks that the store would look at an object that is selected.
func requireFound(t *testing.T, tg *target, l *listing, name string, set map[string]string) {
	obj := tg.row.StorageVersion().New()
	obj.SetName(name)
	obj.SetLabels(set)
	if tg.row.Namespaced {
		obj.SetNamespace("default")
	}
	attrs := store.Attrs{Labels: store.NewSet(set), Fields: store.NewSet(tg.row.FieldSet(obj))}
	o := &store.Object{Key: tg.row.Key(obj.GetNamespace(), name), Attrs: attrs}
	selected := l.labels.Matches(attrs.Labels) && l.fields.Matches(attrs.Fields)
	looked := l.match == nil || l.match(o)
	if strings.HasSuffix(l.prefix, "/") {
		looked = looked && strings.HasPrefix(o.Key, l.prefix)
	} else {
		looked = looked && o.Key == l.prefix
	}
	if l.term != nil {
		value := attrs.Fields.Get(l.term.Field)
		looked = looked && value == l.term.Value
	}
	if selected != looked {
		t.Fatalf("labels %q, fields %q: %s is selected: %v, found: %v (below %s)", l.labels, l.fields, o.Key, selected, looked, l.prefix)
	}
}

// FuzzPaths asks for any path. What is served is what was authorized: one object's key is the key of its name in its namespace, and of
// nothing else.
func FuzzPaths(f *testing.F) {
	b := newBench(f)
	for _, path := range []string{
		"/api/v1/namespaces/default/pods/p/log", "/apis/apps/v1/deployments", "/api/v1/watch/namespaces/a/pods/b", "/api/v1/namespaces/a/status", "/api/v1/namespaces//pods",
		"/api/v1/nodes/n/proxy/a/../b", "//api/v1/pods", "/api//v1/pods/", "/apis/apps/v1/namespaces/a/namespaces/b", "/api/v1/namespaces/default/secrets/../x", "/version", "",
		"/api/v1/namespaces/a\x00/secrets/\xff", "/apis/apps/v1/watch", "/api/v1/namespaces/a/finalize/x",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, "ODD"} {
			f.Add(method, path, "watch=1&fieldSelector=metadata.name%3Dx/y&labelSelector=a")
		}
		f.Add(http.MethodGet, path, "fieldSelector=metadata.name%3Dx&limit=%zz;;&watch")
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		tg := parseTarget(&http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}})
		b.kinds.resolve(tg)
		_ = tg.longRunning()
		if tg.row == nil || b.verbHandler(tg) == nil {
			return
		}
		for _, segment := range []string{tg.namespace, tg.name, tg.sub, tg.resource, tg.group, tg.version} {
			if strings.Contains(segment, "/") {
				t.Fatalf("%q of %q is more than a segment", segment, path)
			}
		}
		switch tg.verb {
		case "get", "update", "patch", "delete":
			if tg.name == "" || tg.row.Namespaced && tg.namespace == "" {
				t.Fatalf("%s %q is of no object", tg.verb, path)
			}
			if want := tg.row.KeyPrefix(tg.namespace) + tg.name; tg.key() != want {
				t.Fatalf("%q is at %q, not %q", path, tg.key(), want)
			}
		}
	})
}
