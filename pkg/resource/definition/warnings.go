package definition

import (
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Warnings are about what a schema asks for in vain: formats that nobody checks, sets whose items cannot be told apart. What the
// definition had before is not warned of again; old is nil for a new one.
func Warnings(next, old *apiextensionsv1.CustomResourceDefinition) []string {
	formats, sets := inVain(next)
	oldFormats, oldSets := inVain(old)
	var out []string
	for _, f := range formats {
		if !slices.Contains(oldFormats, f) {
			out = append(out, fmt.Sprintf("unrecognized format %q", f))
		}
	}
	for _, kind := range sets {
		if !slices.Contains(oldSets, kind) {
			out = append(out, fmt.Sprintf("x-kubernetes-list-type: set for items of type %q is not supported by server-side apply or CEL validation rules", kind))
		}
	}
	return out
}

// inVain returns the unknown formats and the types of items of sets that are no scalars, each once.
func inVain(crd *apiextensionsv1.CustomResourceDefinition) (formats, sets []string) {
	if crd == nil {
		return nil, nil
	}
	in, err := internal(crd)
	if err != nil {
		return nil, nil
	}
	anySchema(&in.Spec, func(p *apiextensions.JSONSchemaProps) bool {
		formats = append(formats, unknownFormats(p)...)
		if isList(p, "set") && (p.Items.Schema.Type == "object" || p.Items.Schema.Type == "array") {
			sets = append(sets, p.Items.Schema.Type)
		}
		return false
	})
	slices.Sort(formats)
	slices.Sort(sets)
	return slices.Compact(formats), slices.Compact(sets)
}

func unknownFormats(p *apiextensions.JSONSchemaProps) []string {
	if p.Format == "" {
		return nil
	}
	s := &spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{p.Type}, Format: p.Format}}
	return validation.GetUnrecognizedFormats(s, environment.DefaultCompatibilityVersion())
}
