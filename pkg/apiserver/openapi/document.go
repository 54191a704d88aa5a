package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"bonsai/pkg/version"
)

// dialect is a version of OpenAPI.
type dialect interface {
	// outline is the document but for the definitions.
	outline([]path) map[string]any
	// complete adds the definitions to an outline.
	complete(outline, definitions models) error
	// elsewhere names what finish adds, and finish adds to the whole what other servers say.
	elsewhere() string
	finish(document []byte) ([]byte, error)
	// reference is what stands before the name of a definition where one refers to it.
	reference() string
	// protobuf turns the whole into the gnostic protobuf form.
	protobuf(document []byte) ([]byte, error)
}

// writer is what writes the operations of a document in a dialect.
type writer interface {
	// operation is what the dialects say differently of an operation; op has none of the parameters of the whole path.
	operation(op operation) map[string]any
	parameter(parameter) any
}

var (
	info        = map[string]any{"title": "Kubernetes", "version": version.Major + "." + version.Minor}
	bearerToken = map[string]any{
		"type": "apiKey", "in": "header", "name": "authorization", "description": "Bearer Token authentication",
	}
	unauthorized = map[string]any{"description": "Unauthorized"}
)

// kindExtension names the kinds that a model or an operation is of.
const kindExtension = "x-kubernetes-group-version-kind"

// items are the paths of a document. A parameter that all operations of a path take is said once, with the path.
func items(all []path, w writer) map[string]any {
	out := map[string]any{}
	for _, p := range all {
		item := map[string]any{}
		shared := p.shared()
		if len(shared) > 0 {
			item["parameters"] = each(shared, w.parameter)
		}
		for _, op := range p.ops {
			op.params = slices.DeleteFunc(slices.Clone(op.params), func(p parameter) bool { return slices.Contains(shared, p) })
			said := w.operation(op)
			said["description"], said["operationId"], said["tags"] = op.doc, op.id, []string{op.tag}
			if op.action != "" {
				said["x-kubernetes-action"] = op.action
				said[kindExtension] = map[string]string{"group": op.gvk.Group, "version": op.gvk.Version, "kind": op.gvk.Kind}
			}
			item[op.method] = said
		}
		out[p.url] = item
	}
	return out
}

// shared are the parameters that all operations of the path take.
func (p path) shared() []parameter {
	shared := slices.Clone(p.ops[0].params)
	for _, op := range p.ops[1:] {
		shared = slices.DeleteFunc(shared, func(q parameter) bool { return !slices.Contains(op.params, q) })
	}
	return shared
}

func each(params []parameter, write func(parameter) any) []any {
	out := make([]any, len(params))
	for i, p := range params {
		out[i] = write(p)
	}
	return out
}

// models are parts of a document in JSON, by their names.
type models map[string]json.RawMessage

func (m models) set(name string, v any) (err error) {
	m[name], err = json.Marshal(v)
	return err
}

// document is one OpenAPI document in the making. Each of its functions does its work once.
type document struct {
	hash     func() (string, error)
	json     func() ([]byte, error) // gzipped
	protobuf func() ([]byte, error) // gzipped
}

func newDocument(definitions []byte, d dialect, custom func() (models, error), list func() []path) *document {
	parts := func() (p documentParts, err error) {
		if p.custom, err = custom(); err != nil {
			return p, err
		}
		p.outline, err = json.Marshal(d.outline(list()))
		return p, err
	}
	text := func() ([]byte, error) {
		p, err := parts()
		if err != nil {
			return nil, err
		}
		return assemble(definitions, d, p)
	}
	return &document{
		hash: sync.OnceValues(func() (string, error) {
			p, err := parts()
			if err != nil {
				return "", err
			}
			more, err := json.Marshal(p.custom) // in the order of the names
			return fmt.Sprintf("%X", sha512.Sum512(slices.Concat(definitions, more, p.outline, []byte(d.elsewhere())))), err
		}),
		json: sync.OnceValues(func() ([]byte, error) { return zipped(text()) }),
		protobuf: sync.OnceValues(func() ([]byte, error) {
			whole, err := text()
			if err != nil {
				return nil, err
			}
			return zipped(d.protobuf(whole))
		}),
	}
}

// documentParts are what a document has besides the definitions of package api.
type documentParts struct {
	outline []byte
	custom  models
}

// assemble puts an outline and the definitions that it needs together.
func assemble(definitions []byte, d dialect, p documentParts) ([]byte, error) {
	text, err := unzip(definitions)
	if err != nil {
		return nil, fmt.Errorf("read OpenAPI definitions: %w", err)
	}
	var all, whole models
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read OpenAPI definitions: %w", err)
	}
	maps.Copy(all, p.custom)
	needed := models{}
	if err := need(p.outline, all, needed, d.reference()); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(p.outline, &whole); err != nil {
		return nil, err
	}
	if err := d.complete(whole, needed); err != nil {
		return nil, err
	}
	document, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	return d.finish(document)
}

// need adds the definitions that text refers to, and those that they refer to, to needed.
func need(text []byte, all, needed models, reference string) error {
	for name := range references(text, reference) {
		if needed[name] != nil {
			continue
		}
		definition, ok := all[name]
		if !ok {
			return fmt.Errorf("no OpenAPI definition of %s: add its package to hack/openapi and generate again", name)
		}
		needed[name] = definition
		if err := need(definition, all, needed, reference); err != nil {
			return err
		}
	}
	return nil
}

// references returns the names that text refers to.
func references(text []byte, reference string) map[string]bool {
	names := map[string]bool{}
	begin := []byte(`"$ref":"` + reference)
	for {
		_, after, ok := bytes.Cut(text, begin)
		if !ok {
			return names
		}
		name, rest, _ := bytes.Cut(after, []byte{'"'})
		names[string(name)] = true
		text = rest
	}
}

// zipped compresses what a function returned, if it did.
func zipped(text []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return slices.Clone(b.Bytes()), nil
}

func unzip(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
