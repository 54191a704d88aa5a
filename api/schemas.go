package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/kube-openapi/pkg/validation/spec"
)

// SchemasV3 returns the definitions whose names begin with one of the prefixes. To read all takes a while, and a lot of memory.
func SchemasV3(prefixes ...string) (map[string]*spec.Schema, error) {
	z, err := gzip.NewReader(bytes.NewReader(DefinitionsV3))
	if err != nil {
		return nil, fmt.Errorf("read OpenAPI definitions: %w", err)
	}
	var all map[string]json.RawMessage
	if err := json.NewDecoder(z).Decode(&all); err != nil {
		return nil, fmt.Errorf("read OpenAPI definitions: %w", err)
	}
	out := map[string]*spec.Schema{}
	for name, text := range all {
		if !hasPrefix(name, prefixes) {
			continue
		}
		out[name] = &spec.Schema{}
		if err := json.Unmarshal(text, out[name]); err != nil {
			return nil, fmt.Errorf("read the OpenAPI definition of %s: %w", name, err)
		}
	}
	return out, nil
}

func hasPrefix(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
