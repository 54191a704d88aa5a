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
// made here: operations.go lists what each row answers to, and root.go what has no kind, in terms of neither version of OpenAPI;
// document.go puts a document together, and v2.go and v3.go write what the two dialects say differently. Nothing is read or
// made before somebody asks; then the document is kept, compressed, which is how most clients want it anyway.
//
// # The hash
//
// Clients keep documents on disk under the hash that the index states, for a year. To state it, upstream builds all
// documents. Here it is taken of what a document is made from (the definitions and its own paths), so the
// index costs little and documents that nobody reads are never made.
package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"bonsai/api"
	"bonsai/pkg/resource"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Service holds the documents of one table of kinds.
type Service struct {
	v2   *document
	v3   map[string]*document // by the path below /openapi/v3: "apis/apps/v1"
	rows map[string][]*resource.Row
	// others are the documents of other servers, which the index lists too.
	others Elsewhere
	index  func() ([]byte, error)
}

// Elsewhere is how aggregated servers describe what they serve.
type Elsewhere struct {
	// V3 are the URLs of their v3 documents, by the path of what they describe.
	V3 map[string]string
	// V2 is what they say in v2, which has only one document for everything.
	V2 []Document
}

// Document is what a server says in OpenAPI v2 of a version that it serves. Equal ones have the same hash.
type Document struct {
	Name, Hash string
	*spec.Swagger
}

// New returns the service for a table. It makes nothing yet. What before, which may be nil, has of the same rows is kept.
func New(table []*resource.Row, before *Service, others Elsewhere) (*Service, error) {
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
		d := dialectV3{gv: versions[root], custom: !anyBuiltIn(rows)}
		s.v3[root] = newDocument(api.DefinitionsV3, d, customModels(rows, modelsV3), func() []path { return paths(rows, d.gv) })
	}
	fixed := roots(table)
	for root, p := range fixed {
		if before != nil && before.v3[root] != nil {
			s.v3[root] = before.v3[root]
			continue
		}
		s.v3[root] = newDocument(api.DefinitionsV3, dialectV3{}, customModels(nil, modelsV3), func() []path { return []path{p} })
	}
	s.v2 = newDocument(api.DefinitionsV2, newDialectV2(others.V2), customModels(table, modelsV2), func() []path {
		all := slices.Collect(maps.Values(fixed))
		for root, rows := range s.rows {
			all = append(all, paths(rows, versions[root])...)
		}
		return all
	})
	s.index = sync.OnceValues(s.makeIndex)
	return s, nil
}

// anyBuiltIn says whether one of the rows is not from a definition.
func anyBuiltIn(rows []*resource.Row) bool {
	return slices.ContainsFunc(rows, func(row *resource.Row) bool { return row.Custom == nil })
}

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
	for root, at := range s.others.V3 {
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
