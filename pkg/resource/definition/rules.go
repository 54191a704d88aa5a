package definition

import (
	"errors"
	"fmt"

	celgo "github.com/google/cel-go/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// A rule is compiled against the type that the schema makes of the value it is about. To make that type is the expensive part, and
// the type of a node holds those of all nodes below; so the topmost node with rules makes one, and those below it take their part.

// expressions are those that the definition had before: they may use what new ones may not any longer.
type expressions struct{ rules, messages map[string]bool }

func expressionsOf(s *crdSpec) expressions {
	e := expressions{map[string]bool{}, map[string]bool{}}
	anySchema(s, func(p *props) bool {
		for _, r := range p.XValidations {
			e.rules[r.Rule], e.messages[r.MessageExpression] = true, r.MessageExpression != ""
		}
		return false
	})
	return e
}

// RuleEnv and MessageExpressionEnv are what an expression may use.
func (e expressions) RuleEnv(set *environment.EnvSet, expression string) *celgo.Env {
	return env(set, e.rules[expression])
}

func (e expressions) MessageExpressionEnv(set *environment.EnvSet, expression string) *celgo.Env {
	return env(set, e.messages[expression])
}

func env(set *environment.EnvSet, stored bool) *celgo.Env {
	if stored {
		return set.StoredExpressionsEnv()
	}
	return set.NewExpressionsEnv()
}

// scope is a node, as rules at it and below see it.
type scope struct {
	parent *scope
	schema *props
	within bool // there are rules here or above
	// part takes this node's type out of that of the parent; nil if it is not there.
	part func(*celType) *celType
	// most is how many values of this node one object can have; nil is without bound.
	most *uint64
	made *celType
	err  error
}

// celType is a node's type.
type celType struct {
	schema *schema.Structural
	decl   *apiservercel.DeclType
}

// rootScope is the scope of a whole schema.
func (c *costs) rootScope(p *props) *scope {
	if c == nil {
		return nil
	}
	one := uint64(1)
	return &scope{schema: p, within: len(p.XValidations) > 0, most: &one}
}

func (s *scope) property(p *props, name string) *scope {
	return s.child(p, func(t *celType) *celType {
		child, ok := t.schema.Properties[name]
		escaped, can := apiservercel.Escape(name)
		if !ok || !can {
			return nil
		}
		f, ok := t.decl.Fields[escaped]
		if !ok {
			return nil
		}
		return &celType{&child, f.Type}
	})
}

func (s *scope) values(p *props) *scope {
	return s.child(p, func(t *celType) *celType {
		if t.schema.AdditionalProperties == nil {
			return nil
		}
		return &celType{t.schema.AdditionalProperties.Structural, t.decl.ElemType}
	})
}

func (s *scope) item(p *props) *scope {
	return s.child(p, func(t *celType) *celType {
		if t.schema.Items == nil {
			return nil
		}
		return &celType{t.schema.Items, t.decl.ElemType}
	})
}

func (s *scope) child(p *props, part func(*celType) *celType) *scope {
	if s == nil || p == nil {
		return nil
	}
	return &scope{parent: s, schema: p, part: part, within: s.within || len(p.XValidations) > 0, most: times(s.most, fanOut(s.schema))}
}

// celType is the type of the node.
func (s *scope) celType() (*celType, error) {
	if s.made != nil || s.err != nil {
		return s.made, s.err
	}
	if s.parent != nil && s.parent.within {
		above, err := s.parent.celType()
		if err != nil {
			s.err = err
			return nil, err
		}
		if above.decl != nil { // rules have no type for some values, as of maps without a type for theirs
			s.made = s.part(above)
		}
		if s.made != nil {
			return s.made, nil
		}
	}
	s.made, s.err = makeType(s.schema, s.parent == nil || s.schema.XEmbeddedResource)
	return s.made, s.err
}

func makeType(p *props, isResource bool) (*celType, error) {
	s, err := schema.NewStructural(p)
	if err != nil {
		return nil, err
	}
	decl := model.SchemaDeclType(s, isResource)
	if decl == nil {
		return nil, errors.New("unable to convert structural schema to CEL declarations")
	}
	return &celType{s, decl}, nil
}

// compile compiles the rules of a node.
func (w *walker) compile(p *props, at *field.Path, n node) (errs field.ErrorList) {
	at = at.Child("x-kubernetes-validations")
	t, err := n.rules.celType()
	if err != nil {
		return field.ErrorList{field.InternalError(at, fmt.Errorf("internal error: failed to construct type information for x-kubernetes-validations rules: %w", err))}
	}
	results, err := cel.Compile(t.schema, t.decl, celconfig.PerCallLimit, environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()), w.expressions)
	if err != nil {
		return field.ErrorList{field.InternalError(at, err)}
	}
	for i := range results {
		errs = append(errs, w.rule(p, &results[i], i, at.Index(i), n)...)
	}
	return errs
}

// rule judges one compiled rule.
func (w *walker) rule(p *props, r *cel.CompilationResult, i int, at *field.Path, n node) (errs field.ErrorList) {
	rule := p.XValidations[i]
	errs = append(errs, w.charge("estimated rule cost", n.rules.cost(r), at.Child("rule"))...)
	if bad := r.Error; bad != nil && bad.Type == apiservercel.ErrorTypeRequired {
		errs = append(errs, field.Required(at.Child("rule"), bad.Detail))
	} else if bad != nil {
		errs = append(errs, field.Invalid(at.Child("rule"), rule, bad.Detail))
	}
	if bad := r.MessageExpressionError; bad != nil {
		errs = append(errs, field.Invalid(at.Child("messageExpression"), rule, bad.Detail))
	} else if r.MessageExpression != nil {
		errs = append(errs, w.charge("estimated messageExpression cost", r.MessageExpressionMaxCost, at.Child("messageExpression"))...)
	}
	switch {
	case r.UsesOldSelf && n.uncorrelated != nil:
		errs = append(errs, field.Invalid(at.Child("rule"), rule.Rule, fmt.Sprintf(
			"oldSelf cannot be used on the uncorrelatable portion of the schema within %v", n.uncorrelated)))
	case !r.UsesOldSelf && rule.OptionalOldSelf != nil:
		errs = append(errs, field.Invalid(at.Child("optionalOldSelf"), *rule.OptionalOldSelf, "may not be set if oldSelf is not used in rule"))
	}
	return errs
}
