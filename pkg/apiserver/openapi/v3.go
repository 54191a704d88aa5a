package openapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	openapi_v3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// dialectV3 writes OpenAPI v3. A document of custom kinds says less around them than one of built-in kinds.
type dialectV3 struct {
	gv     schema.GroupVersion
	custom bool
}

func (dialectV3) reference() string { return "#/components/schemas/" }

func (d dialectV3) outline(all []path) map[string]any {
	out := map[string]any{"openapi": "3.0.0", "info": info, "paths": items(all, d)}
	if d.custom {
		out["info"] = map[string]any{"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
	}
	return out
}

func (d dialectV3) complete(outline, definitions models) error {
	components := models{}
	if !d.custom {
		if err := components.set("securitySchemes", map[string]any{"BearerToken": bearerToken}); err != nil {
			return err
		}
		for _, name := range []string{deleteModel, watchModel} {
			if err := d.narrow(definitions, name); err != nil {
				return err
			}
		}
	}
	if len(definitions) > 0 {
		if err := components.set("schemas", definitions); err != nil {
			return err
		}
	}
	return outline.set("components", components)
}

// narrow leaves a model that is registered as a kind of every group only the kinds that the document may mean.
func (d dialectV3) narrow(definitions models, name string) error {
	text, found := definitions[name]
	if !found {
		return nil
	}
	var definition models
	if err := json.Unmarshal(text, &definition); err != nil {
		return fmt.Errorf("read the OpenAPI definition of %s: %w", name, err)
	}
	var kinds []map[string]string
	if err := json.Unmarshal(definition[kindExtension], &kinds); err != nil {
		return fmt.Errorf("read the kinds of %s: %w", name, err)
	}
	kinds = slices.DeleteFunc(kinds, func(k map[string]string) bool { return k["group"] != "" })
	if d.gv.Group != "" {
		kinds = append(kinds, map[string]string{"group": d.gv.Group, "version": d.gv.Version, "kind": kinds[0]["kind"]})
	}
	if err := definition.set(kindExtension, kinds); err != nil {
		return err
	}
	return definitions.set(name, definition)
}

// elsewhere and finish have nothing to add: other servers have documents of their own.
func (dialectV3) elsewhere() string                      { return "" }
func (dialectV3) finish(document []byte) ([]byte, error) { return document, nil }

func (d dialectV3) operation(op operation) map[string]any {
	responses := map[string]any{"401": unauthorized}
	for code, text := range op.returns {
		responses[strconv.Itoa(code)] = map[string]any{"description": text, "content": d.content(op.produces, op.result)}
	}
	out := map[string]any{"responses": responses}
	if len(op.params) > 0 {
		out["parameters"] = each(op.params, d.parameter)
	}
	if op.body != "" {
		body := map[string]any{"content": d.content(op.consumes, op.body)}
		if op.bodyRequired {
			body["required"] = true
		}
		out["requestBody"] = body
	}
	return out
}

func (dialectV3) parameter(p parameter) any {
	out := map[string]any{"name": p.name, "in": p.in, "schema": map[string]any{"type": p.kind, "uniqueItems": true}}
	if p.doc != "" {
		out["description"] = p.doc
	}
	if p.in == "path" {
		out["required"] = true
	}
	return out
}

// content is a body in any of the media types.
func (d dialectV3) content(types []string, model string) map[string]any {
	out := map[string]any{}
	for _, t := range types {
		out[t] = map[string]any{"schema": schemaOf(model, d)}
	}
	return out
}

func (dialectV3) protobuf(document []byte) ([]byte, error) {
	parsed, err := openapi_v3.ParseDocument(document)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(parsed)
}
