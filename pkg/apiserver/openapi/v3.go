package openapi

import (
	"encoding/json"
	"strconv"

	openapi_v3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
)

// dialectV3 writes OpenAPI v3.
type dialectV3 struct{}

func (dialectV3) reference() string { return "#/components/schemas/" }

func (d dialectV3) paths(all []path) any {
	out := map[string]any{}
	for _, p := range all {
		item := map[string]any{"parameters": d.parameters(p.params)}
		for _, op := range p.ops {
			item[op.method] = d.operation(op)
		}
		out[p.url] = item
	}
	return out
}

func (d dialectV3) operation(op operation) any {
	responses := map[string]any{"401": map[string]any{"description": "Unauthorized"}}
	for code, text := range op.returns {
		responses[strconv.Itoa(code)] = map[string]any{
			"description": text,
			"content":     d.content(op.produces, op.result),
		}
	}
	out := merged(op.common(), map[string]any{"responses": responses})
	if len(op.params) > 0 {
		out["parameters"] = d.parameters(op.params)
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

func (d dialectV3) parameters(params []parameter) []any {
	out := []any{}
	for _, p := range params {
		out = append(out, merged(p.common(), map[string]any{
			"schema": map[string]any{"type": p.kind, "uniqueItems": true},
		}))
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

func (dialectV3) document(paths json.RawMessage, definitions map[string]json.RawMessage) ([]byte, error) {
	return json.Marshal(map[string]any{
		"openapi": "3.0.0",
		"info":    info,
		"paths":   paths,
		"components": map[string]any{
			"schemas":         definitions,
			"securitySchemes": map[string]any{"BearerToken": bearerToken},
		},
	})
}

func (dialectV3) protobuf(document []byte) ([]byte, error) {
	parsed, err := openapi_v3.ParseDocument(document)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(parsed)
}
