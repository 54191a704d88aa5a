// Package emit writes OpenAPI definitions, which k8s.io/kube-openapi's generator gives as a Go function, as JSON: once
// in the dialect of OpenAPI v2, and once in that of v3. They differ in more than where references point: v3 says
// of an IntOrString that it is one of two types, and may not have a default beside a reference; v2 is told nothing
// of defaults.
package emit

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	admissionv1beta1 "k8s.io/api/admission/v1beta1"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	apiregistrationv1beta1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1beta1"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/schemamutation"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Main writes the definitions to the directory that the first argument names.
func Main(definitions common.GetOpenAPIDefinitions) {
	log.SetFlags(0)
	if err := write(definitions, os.Args[1]); err != nil {
		log.Fatalf("openapi: %v", err)
	}
}

// everything is a scheme with the kinds of client-go's, and those that no client of Kubernetes itself asks for: definitions and API
// services, and what webhooks are sent.
func everything() (*runtime.Scheme, error) {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, apiextensionsv1.AddToScheme, apiextensionsv1beta1.AddToScheme, apiregistrationv1.AddToScheme,
		apiregistrationv1beta1.AddToScheme, admissionv1.AddToScheme, admissionv1beta1.AddToScheme, imagepolicyv1alpha1.AddToScheme,
	} {
		if err := add(known); err != nil {
			return nil, fmt.Errorf("register the kinds: %w", err)
		}
	}
	return known, nil
}

func write(definitions common.GetOpenAPIDefinitions, dir string) error {
	known, err := everything()
	if err != nil {
		return err
	}
	all := definitions(func(string) spec.Ref { return spec.Ref{} })
	maps.DeleteFunc(all, func(name string, _ common.OpenAPIDefinition) bool { return strings.Contains(name, ".v1alpha") })
	// What the others refer to, the builders add by themselves.
	names := slices.Sorted(maps.Keys(all))
	v2, err := builder.BuildOpenAPIDefinitionsForResources(&common.Config{
		Info: &spec.Info{}, GetDefinitions: definitions, GetDefinitionName: namer(all, known, known),
	}, names...)
	if err != nil {
		return fmt.Errorf("build v2 definitions: %w", err)
	}
	v3, err := builder3.BuildOpenAPIDefinitionsForResources(&common.OpenAPIV3Config{
		Info: &spec.Info{}, GetDefinitions: definitions, GetDefinitionName: namer(all, known, scheme.Scheme),
	}, names...)
	if err != nil {
		return fmt.Errorf("build v3 definitions: %w", err)
	}
	if err := save(filepath.Join(dir, "definitions.v2.json.gz"), withoutDefaults(v2.Definitions)); err != nil {
		return err
	}
	return save(filepath.Join(dir, "definitions.v3.json.gz"), v3)
}

// withoutDefaults takes defaults out: the protobuf form of v2, which clients read, has no place for some of them.
func withoutDefaults(definitions spec.Definitions) map[string]*spec.Schema {
	walker := schemamutation.Walker{
		RefCallback: schemamutation.RefCallbackNoop,
		SchemaCallback: func(s *spec.Schema) *spec.Schema {
			if s.Default == nil {
				return s
			}
			pruned := *s
			pruned.Default = nil
			return &pruned
		},
	}
	out := map[string]*spec.Schema{}
	for name, s := range definitions {
		out[name] = walker.WalkSchema(&s)
	}
	return out
}

// namer returns the function that gives a definition its name and, if it is a kind, says which:
// x-kubernetes-group-version-kind, by which kubectl finds it. Options and events of meta/v1 are kinds of every version in registered,
// also of those that are not served.
func namer(all map[string]common.OpenAPIDefinition, known, registered *runtime.Scheme) func(string) (string, spec.Extensions) {
	kinds := map[string][]schema.GroupVersionKind{}
	for gvk, t := range known.AllKnownTypes() {
		name, err := known.ToOpenAPIDefinitionName(gvk)
		if err != nil || gvk.Version == runtime.APIVersionInternal {
			continue
		}
		if isMeta(t) && registered.Recognizes(gvk) || !isMeta(t) && served(all, known, gvk.GroupVersion()) {
			kinds[name] = append(kinds[name], gvk)
		}
	}
	return func(name string) (string, spec.Extensions) {
		if len(kinds[name]) == 0 {
			return name, nil
		}
		return name, spec.Extensions{"x-kubernetes-group-version-kind": list(kinds[name])}
	}
}

func isMeta(t reflect.Type) bool { return strings.Contains(t.PkgPath(), "/meta/") }

// served says whether a version is one that has definitions of its own.
func served(all map[string]common.OpenAPIDefinition, known *runtime.Scheme, gv schema.GroupVersion) bool {
	for kind, t := range known.KnownTypes(gv) {
		if isMeta(t) {
			continue
		}
		name, err := known.ToOpenAPIDefinitionName(gv.WithKind(kind))
		if err != nil {
			continue
		}
		_, ok := all[name]
		return ok
	}
	return false
}

// list is a sorted list of kinds in the form of the extension.
func list(kinds []schema.GroupVersionKind) []any {
	slices.SortFunc(kinds, func(a, b schema.GroupVersionKind) int {
		return strings.Compare(a.Group+" "+a.Version+" "+a.Kind, b.Group+" "+b.Version+" "+b.Kind)
	})
	var out []any
	for _, k := range kinds {
		out = append(out, map[string]any{"group": k.Group, "version": k.Version, "kind": k.Kind})
	}
	return out
}

// save writes v as compressed JSON. Equal definitions make equal files: encoding/json sorts, gzip has no time.
func save(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	log.Printf("%s: %d KiB, %d KiB compressed", path, len(text)>>10, b.Len()>>10)
	return os.WriteFile(path, b.Bytes(), 0o644)
}
