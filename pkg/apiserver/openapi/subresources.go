package openapi

import (
	"slices"
	"strings"

	"bonsai/pkg/resource"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// subresources returns the paths below an object's own.
func (s *speaker) subresources(item string, params []parameter) []path {
	var all []path
	if s.row.Scale != nil {
		gvk := autoscalingv1.SchemeGroupVersion.WithKind("Scale")
		all = append(all, s.whole(item, params, "scale", gvk, model(&autoscalingv1.Scale{})))
	}
	for _, sub := range s.row.Subresources {
		all = append(all, s.subresource(item, params, sub)...)
	}
	if s.row.Status != nil {
		all = append(all, s.whole(item, params, "status", s.gvk, s.object))
	}
	return all
}

// whole is a subresource that is read, replaced and patched as the object is.
func (s *speaker) whole(item string, params []parameter, sub string, gvk schema.GroupVersionKind, object string) path {
	return path{url: item + "/" + sub, params: params, ops: []operation{
		s.get(sub, gvk, object), s.replace(sub, gvk, object), s.patch(sub, gvk, object),
	}}
}

// subresource is a subresource with a handler of its own. One whose kind is that of options is a connection, and the
// options are its query parameters; there is no body.
func (s *speaker) subresource(item string, params []parameter, sub resource.Subresource) []path {
	gvk := sub.GroupVersion.WithKind(sub.Kind)
	options, err := scheme.Scheme.New(gvk)
	switch {
	case err != nil:
		// The kind has no type of its own that a client could send: nothing to describe.
		return nil
	case sub.Name == "log":
		return []path{{url: item + "/log", params: params, ops: []operation{s.log(queryParams(options))}}}
	case strings.HasSuffix(sub.Kind, "Options"):
		return s.connections(item, params, sub.Name, gvk, queryParams(options))
	}
	p := path{url: item + "/" + sub.Name, params: params}
	object := model(options)
	if slices.Contains(sub.Verbs, "get") {
		p.ops = append(p.ops, s.get(sub.Name, gvk, object))
	}
	if slices.Contains(sub.Verbs, "update") {
		p.ops = append(p.ops, s.replace(sub.Name, gvk, object))
	}
	if slices.Contains(sub.Verbs, "patch") {
		p.ops = append(p.ops, s.patch(sub.Name, gvk, object))
	}
	if slices.Contains(sub.Verbs, "create") {
		p.ops = append(p.ops, s.createSub(sub.Name, gvk, object))
	}
	return []path{p}
}

func (s *speaker) createSub(sub string, gvk schema.GroupVersionKind, object string) operation {
	o := s.op("post", "post", "create", title(sub), "create "+sub+" of "+s.description, gvk)
	o.params, o.consumes = createParams, anyType
	o.body, o.bodyRequired = object, true
	o.result, o.returns = object, made
	return o
}

// log reads a pod's log, which is text.
func (s *speaker) log(params []parameter) operation {
	o := s.get("log", s.gvk, "string")
	o.params = params
	o.produces = append([]string{"text/plain"}, mediaTypes...)
	return o
}

// connections are the methods that open a stream through the server: exec, attach, portforward by GET and POST, proxy by
// any, and proxy also for paths below.
func (s *speaker) connections(item string, params []parameter, sub string, gvk schema.GroupVersionKind, options []parameter) []path {
	methods := []string{"get", "post"}
	if sub == "proxy" {
		methods = []string{"delete", "get", "head", "options", "patch", "post", "put"}
	}
	connect := func(url string, params []parameter, suffix string) path {
		p := path{url: url, params: params}
		for _, m := range methods {
			doc := "connect " + strings.ToUpper(m) + " requests to " + sub + " of " + s.row.Kind
			o := s.op(m, "connect", "connect", title(sub)+suffix, doc, gvk)
			o.id = "connect" + s.idGroup + title(m) + s.scope + s.row.Kind + title(sub) + suffix
			o.consumes, o.produces = anyType, anyType
			o.result, o.returns = "string", ok
			p.ops = append(p.ops, o)
		}
		return p
	}
	// Options are the same for every method, and so belong to the path.
	withoutPretty := slices.DeleteFunc(slices.Clone(params), func(p parameter) bool { return p == pretty })
	all := []path{connect(item+"/"+sub, append(slices.Clone(withoutPretty), options...), "")}
	if sub == "proxy" {
		below := append(slices.Clone(withoutPretty), pathParam)
		all = append(all, connect(item+"/proxy/{path}", append(below, options...), "WithPath"))
	}
	return all
}
