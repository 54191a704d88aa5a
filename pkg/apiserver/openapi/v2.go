package openapi

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	"google.golang.org/protobuf/proto"
	"k8s.io/kube-openapi/pkg/aggregator"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// dialectV2 writes OpenAPI v2, also known as Swagger.
type dialectV2 struct {
	others []Document // of other servers, sorted
}

func newDialectV2(others []Document) dialectV2 {
	others = slices.Clone(others)
	slices.SortFunc(others, func(a, b Document) int { return cmp.Compare(a.Name, b.Name) })
	return dialectV2{others}
}

func (dialectV2) reference() string { return "#/definitions/" }

// outline says parameters that many operations take once for the document, and refers to them.
func (d dialectV2) outline(all []path) map[string]any {
	w := writerV2{d, map[string]parameterV2{}}
	out := map[string]any{
		"swagger":             "2.0",
		"info":                info,
		"paths":               items(all, w),
		"securityDefinitions": map[string]any{"BearerToken": bearerToken},
		"security":            []any{map[string]any{"BearerToken": []string{}}},
	}
	out["parameters"] = w.shared
	return out
}

func (dialectV2) complete(outline, definitions models) error {
	return outline.set("definitions", definitions)
}

func (d dialectV2) elsewhere() string {
	var b strings.Builder
	for _, other := range d.others {
		b.WriteString(other.Name + " " + other.Hash + "\n")
	}
	return b.String()
}

// finish adds the paths of other servers, and the definitions that those need: one of a name that is taken by another gets a new name.
// A server whose document cannot be added is left out, so that its mistake hides nobody else's kinds.
func (d dialectV2) finish(document []byte) ([]byte, error) {
	if len(d.others) == 0 {
		return document, nil
	}
	var all spec.Swagger
	if err := json.Unmarshal(document, &all); err != nil {
		return nil, err
	}
	for _, other := range d.others {
		mergeInto(&all, other.Swagger)
	}
	return json.Marshal(&all)
}

// mergeInto adds another server's document. The library, too, looks at mistakes in it only here, and may answer them with a panic.
func mergeInto(all, other *spec.Swagger) {
	defer func() { _ = recover() }()
	_ = aggregator.MergeSpecsIgnorePathConflictRenamingDefinitionsAndParameters(all, other)
}

func (dialectV2) protobuf(document []byte) ([]byte, error) {
	parsed, err := openapi_v2.ParseDocument(document)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(parsed)
}

// writerV2 writes the operations of one document.
type writerV2 struct {
	dialectV2
	shared map[string]parameterV2
}

func (w writerV2) operation(op operation) map[string]any {
	responses := map[string]any{"401": unauthorized}
	for code, text := range op.returns {
		responses[strconv.Itoa(code)] = map[string]any{"description": text, "schema": schemaOf(op.result, w)}
	}
	out := map[string]any{"responses": responses, "schemes": []string{"https"}, "produces": op.produces}
	if len(op.consumes) > 0 {
		out["consumes"] = op.consumes
	}
	params := slices.Clone(op.params)
	if op.body != "" {
		params = append(params, parameter{name: "body", in: "body", kind: op.body})
		slices.SortFunc(params, parameter.compare)
	}
	if len(params) > 0 {
		out["parameters"] = each(params, func(p parameter) any { return w.share(w.written(p, op.bodyRequired)) })
	}
	return out
}

func (w writerV2) parameter(p parameter) any { return w.share(w.written(p, false)) }

// parameterV2 is a parameter as it is written. What it is shared under follows from its text, so the order of the fields counts.
type parameterV2 struct {
	UniqueItems bool   `json:"uniqueItems,omitempty"`
	Type        string `json:"type,omitempty"`
	Description string `json:"description,omitempty"`
	Name        string `json:"name"`
	In          string `json:"in"`
	Required    bool   `json:"required,omitempty"`
	Schema      any    `json:"schema,omitempty"`
}

func (w writerV2) written(p parameter, bodyRequired bool) parameterV2 {
	if p.in == "body" {
		return parameterV2{Name: p.name, In: p.in, Required: bodyRequired, Schema: schemaOf(p.kind, w)}
	}
	return parameterV2{UniqueItems: true, Type: p.kind, Description: p.doc, Name: p.name, In: p.in, Required: p.in == "path"}
}

// share puts the parameter where all operations find it, and returns the reference to it. Those that name a kind are one kind's
// alone, and old kubectls look for two others beside the operation.
func (w writerV2) share(p parameterV2) any {
	text, err := json.Marshal(p)
	if err != nil || p.Name == "name" || p.Name == "dryRun" || p.Name == "fieldValidation" ||
		p.In == "body" && !strings.Contains(string(text), w.reference()+"io.k8s.apimachinery.") {
		return p
	}
	sum := fnv.New64()
	sum.Write(text)
	name := p.Name + "-" + base64.URLEncoding.EncodeToString(sum.Sum(nil)[:6])
	w.shared[name] = p
	return map[string]string{"$ref": "#/parameters/" + name}
}
