package openapi

import (
	"net/http"
	"slices"
	"strings"

	"bonsai/pkg/resource"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// path is one URL and what it answers to.
type path struct {
	url string
	ops []operation
}

// operation is one method of a path. Body and result are names of models; "string" is text; an empty body is none. What is no
// operation on objects has no action and no kind.
type operation struct {
	method, id, tag, doc, action string
	gvk                          schema.GroupVersionKind
	params                       []parameter // all but the body, those of the URL included, sorted
	consumes, produces           []string
	body, result                 string
	bodyRequired                 bool
	returns                      map[int]string
}

var (
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
	watchModel  = model(&metav1.WatchEvent{})
)

// paths returns the paths of all rows that are served in a group's version.
func paths(table []*resource.Row, gv schema.GroupVersion) []path {
	var all []path
	if anyBuiltIn(table) {
		all = append(all, resourcesPath(gv))
	}
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
	group := shortGroup(v.Group)
	s := &speaker{
		row: row, gvk: v.WithKind(row.Kind),
		base:        "/" + groupPath(v.GroupVersion),
		idGroup:     camel(group) + camel(v.Version),
		tag:         tagOf(v.GroupVersion),
		description: withArticle(row.Kind),
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
	collection := "/" + s.row.Resource
	var all []path
	if s.row.Namespaced {
		all = append(all, s.collection(s.base+collection, s.listAll()), s.collection(s.base+"/watch"+collection, s.watchAll()))
		collection = "/namespaces/{namespace}" + collection
	}
	item := collection + "/{name}"
	all = append(all,
		s.collection(s.base+collection, s.listOp(), s.create(), s.deleteCollection()),
		s.collection(s.base+item, s.get("", s.gvk, s.object), s.replace("", s.gvk, s.object), s.patch("", s.gvk, s.object), s.delete()),
		s.collection(s.base+"/watch"+collection, s.watchList()),
		s.collection(s.base+"/watch"+item, s.watchOne()))
	all = append(all, s.subresources(s.base+item)...)
	return slices.DeleteFunc(all, func(p path) bool { return len(p.ops) == 0 })
}

// collection is a path with those of the operations that the row serves.
func (s *speaker) collection(url string, ops ...operation) path {
	return at(url, slices.DeleteFunc(ops, func(op operation) bool { return !s.serves(op.action) })...)
}

// at is a path with operations, each of which takes what the URL leaves open.
func at(url string, ops ...operation) path {
	for i := range ops {
		op := &ops[i]
		op.params = slices.Clone(op.params)
		for part := range strings.SplitSeq(url, "/") {
			switch part {
			case "{namespace}":
				op.params = append(op.params, namespaceParam)
			case "{name}":
				op.params = append(op.params, nameParam(op.gvk.Kind))
			case "{path}":
				op.params = append(op.params, pathParam)
			}
		}
		slices.SortFunc(op.params, parameter.compare)
	}
	return path{url, ops}
}

// serves says whether the row has the verb that an action stands for. The paths that are only for watching are not told of for
// custom kinds, though they are served.
func (s *speaker) serves(action string) bool {
	verb := map[string]string{"post": "create", "put": "update", "watchlist": "watch"}[action]
	if verb == "" {
		verb = action
	}
	if verb == "watch" && s.row.Custom != nil {
		return false
	}
	return s.row.Verbs == nil || slices.Contains(s.row.Verbs, verb)
}

// withPretty are the parameters of options and the one of how answers look.
func withPretty(params []parameter) []parameter { return append(slices.Clip(params), pretty) }

// op fills in what all operations have.
func (s *speaker) op(method, action, verb, rest, doc string, gvk schema.GroupVersionKind) operation {
	o := operation{
		method: method, action: action, doc: doc, gvk: gvk, tag: s.tag,
		id:       verb + s.idGroup + s.scope + s.row.Kind + rest,
		consumes: anyType, produces: mediaTypes, params: withPretty(nil),
	}
	if s.row.Custom != nil {
		o.consumes, o.produces = textTypes, textTypes
	}
	return o
}

func (s *speaker) listOp() operation {
	doc := "list objects of kind " + s.row.Kind
	if s.serves("watch") {
		doc = "list or watch objects of kind " + s.row.Kind
	}
	o := s.op("get", "list", "list", "", doc, s.gvk)
	o.params = withPretty(listParams)
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

// watchOne and the next two are watches by paths of their own, as they were before there was a parameter for that.
func (s *speaker) watchOne() operation {
	return s.watch("watch", "", "watch changes to an object of kind "+s.row.Kind+". deprecated: use the 'watch' parameter with a list "+
		"operation instead, filtered to a single item with the 'fieldSelector' parameter.")
}

func (s *speaker) watchList() operation {
	return s.watch("watchlist", "List", "watch individual changes to a list of "+s.row.Kind+". deprecated: use the 'watch' parameter "+
		"with a list operation instead.")
}

func (s *speaker) watchAll() operation {
	o := s.watchList()
	o.id = "watch" + s.idGroup + s.row.Kind + "ListForAllNamespaces"
	return o
}

func (s *speaker) watch(action, rest, doc string) operation {
	o := s.op("get", action, "watch", rest, doc, s.gvk)
	o.params, o.produces = withPretty(listParams), listTypes
	o.result, o.returns = watchModel, ok
	return o
}

func (s *speaker) create() operation {
	o := s.op("post", "post", "create", "", "create "+s.description, s.gvk)
	o.params = withPretty(createParams)
	o.body, o.bodyRequired = s.object, true
	o.result, o.returns = s.object, made
	return o
}

func (s *speaker) deleteCollection() operation {
	o := s.op("delete", "deletecollection", "delete", "", "delete collection of "+s.row.Kind, s.gvk)
	o.id = "delete" + s.idGroup + "Collection" + s.scope + s.row.Kind
	o.params, o.body = withPretty(deleteCollectionParams), deleteModel
	if s.row.Custom != nil {
		o.params, o.body = withPretty(listParams), ""
	}
	o.result, o.returns = statusModel, ok
	return o
}

func (s *speaker) delete() operation {
	o := s.op("delete", "delete", "delete", "", "delete "+s.description, s.gvk)
	o.params = withPretty(deleteParams)
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
	if s.row.Custom != nil {
		o.params = withPretty(getParams)
	}
	o.result, o.returns = object, ok
	return o
}

func (s *speaker) replace(sub string, gvk schema.GroupVersionKind, object string) operation {
	o := s.op("put", "put", "replace", title(sub), "replace "+of(sub)+"the specified "+s.row.Kind, gvk)
	o.params = withPretty(updateParams)
	o.body, o.bodyRequired, o.result = object, true, object
	o.returns = changed
	return o
}

func (s *speaker) patch(sub string, gvk schema.GroupVersionKind, object string) operation {
	o := s.op("patch", "patch", "patch", title(sub), "partially update "+of(sub)+"the specified "+s.row.Kind, gvk)
	o.params, o.consumes, o.returns = withPretty(patchParams), patchTypes, changed
	if s.row.Custom != nil {
		o.consumes, o.returns = mapPatchTypes, ok
	}
	o.body, o.bodyRequired, o.result = patchModel, true, object
	return o
}

var (
	ok      = map[int]string{http.StatusOK: "OK"}
	made    = map[int]string{http.StatusOK: "OK", http.StatusCreated: "Created", http.StatusAccepted: "Accepted"}
	changed = map[int]string{http.StatusOK: "OK", http.StatusCreated: "Created"}
)
