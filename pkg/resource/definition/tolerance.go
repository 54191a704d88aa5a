package definition

import (
	"reflect"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// tolerance is what a definition may have wrong because it had it wrong before. Definitions from before a rule existed have to be
// changeable, or nobody could mend them.
type tolerance struct {
	established bool // objects may exist: what places them is fixed
	// mustBeStructural holds for all new definitions; the others name the old sins.
	mustBeStructural        bool
	mayLackSchema           bool
	mayHaveUnknownTypes     bool
	mayHaveUnprunedDefaults bool
	mayHaveNonAtomicSets    bool
	mayHaveLooseMapKeys     bool
	mayHaveUnknownReviews   bool
	mayHaveBadCA            bool
	// unchanged are the versions whose schemas are; what their rules cost has been accepted. manySelectable are those that
	// have too many selectable fields and the same ones as before. Both have "" for the parts that all versions share.
	unchanged, manySelectable map[string]bool
	expressions               expressions
}

// strict is what new definitions are held to. A certificate may be put in later, by whoever makes it: nobody calls the webhook
// before the kind is established.
func strict() tolerance { return tolerance{mustBeStructural: true, mayHaveBadCA: true} }

func tolerant(next, was *apiextensions.CustomResourceDefinition) tolerance {
	s := &was.Spec
	t := tolerance{
		established:             apiextensions.IsCRDConditionTrue(was, apiextensions.Established),
		mustBeStructural:        !anyRoot(s, nonStructural),
		mayLackSchema:           lacksSchema(s),
		mayHaveUnknownTypes:     anySchema(s, unknownType),
		mayHaveUnprunedDefaults: anyRoot(s, unprunedDefaults),
		mayHaveNonAtomicSets:    anySchema(s, nonAtomicSet),
		mayHaveLooseMapKeys:     anySchema(s, func(p *props) bool { return len(mapKeyErrors(p, nil)) > 0 }),
		mayHaveUnknownReviews:   s.Conversion != nil && len(s.Conversion.ConversionReviewVersions) > 0 && !knowsReview(s.Conversion.ConversionReviewVersions),
		unchanged:               unchangedSchemas(next, was),
		manySelectable:          unchangedSelectable(next, was),
		expressions:             expressionsOf(s),
	}
	t.mayHaveBadCA = !t.established || hasBadCA(s.Conversion)
	return t
}

func lacksSchema(s *crdSpec) bool {
	if s.Validation != nil && s.Validation.OpenAPIV3Schema != nil {
		return false
	}
	for i := range s.Versions {
		if c := s.Versions[i].Schema; c == nil || c.OpenAPIV3Schema == nil {
			return true
		}
	}
	return false
}

func nonStructural(p *props) bool {
	s, err := schema.NewStructural(p)
	return err != nil || len(schema.ValidateStructural(nil, s)) > 0
}

func unprunedDefaults(p *props) bool {
	if !anyNode(p, hasDefault) || nonStructural(p) {
		return false
	}
	s, err := schema.NewStructural(p)
	if err != nil {
		return false
	}
	pruned := s.DeepCopy()
	return defaulting.PruneDefaults(pruned) == nil && !reflect.DeepEqual(s, pruned)
}

func unchangedSchemas(next, was *apiextensions.CustomResourceDefinition) map[string]bool {
	out := map[string]bool{}
	for i := range next.Spec.Versions {
		name := next.Spec.Versions[i].Name
		a, err := apiextensions.GetSchemaForVersion(next, name)
		if err != nil {
			continue
		}
		if b, err := apiextensions.GetSchemaForVersion(was, name); err == nil && equality.Semantic.DeepEqual(a, b) {
			out[name] = true
		}
	}
	return out
}

func unchangedSelectable(next, was *apiextensions.CustomResourceDefinition) map[string]bool {
	same := equality.Semantic.DeepEqual
	out := map[string]bool{"": len(was.Spec.SelectableFields) > maxSelectable && same(next.Spec.SelectableFields, was.Spec.SelectableFields)}
	for i := range next.Spec.Versions {
		for j := range was.Spec.Versions {
			a, b := &next.Spec.Versions[i], &was.Spec.Versions[j]
			if a.Name == b.Name && len(b.SelectableFields) > maxSelectable && same(a.SelectableFields, b.SelectableFields) {
				out[a.Name] = true
			}
		}
	}
	return out
}

func hasBadCA(c *apiextensions.CustomResourceConversion) bool {
	return c != nil && c.WebhookClientConfig != nil && len(c.WebhookClientConfig.CABundle) > 0 &&
		badCA(c.WebhookClientConfig.CABundle, field.NewPath("caBundle")) != nil
}

type props = apiextensions.JSONSchemaProps

// anyRoot tells whether any of the definition's schemas is as is says.
func anyRoot(s *crdSpec, is func(*props) bool) bool {
	if s.Validation != nil && s.Validation.OpenAPIV3Schema != nil && is(s.Validation.OpenAPIV3Schema) {
		return true
	}
	for i := range s.Versions {
		if c := s.Versions[i].Schema; c != nil && c.OpenAPIV3Schema != nil && is(c.OpenAPIV3Schema) {
			return true
		}
	}
	return false
}

// anySchema tells whether any node of any of the definition's schemas is as is says.
func anySchema(s *crdSpec, is func(*props) bool) bool {
	return anyRoot(s, func(p *props) bool { return anyNode(p, is) })
}

// anyNode tells whether any node of a schema is as is says.
func anyNode(p *props, is func(*props) bool) bool {
	if p == nil {
		return false
	}
	if is(p) {
		return true
	}
	for _, c := range children(p) {
		if anyNode(c, is) {
			return true
		}
	}
	return false
}

// children are the nodes right below p, whatever they are for it.
func children(p *props) []*props {
	out := []*props{p.Not}
	for _, list := range [][]props{p.AllOf, p.AnyOf, p.OneOf} {
		for i := range list {
			out = append(out, &list[i])
		}
	}
	for _, m := range []map[string]props{p.Properties, p.PatternProperties, p.Definitions} {
		for _, c := range m {
			out = append(out, &c)
		}
	}
	for _, c := range p.Dependencies {
		out = append(out, c.Schema)
	}
	for _, c := range []*apiextensions.JSONSchemaPropsOrBool{p.AdditionalProperties, p.AdditionalItems} {
		if c != nil {
			out = append(out, c.Schema)
		}
	}
	if p.Items != nil {
		out = append(out, p.Items.Schema)
		for i := range p.Items.JSONSchemas {
			out = append(out, &p.Items.JSONSchemas[i])
		}
	}
	return out
}

func hasDefault(p *props) bool { return p.Default != nil }

func hasExtensions(p *props) bool {
	return p.XEmbeddedResource || p.XPreserveUnknownFields != nil || p.XIntOrString || len(p.XListMapKeys) > 0 || p.XListType != nil || len(p.XValidations) > 0
}
