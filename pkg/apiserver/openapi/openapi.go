// Package openapi serves the API's description of itself: /openapi/v2, one document for everything, and
// /openapi/v3, an index and one document for each group and version.
//
// # Who reads it
//
// kubectl explain reads fields and their words; kubectl apply, diff and edit read merge keys and strategies; every
// kubectl that writes first looks whether PATCH of the kind takes the query parameter fieldValidation, and checks fields
// itself if not. So the documents hold schemas, and paths with all their parameters.
//
// # The flow
//
// The schemas come from package api, made at development time. The paths follow from the table of kinds, so they are
// made here: operations lists what each row answers to, in terms of neither version of OpenAPI; v2.go and v3.go write
// them down in the two dialects. Nothing is read or made before somebody asks; then the document is kept,
// compressed, which is how most clients want it anyway.
//
// # The hash
//
// Clients keep documents on disk under the hash that the index states, for a year. To state it, upstream builds all
// documents. Here it is taken of what a document is made from (the definitions and its own paths), so the
// index costs little and documents that nobody reads are never made.
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

	"bonsai/api"
	"bonsai/pkg/resource"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Service holds the documents of one table of kinds.
type Service struct {
	v2   *document
	v3   map[string]*document // by the path below /openapi/v3: "apis/apps/v1"
	rows map[string][]*resource.Row
	// others are the URLs of the v3 documents of other servers, which the index lists too.
	others map[string]string
	index  func() ([]byte, error)
}

// New returns the service for a table. It makes nothing yet. What before, which may be nil, has of the same rows is kept.
// others are the URLs of the v3 documents of aggregated servers, by the path of what they describe.
func New(table []*resource.Row, before *Service, others map[string]string) (*Service, error) {
	s := &Service{v3: map[string]*document{}, rows: map[string][]*resource.Row{}, others: others}
	versions := map[string]schema.GroupVersion{}
	for _, row := range table {
		for i := range row.Versions {
			root := groupPath(row.Versions[i].GroupVersion)
			versions[root] = row.Versions[i].GroupVersion
			s.rows[root] = append(s.rows[root], row)
		}
	}
	for root, rows := range s.rows {
		if before != nil && slices.Equal(before.rows[root], rows) {
			s.v3[root] = before.v3[root]
			continue
		}
		s.v3[root] = newDocument(api.DefinitionsV3, dialectV3{}, customModels(rows, modelsV3), func() []path { return paths(rows, versions[root]) })
	}
	s.v2 = newDocument(api.DefinitionsV2, dialectV2{}, customModels(table, modelsV2), func() []path { return s.everyPath(table) })
	s.index = sync.OnceValues(s.makeIndex)
	return s, nil
}

type models = map[string]json.RawMessage

func modelsV2(m resource.CustomModels) (models, error) { return m.V2() }
func modelsV3(m resource.CustomModels) (models, error) { return m.V3() }

// customModels returns what makes the definitions of those of rows that package api does not have.
func customModels(rows []*resource.Row, of func(resource.CustomModels) (models, error)) func() (models, error) {
	return func() (models, error) {
		all := models{}
		for _, row := range rows {
			if row.Custom == nil {
				continue
			}
			some, err := of(row.Custom.Models)
			if err != nil {
				return nil, err
			}
			maps.Copy(all, some)
		}
		return all, nil
	}
}

// everyPath returns the paths of all versions.
func (s *Service) everyPath(table []*resource.Row) []path {
	var all []path
	seen := map[schema.GroupVersion]bool{}
	for _, row := range table {
		for _, v := range row.Versions {
			if !seen[v.GroupVersion] {
				seen[v.GroupVersion] = true
				all = append(all, paths(table, v.GroupVersion)...)
			}
		}
	}
	return all
}

// makeIndex returns the body of /openapi/v3.
func (s *Service) makeIndex() ([]byte, error) {
	type entry struct {
		ServerRelativeURL string `json:"serverRelativeURL"`
	}
	index := struct {
		Paths map[string]entry `json:"paths"`
	}{map[string]entry{}}
	for root, doc := range s.v3 {
		hash, err := doc.hash()
		if err != nil {
			return nil, fmt.Errorf("hash the OpenAPI of %s: %w", root, err)
		}
		index.Paths[root] = entry{documentURL(root, hash)}
	}
	for root, at := range s.others {
		index.Paths[root] = entry{at}
	}
	return json.Marshal(index)
}

// groupPath is where a group's version is served, without the first slash.
func groupPath(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "api/" + gv.Version
	}
	return "apis/" + gv.Group + "/" + gv.Version
}

// dialect is a version of OpenAPI.
type dialect interface {
	// paths is the value of the document's "paths".
	paths([]path) any
	// document is the whole, in JSON; definitions are the ones needed.
	document(paths json.RawMessage, definitions map[string]json.RawMessage) ([]byte, error)
	// reference is what stands before the name of a definition where one refers to it.
	reference() string
	// protobuf turns the whole into the gnostic protobuf form.
	protobuf(document []byte) ([]byte, error)
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
		p.paths, err = json.Marshal(d.paths(list()))
		return p, err
	}
	return &document{
		hash: sync.OnceValues(func() (string, error) {
			p, err := parts()
			if err != nil {
				return "", err
			}
			more, err := json.Marshal(p.custom) // in the order of the names
			return fmt.Sprintf("%X", sha512.Sum512(slices.Concat(definitions, more, p.paths))), err
		}),
		json: sync.OnceValues(func() ([]byte, error) {
			p, err := parts()
			if err != nil {
				return nil, err
			}
			return zipped(assemble(definitions, d, p))
		}),
		protobuf: sync.OnceValues(func() ([]byte, error) {
			p, err := parts()
			if err != nil {
				return nil, err
			}
			text, err := assemble(definitions, d, p)
			if err != nil {
				return nil, err
			}
			return zipped(d.protobuf(text))
		}),
	}
}

// documentParts are what a document has besides the definitions of package api.
type documentParts struct {
	paths  []byte
	custom models
}

// assemble puts paths and the definitions that they need together.
func assemble(definitions []byte, d dialect, p documentParts) ([]byte, error) {
	text, err := unzip(definitions)
	if err != nil {
		return nil, fmt.Errorf("read OpenAPI definitions: %w", err)
	}
	var all models
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read OpenAPI definitions: %w", err)
	}
	maps.Copy(all, p.custom)
	needed := models{}
	if err := need(p.paths, all, needed, d.reference()); err != nil {
		return nil, err
	}
	return d.document(p.paths, needed)
}

// need adds the definitions that text refers to, and those that they refer to, to needed.
func need(text []byte, all, needed map[string]json.RawMessage, reference string) error {
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

// merged returns the union of maps that share no key.
func merged(all ...map[string]any) map[string]any {
	out := map[string]any{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}
