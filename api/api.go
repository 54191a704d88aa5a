// Package api carries the OpenAPI definitions of all generally available kinds of Kubernetes v1.37: what fields they
// have, in words and types. `go run ./hack/openapi` makes the files from k8s.io/api; nobody edits them.
package api

import _ "embed"

// The definitions, as gzipped JSON objects from model name (io.k8s.api.core.v1.Pod) to schema.
var (
	//go:embed definitions.v2.json.gz
	DefinitionsV2 []byte
	//go:embed definitions.v3.json.gz
	DefinitionsV3 []byte
)
