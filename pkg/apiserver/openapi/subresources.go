package openapi

import (
	"slices"
	"strings"

	"bonsai/pkg/resource"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// subresources returns the paths below an object's own.
func (s *speaker) subresources(item string) []path {
	var all []path
	if s.row.Scale != nil {
		gvk := autoscalingv1.SchemeGroupVersion.WithKind("Scale")
		if s.row.Custom != nil {
			gvk = s.gvk
		}
		all = append(all, s.whole(item, "scale", gvk, model(&autoscalingv1.Scale{})))
	}
	for _, sub := range s.row.Subresources {
		all = append(all, s.subresource(item, sub)...)
	}
	if s.row.Status != nil {
		all = append(all, s.whole(item, "status", s.gvk, s.object))
	}
	return all
}

// whole is a subresource that is read, replaced and patched as the object is.
func (s *speaker) whole(item, sub string, gvk schema.GroupVersionKind, object string) path {
	return at(item+"/"+sub, s.get(sub, gvk, object), s.replace(sub, gvk, object), s.patch(sub, gvk, object))
}

// subresource is a subresource with a handler of its own. One whose kind is that of options is a connection, and the
// options are its query parameters; there is no body.
func (s *speaker) subresource(item string, sub resource.Subresource) []path {
	gvk := sub.GroupVersion.WithKind(sub.Kind)
	options, err := scheme.Scheme.New(gvk)
	switch {
	case err != nil:
		// The kind has no type of its own that a client could send: nothing to describe.
		return nil
	case sub.Name == "log":
		return []path{at(item+"/log", s.log(queryParams(&corev1.PodLogOptions{})))}
	case strings.HasSuffix(sub.Kind, "Options"):
		return s.connections(item, sub.Name, gvk, queryParams(options))
	}
	var ops []operation
	object := model(options)
	if slices.Contains(sub.Verbs, "get") {
		ops = append(ops, s.get(sub.Name, gvk, object))
	}
	if slices.Contains(sub.Verbs, "update") {
		ops = append(ops, s.replace(sub.Name, gvk, object))
	}
	if slices.Contains(sub.Verbs, "patch") {
		ops = append(ops, s.patch(sub.Name, gvk, object))
	}
	if slices.Contains(sub.Verbs, "create") {
		ops = append(ops, s.createSub(sub.Name, gvk, object))
	}
	return []path{at(item+"/"+sub.Name, ops...)}
}

func (s *speaker) createSub(sub string, gvk schema.GroupVersionKind, object string) operation {
	o := s.op("post", "post", "create", title(sub), "create "+sub+" of "+s.description, gvk)
	o.params = withPretty(createParams)
	o.body, o.bodyRequired = object, true
	o.result, o.returns = object, made
	return o
}

// log reads a pod's log, which is text.
func (s *speaker) log(params []parameter) operation {
	o := s.get("log", s.gvk, "string")
	o.params = withPretty(params)
	o.produces = append([]string{"text/plain"}, mediaTypes...)
	return o
}

// connections are the methods that open a stream through the server: exec, attach, portforward by GET and POST, proxy by
// any, and proxy also for paths below.
func (s *speaker) connections(item, sub string, gvk schema.GroupVersionKind, options []parameter) []path {
	methods := []string{"get", "post"}
	if sub == "proxy" {
		methods = []string{"delete", "get", "head", "options", "patch", "post", "put"}
	}
	connect := func(url, suffix string) path {
		var ops []operation
		for _, m := range methods {
			doc := "connect " + strings.ToUpper(m) + " requests to " + sub + " of " + s.row.Kind
			o := s.op(m, "connect", "connect", title(sub)+suffix, doc, gvk)
			o.id = "connect" + s.idGroup + title(m) + s.scope + s.row.Kind + title(sub) + suffix
			o.produces, o.params = anyType, options
			o.result, o.returns = "string", ok
			ops = append(ops, o)
		}
		return at(url, ops...)
	}
	all := []path{connect(item+"/"+sub, "")}
	if sub == "proxy" {
		all = append(all, connect(item+"/proxy/{path}", "WithPath"))
	}
	return all
}
