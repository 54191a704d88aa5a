package apiserver

import (
	"net/http"
	"strings"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"

	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// target is what a request is about: its path taken apart, and looked up in the table of kinds. Row is nil if the
// path names nothing in the table.
type target struct {
	isResource           bool
	verb                 string
	group, version       string
	resource, sub        string
	namespace, name      string
	named                bool   // the path has a name; that of a list of one is from its selector
	prefixed             bool   // the verb is in the path, before the resource, whatever the method is
	headless             bool   // there is such a verb, and nothing behind it
	below                bool   // the resource is below a namespace in the path
	path, rest           string // rest is what follows the subresource: the path to proxy
	row                  *resource.Row
	ver                  *resource.Version
	labelText, fieldText string // the selectors of list, watch and deletecollection, for authorizers
}

// gr is the resource as messages name it.
func (t *target) gr() schema.GroupResource {
	return schema.GroupResource{Group: t.group, Resource: t.resource}
}

func (t *target) gvk() schema.GroupVersionKind { return t.ver.WithKind(t.row.Kind) }

// key is the object's key in the store.
func (t *target) key() string { return t.row.Key(t.namespace, t.name) }

// isStorageVersion tells whether the kept bytes are already what the client asks for.
func (t *target) isStorageVersion() bool { return t.ver == &t.row.Versions[0] }

var verbs = map[string]string{
	http.MethodPost: "create", http.MethodGet: "get", http.MethodHead: "get",
	http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
}

// parseTarget takes a request's path apart:
//
//	/api/VERSION/…  /apis/GROUP/VERSION/…   then one of
//	RESOURCE[/NAME[/SUBRESOURCE[/REST]]]    namespaces/NAMESPACE/RESOURCE[/NAME[/SUBRESOURCE[/REST]]]
//
// with an optional verb after the version ("watch/", which old clients use, or "proxy/", which is not served any more), which then counts
// whatever the method is. All other paths are no resources.
func parseTarget(r *http.Request) *target {
	t := &target{path: r.URL.Path, verb: strings.ToLower(r.Method)}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		t.version, parts = parts[1], parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		t.group, t.version, parts = parts[1], parts[2], parts[3:]
	default:
		return t
	}
	t.isResource, t.verb = true, verbs[r.Method]
	if t.prefixed = parts[0] == "watch" || parts[0] == "proxy"; t.prefixed {
		if len(parts) == 1 {
			t.headless = true
			return t
		}
		t.verb, parts = parts[0], parts[1:]
	}
	t.parseResource(parts)
	t.refineVerb(r)
	return t
}

// parseResource reads the part of the path after the version.
func (t *target) parseResource(parts []string) {
	if parts[0] == "namespaces" && len(parts) > 1 {
		t.namespace = parts[1]
		// namespaces/x/status is about the namespace, namespaces/x/pods about the pods in it.
		if len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
			parts, t.below = parts[2:], true
		}
	}
	t.resource = parts[0]
	if len(parts) > 1 {
		t.name, t.named = parts[1], true
	}
	if len(parts) > 2 && t.verb != "proxy" {
		t.sub = parts[2]
	}
	if len(parts) > 3 {
		t.rest = strings.Join(parts[3:], "/")
	}
}

// refineVerb tells list and watch from get, and deletecollection from delete.
func (t *target) refineVerb(r *http.Request) {
	switch {
	case t.prefixed, t.name != "":
		return
	case t.verb == "get":
		t.verb = "list"
		if isTrue(r.URL.Query()["watch"]) {
			t.verb = "watch"
		}
	case t.verb == "delete":
		t.verb = "deletecollection"
	default:
		return
	}
	t.readSelectors(r)
}

// readSelectors lets authorizers see a list of one named object as what it is: a kubelet may watch one secret. To delete by a selector is
// to delete a collection, whatever it selects.
func (t *target) readSelectors(r *http.Request) {
	q := r.URL.Query()
	t.labelText, t.fieldText = q.Get("labelSelector"), q.Get("fieldSelector")
	if t.fieldText == "" || t.verb == "deletecollection" {
		return
	}
	sel, err := fields.ParseSelector(t.fieldText)
	if err != nil {
		return
	}
	if name, ok := sel.RequiresExactMatch("metadata.name"); ok && len(path.IsValidPathSegmentName(name)) == 0 {
		t.name = name
	}
}

// isTrue reads a parameter as all parameters of the API are read: it is false if it is not there, "0" or "false". The Python
// client says "True".
func isTrue(values []string) bool {
	return len(values) > 0 && values[0] != "0" && !strings.EqualFold(values[0], "false")
}

// attributes are t as an authorizer is asked about it.
func (t *target) attributes(u auth.User) auth.Request {
	return auth.Request{
		User: u, Verb: t.verb, Path: t.path, IsResource: t.isResource,
		Group: t.group, Version: t.version, Resource: t.resource, Subresource: t.sub,
		Namespace: t.namespace, Name: t.name, FieldSelector: t.fieldText, LabelSelector: t.labelText,
	}
}

// longRunning requests have no deadline and do not count as in flight: their end is not a matter of work but of the
// client's wish.
func (t *target) longRunning() bool {
	switch {
	case !t.isResource:
		return strings.HasPrefix(t.path, "/debug/pprof/")
	case t.verb == "watch", t.verb == "proxy":
		return true
	}
	switch t.sub {
	case "attach", "exec", "proxy", "log", "portforward":
		return true
	}
	return false
}

// typeMeta is the kind and version of the object that t's resource holds.
func (t *target) typeMeta() metav1.TypeMeta {
	apiVersion, kind := t.gvk().ToAPIVersionAndKind()
	return metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}
}
