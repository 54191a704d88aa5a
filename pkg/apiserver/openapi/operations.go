package openapi

import (
	"net/http"
	"slices"
	"strings"

	"bonsai/pkg/resource"
	"bonsai/pkg/version"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// path is one URL and what it answers to.
type path struct {
	url    string
	params []parameter // of every operation
	ops    []operation
}

// operation is one method of a path. Body and result are names of models; "string" is text; an empty body is none.
type operation struct {
	method, id, tag, doc, action string
	gvk                          schema.GroupVersionKind
	params                       []parameter
	consumes, produces           []string
	body, result                 string
	bodyRequired                 bool
	returns                      map[int]string
}

// common is what both dialects say of an operation in the same words.
func (o operation) common() map[string]any {
	return map[string]any{
		"description":         o.doc,
		"operationId":         o.id,
		"tags":                []string{o.tag},
		"x-kubernetes-action": o.action,
		"x-kubernetes-group-version-kind": map[string]string{
			"group": o.gvk.Group, "version": o.gvk.Version, "kind": o.gvk.Kind,
		},
	}
}

var (
	info        = map[string]any{"title": "Kubernetes", "version": version.Kubernetes}
	bearerToken = map[string]any{
		"type": "apiKey", "in": "header", "name": "authorization", "description": "Bearer Token authentication",
	}

	mediaTypes = []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"}
	listTypes  = append(slices.Clone(mediaTypes), "application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
	patchTypes = []string{
		string(types.JSONPatchType), string(types.MergePatchType), string(types.StrategicMergePatchType), string(types.ApplyYAMLPatchType),
	}
	anyType = []string{"*/*"}
	// Objects of custom kinds are maps, which have neither a protobuf encoding nor strategies for their fields.
	textTypes     = mediaTypes[:2:2]
	mapPatchTypes = []string{string(types.JSONPatchType), string(types.MergePatchType), string(types.ApplyYAMLPatchType)}
)

// Models of meta/v1.
var (
	statusModel = model(&metav1.Status{})
	patchModel  = model(&metav1.Patch{})
	deleteModel = model(&metav1.DeleteOptions{})
)

// paths returns the paths of all rows that are served in a group's version.
func paths(table []*resource.Row, gv schema.GroupVersion) []path {
	var all []path
	for _, row := range table {
		for i := range row.Versions {
			if row.Versions[i].GroupVersion == gv {
				all = append(all, newSpeaker(row, &row.Versions[i]).paths()...)
			}
		}
	}
	return all
}

// speaker says what one version of a row answers to.
type speaker struct {
	row         *resource.Row
	gvk         schema.GroupVersionKind
	object      string // model names
	list        string
	base        string // "/apis/apps/v1"
	idGroup     string // "AppsV1"
	tag         string // "apps_v1"
	scope       string // "Namespaced", in operation ids
	description string // of the kind, in sentences: "a Deployment"
}

func newSpeaker(row *resource.Row, v *resource.Version) *speaker {
	group := strings.TrimSuffix(v.Group, ".k8s.io")
	if group == "" {
		group = "core"
	}
	s := &speaker{
		row: row, gvk: v.WithKind(row.Kind),
		base:        "/" + groupPath(v.GroupVersion),
		idGroup:     camel(group) + camel(v.Version),
		tag:         lowerFirst(camel(group)) + "_" + v.Version,
		description: article(row.Kind) + row.Kind,
	}
	switch {
	case row.Custom != nil:
		s.object, s.list = row.Custom.Models.Object, row.Custom.Models.List
	case v.NewList != nil:
		s.object, s.list = model(v.New()), model(v.NewList())
	default: // reviews are answered one by one
		s.object = model(v.New())
	}
	if row.Namespaced {
		s.scope = "Namespaced"
	}
	return s
}

func (s *speaker) paths() []path {
	collection, params := s.base+"/"+s.row.Resource, []parameter{pretty}
	var all []path
	if s.row.Namespaced {
		all = append(all, s.collection(collection, params, s.listAll()))
		collection = s.base + "/namespaces/{namespace}/" + s.row.Resource
		params = []parameter{namespaceParam, pretty}
	}
	all = append(all, s.collection(collection, params, s.listOp(), s.create(), s.deleteCollection()))
	item := collection + "/{name}"
	params = append([]parameter{nameParam(s.row.Kind)}, params...)
	all = append(all, s.collection(item, params, s.get("", s.gvk, s.object), s.replace("", s.gvk, s.object), s.patch("", s.gvk, s.object), s.delete()))
	return append(all, s.subresources(item, params)...)
}

// collection is a path with those of the operations that the row serves.
func (s *speaker) collection(url string, params []parameter, ops ...operation) path {
	p := path{url: url, params: params}
	for _, op := range ops {
		if s.serves(op.action) {
			p.ops = append(p.ops, op)
		}
	}
	return p
}

// serves says whether the row has the verb that an action stands for.
func (s *speaker) serves(action string) bool {
	verb := map[string]string{"post": "create", "put": "update"}[action]
	if verb == "" {
		verb = action
	}
	return s.row.Verbs == nil || slices.Contains(s.row.Verbs, verb)
}

// op fills in what all operations have.
func (s *speaker) op(method, action, verb, rest, doc string, gvk schema.GroupVersionKind) operation {
	o := operation{
		method: method, action: action, doc: doc, gvk: gvk, tag: s.tag,
		id: verb + s.idGroup + s.scope + s.row.Kind + rest, produces: mediaTypes,
	}
	if s.row.Custom != nil {
		o.produces = textTypes
	}
	return o
}

func (s *speaker) listOp() operation {
	o := s.op("get", "list", "list", "", "list or watch objects of kind "+s.row.Kind, s.gvk)
	o.params = listParams
	if s.row.Custom == nil {
		o.produces = listTypes
	}
	o.result, o.returns = s.list, ok
	return o
}

// listAll is the list of all namespaces.
func (s *speaker) listAll() operation {
	o := s.listOp()
	o.id = "list" + s.idGroup + s.row.Kind + "ForAllNamespaces"
	return o
}

func (s *speaker) create() operation {
	o := s.op("post", "post", "create", "", "create "+s.description, s.gvk)
	o.params, o.consumes = createParams, anyType
	o.body, o.bodyRequired = s.object, true
	o.result, o.returns = s.object, made
	return o
}

func (s *speaker) deleteCollection() operation {
	o := s.op("delete", "deletecollection", "deletecollection", "", "delete collection of "+s.row.Kind, s.gvk)
	o.params, o.consumes = deleteCollectionParams, anyType
	o.body, o.result, o.returns = deleteModel, statusModel, ok
	return o
}

func (s *speaker) delete() operation {
	o := s.op("delete", "delete", "delete", "", "delete "+s.description, s.gvk)
	o.params, o.consumes = deleteParams, anyType
	o.body, o.result = deleteModel, statusModel
	if s.row.DeleteReturnsObject {
		o.result = s.object
	}
	o.returns = map[int]string{http.StatusOK: "OK", http.StatusAccepted: "Accepted"}
	return o
}

// get, replace and patch serve the kind itself (sub is empty) and its subresources, whose bodies may be of other kinds.
func (s *speaker) get(sub string, gvk schema.GroupVersionKind, object string) operation {
	o := s.op("get", "get", "read", title(sub), "read "+of(sub)+"the specified "+s.row.Kind, gvk)
	o.result, o.returns = object, ok
	return o
}

func (s *speaker) replace(sub string, gvk schema.GroupVersionKind, object string) operation {
	o := s.op("put", "put", "replace", title(sub), "replace "+of(sub)+"the specified "+s.row.Kind, gvk)
	o.params, o.consumes = updateParams, anyType
	o.body, o.bodyRequired, o.result = object, true, object
	o.returns = map[int]string{http.StatusOK: "OK", http.StatusCreated: "Created"}
	return o
}

func (s *speaker) patch(sub string, gvk schema.GroupVersionKind, object string) operation {
	o := s.op("patch", "patch", "patch", title(sub), "partially update "+of(sub)+"the specified "+s.row.Kind, gvk)
	o.params, o.consumes = patchParams, patchTypes
	if s.row.Custom != nil {
		o.consumes = mapPatchTypes
	}
	o.body, o.bodyRequired, o.result = patchModel, true, object
	o.returns = map[int]string{http.StatusOK: "OK", http.StatusCreated: "Created"}
	return o
}

var (
	ok   = map[int]string{http.StatusOK: "OK"}
	made = map[int]string{http.StatusOK: "OK", http.StatusCreated: "Created", http.StatusAccepted: "Accepted"}
)
