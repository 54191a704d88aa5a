package openapi

import (
	"encoding/json"
	"strconv"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	"google.golang.org/protobuf/proto"
)

// dialectV2 writes OpenAPI v2, also known as Swagger.
type dialectV2 struct{}

func (dialectV2) reference() string { return "#/definitions/" }

func (d dialectV2) paths(all []path) any {
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

func (d dialectV2) operation(op operation) any {
	responses := map[string]any{"401": map[string]any{"description": "Unauthorized"}}
	for code, text := range op.returns {
		responses[strconv.Itoa(code)] = map[string]any{"description": text, "schema": schemaOf(op.result, d)}
	}
	params := d.parameters(op.params)
	if op.body != "" {
		body := map[string]any{"name": "body", "in": "body", "schema": schemaOf(op.body, d)}
		if op.bodyRequired {
			body["required"] = true
		}
		params = append(params, body)
	}
	out := merged(op.common(), map[string]any{
		"responses": responses,
		"schemes":   []string{"https"},
		"consumes":  []string{"*/*"},
		"produces":  op.produces,
	})
	if len(op.consumes) > 0 {
		out["consumes"] = op.consumes
	}
	if len(params) > 0 {
		out["parameters"] = params
	}
	return out
}

func (d dialectV2) parameters(params []parameter) []any {
	out := []any{}
	for _, p := range params {
		out = append(out, merged(p.common(), map[string]any{"type": p.kind, "uniqueItems": true}))
	}
	return out
}

func (dialectV2) document(paths json.RawMessage, definitions map[string]json.RawMessage) ([]byte, error) {
	return json.Marshal(map[string]any{
		"swagger":             "2.0",
		"info":                info,
		"paths":               paths,
		"definitions":         definitions,
		"securityDefinitions": map[string]any{"BearerToken": bearerToken},
		"security":            []any{map[string]any{"BearerToken": []string{}}},
	})
}

func (dialectV2) protobuf(document []byte) ([]byte, error) {
	parsed, err := openapi_v2.ParseDocument(document)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(parsed)
}
