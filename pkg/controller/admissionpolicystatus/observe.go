package admissionpolicystatus

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apicel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/openapi"
	"k8s.io/client-go/discovery"
	admissionlisters "k8s.io/client-go/listers/admissionregistration/v1"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"bonsai/pkg/reconcile"
)

// maxKinds bounds what one policy is checked against.
const maxKinds = 10

type observer struct {
	policies admissionlisters.ValidatingAdmissionPolicyLister
	schemas  schemas
}

// state is all that a plan depends on.
type state struct {
	policy *admissionv1.ValidatingAdmissionPolicy
	kinds  []kind
	params *apicel.DeclType
}

func (o observer) observe(_ context.Context, key reconcile.Key, _ *reconcile.Failure) (s state, found bool, err error) {
	if s.policy, err = o.policies.Get(key.Name); err != nil {
		return s, false, nil
	}
	if s.policy.Status.ObservedGeneration >= s.policy.Generation {
		return s, true, nil // and no schemas are needed
	}
	for _, gvk := range o.schemas.kindsOf(s.policy) {
		decl, err := o.schemas.declare(gvk)
		if err != nil {
			return s, true, err
		}
		if decl != nil {
			s.kinds = append(s.kinds, kind{gvk, decl})
		}
	}
	if k := s.policy.Spec.ParamKind; k != nil {
		s.params, err = o.schemas.declare(schema.FromAPIVersionAndKind(k.APIVersion, k.Kind))
	}
	return s, true, err
}

// schemas asks the API server what kinds look like.
type schemas struct{ discovery.DiscoveryInterface }

// kindsOf are the kinds that a policy names, in order. What is not served is left out: it may be later.
func (s schemas) kindsOf(p *admissionv1.ValidatingAdmissionPolicy) []schema.GroupVersionKind {
	if p.Spec.MatchConstraints == nil {
		return nil
	}
	var kinds []schema.GroupVersionKind
	for _, r := range p.Spec.MatchConstraints.ResourceRules {
		if slices.Contains(r.APIGroups, "*") || slices.Contains(r.APIVersions, "*") {
			continue
		}
		for _, group := range r.APIGroups {
			for _, version := range r.APIVersions {
				kinds = append(kinds, s.kindsIn(schema.GroupVersion{Group: group, Version: version}, r.Resources)...)
			}
		}
	}
	slices.SortFunc(kinds, func(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) })
	kinds = slices.Compact(kinds)
	return kinds[:min(len(kinds), maxKinds)]
}

func (s schemas) kindsIn(gv schema.GroupVersion, resources []string) []schema.GroupVersionKind {
	served, err := s.ServerResourcesForGroupVersion(gv.String())
	if err != nil {
		return nil
	}
	var kinds []schema.GroupVersionKind
	for _, r := range served.APIResources {
		if !strings.Contains(r.Name, "/") && slices.Contains(resources, r.Name) {
			kinds = append(kinds, gv.WithKind(r.Kind))
		}
	}
	return kinds
}

// declare makes a type of the schema of gvk; nil if there is none.
func (s schemas) declare(gvk schema.GroupVersionKind) (*apicel.DeclType, error) {
	document, err := s.document(gvk.GroupVersion())
	if err != nil || document == nil || document.Components == nil {
		return nil, err
	}
	for name, each := range document.Components.Schemas {
		if describes(each, gvk) {
			whole := resolved(document.Components.Schemas, each, []string{name})
			decl := common.SchemaDeclType(&openapi.Schema{Schema: whole}, true)
			if decl == nil {
				return nil, nil
			}
			return decl.MaybeAssignTypeName(gvk.Kind + "." + gvk.Version + "." + gvk.Group), nil
		}
	}
	return nil, nil
}

func (s schemas) document(gv schema.GroupVersion) (*spec3.OpenAPI, error) {
	paths, err := s.OpenAPIV3().Paths()
	if err != nil {
		return nil, fmt.Errorf("list the schemas: %w", err)
	}
	name := "apis/" + gv.String()
	if gv.Group == "" {
		name = "api/" + gv.Version
	}
	path, ok := paths[name]
	if !ok {
		return nil, nil
	}
	text, err := path.Schema(runtime.ContentTypeJSON)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get the schemas of %s: %w", gv, err)
	}
	document := &spec3.OpenAPI{}
	if err := json.Unmarshal(text, document); err != nil {
		return nil, fmt.Errorf("read the schemas of %s: %w", gv, err)
	}
	return document, nil
}

// describes tells whether s says that it is the schema of gvk.
func describes(s *spec.Schema, gvk schema.GroupVersionKind) bool {
	var kinds []schema.GroupVersionKind
	if err := s.Extensions.GetObject("x-kubernetes-group-version-kind", &kinds); err != nil {
		return false
	}
	return len(kinds) == 1 && kinds[0] == gvk
}

// resolved returns s with all that it refers to in place. above are the schemas that it is in: one that contains itself, as that of
// a CustomResourceDefinition does, is cut off there, and may be anything.
func resolved(all map[string]*spec.Schema, s *spec.Schema, above []string) *spec.Schema {
	out := *s
	ref := s.Ref.String()
	if ref == "" && len(s.AllOf) == 1 && s.AllOf[0].Ref.String() != "" {
		ref = s.AllOf[0].Ref.String() // how a reference with a default is written
	}
	if name := strings.TrimPrefix(ref, "#/components/schemas/"); ref != "" {
		target, ok := all[name]
		if !ok || slices.Contains(above, name) {
			anything := spec.Schema{}
			anything.AddExtension("x-kubernetes-int-or-string", true) // the one schema that CEL takes for "anything"
			return &anything
		}
		return resolved(all, target, append(above[:len(above):len(above)], name))
	}
	if s.Properties != nil {
		out.Properties = make(map[string]spec.Schema, len(s.Properties))
		for name, p := range s.Properties {
			out.Properties[name] = *resolved(all, &p, above)
		}
	}
	if s.Items != nil && s.Items.Schema != nil {
		out.Items = &spec.SchemaOrArray{Schema: resolved(all, s.Items.Schema, above)}
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		out.AdditionalProperties = &spec.SchemaOrBool{Allows: true, Schema: resolved(all, s.AdditionalProperties.Schema, above)}
	}
	return &out
}
