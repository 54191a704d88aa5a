package openapi

import (
	"cmp"
	"reflect"
	"strings"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// parameter is one of the query or the path.
type parameter struct{ name, in, kind, doc string }

// compare puts parameters into the order of their names.
func (p parameter) compare(q parameter) int {
	return cmp.Or(cmp.Compare(p.name, q.name), cmp.Compare(p.in, q.in))
}

var (
	pretty = parameter{"pretty", "query", "string", "If 'true', then the output is pretty printed. Defaults to 'false' unless " +
		"the user-agent indicates a browser or command-line HTTP tool (curl and wget)."}
	namespaceParam = parameter{"namespace", "path", "string", "object name and auth scope, such as for teams and projects"}
	pathParam      = parameter{"path", "path", "string", "path to the resource"}

	getParams              = queryParams(&metav1.GetOptions{})
	listParams             = queryParams(&metav1.ListOptions{})
	createParams           = queryParams(&metav1.CreateOptions{})
	updateParams           = queryParams(&metav1.UpdateOptions{})
	patchParams            = queryParams(&metav1.PatchOptions{})
	deleteParams           = queryParams(&metav1.DeleteOptions{})
	deleteCollectionParams = both(deleteParams, listParams, "watch", "allowWatchBookmarks")
)

func nameParam(kind string) parameter {
	return parameter{"name", "path", "string", "name of the " + kind}
}

// queryParams returns the query parameters that an options type stands for: its own fields that are no structs.
func queryParams(options runtime.Object) []parameter {
	docs := options.(interface{ SwaggerDoc() map[string]string }).SwaggerDoc()
	t := reflect.TypeOf(options).Elem()
	var params []parameter
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		kind := jsonType(t.Field(i).Type)
		if name != "" && kind != "" {
			params = append(params, parameter{name, "query", kind, docs[name]})
		}
	}
	return params
}

// jsonType is what a parameter of a Go type is called; empty if it is none.
func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Int32, reflect.Int64:
		return "integer"
	case reflect.String:
		return "string"
	case reflect.Slice, reflect.Pointer:
		return jsonType(t.Elem())
	}
	return ""
}

// both is a's parameters and those of b that are not excluded and not in a.
func both(a, b []parameter, excluded ...string) []parameter {
	names := map[string]bool{}
	for _, p := range a {
		names[p.name] = true
	}
	for _, name := range excluded {
		names[name] = true
	}
	out := append([]parameter{}, a...)
	for _, p := range b {
		if !names[p.name] {
			out = append(out, p)
		}
	}
	return out
}

// model is the name of a type's definition.
func model(obj any) string {
	return obj.(interface{ OpenAPIModelName() string }).OpenAPIModelName()
}

// schemaOf refers to a model, or says that the body is text.
func schemaOf(model string, d dialect) any {
	if model == "string" {
		return map[string]any{"type": "string"}
	}
	return map[string]any{"$ref": d.reference() + model}
}

// shortGroup is a group as operation ids and tags know it.
func shortGroup(group string) string {
	return cmp.Or(strings.TrimSuffix(group, ".k8s.io"), "core")
}

// tagOf is what the operations of a group's version are listed under: "rbacAuthorization_v1".
func tagOf(gv schema.GroupVersion) string {
	return lowerFirst(camel(shortGroup(gv.Group))) + "_" + gv.Version
}

// camel is a group or version as operation ids have it: "rbac.authorization" is RbacAuthorization.
func camel(s string) string {
	var b strings.Builder
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		b.WriteString(title(part))
	}
	return b.String()
}

func title(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// of puts a subresource before the object it is of.
func of(sub string) string {
	if sub == "" {
		return ""
	}
	return sub + " of "
}

// withArticle is a kind in a sentence. Plurals have no article.
func withArticle(kind string) string {
	switch {
	case strings.HasSuffix(kind, "s") && !strings.HasSuffix(kind, "ss"):
		return kind
	case strings.Contains("AEIOU", kind[:1]):
		return "an " + kind
	}
	return "a " + kind
}
