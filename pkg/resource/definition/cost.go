package definition

import (
	"fmt"
	"math"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A rule costs what it may cost at worst, for a value as large as the schema lets it be, times how many such values an object can
// have. Limits are upstream's; so is the unit, which is roughly an operation of the interpreter.
const (
	maxRuleCost   = 10_000_000
	maxSchemaCost = 100_000_000
)

// costs adds up what the rules of a schema may cost.
type costs struct {
	total uint64
	most  []charge // the most expensive, first
}

type charge struct {
	at   *field.Path
	cost uint64
}

// charge counts an expression, and refuses it if it alone may cost too much.
func (w *walker) charge(what string, cost uint64, at *field.Path) field.ErrorList {
	w.costs.add(charge{at, cost})
	if w.cheap || cost <= maxRuleCost {
		return nil
	}
	return field.ErrorList{field.Forbidden(at, overBudget(what, cost, maxRuleCost))}
}

func (c *costs) add(one charge) {
	if c.total > math.MaxUint64-one.cost {
		c.total = math.MaxUint64
	} else {
		c.total += one.cost
	}
	if one.cost < maxSchemaCost/100 {
		return
	}
	c.most = append(c.most, one)
	slices.SortStableFunc(c.most, func(a, b charge) int {
		switch {
		case a.cost > b.cost:
			return -1
		case a.cost < b.cost:
			return 1
		}
		return 0
	})
	c.most = c.most[:min(len(c.most), 4)]
}

// verdict refuses a schema whose rules together may cost too much, and points to those that cost most.
func (c *costs) verdict(at *field.Path) (errs field.ErrorList) {
	if c == nil || c.total <= maxSchemaCost {
		return nil
	}
	for _, one := range c.most {
		errs = append(errs, field.Forbidden(one.at, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"))
	}
	return append(errs, field.Forbidden(at, overBudget("x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema", c.total, maxSchemaCost)))
}

func overBudget(what string, cost, limit uint64) string {
	by := float64(cost) / float64(limit)
	factor := fmt.Sprintf("%.1fx", by)
	switch {
	case by > 100:
		factor = "more than 100x"
	case by < 1.5:
		factor = fmt.Sprintf("%fx", by)
	}
	return fmt.Sprintf("%s exceeds budget by factor of %s (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)", what, factor)
}

// cost of a rule at a node of this scope.
func (s *scope) cost(r *cel.CompilationResult) uint64 {
	if s.most != nil {
		return saturated(r.MaxCost, *s.most)
	}
	return saturated(r.MaxCost, r.MaxCardinality)
}

// fanOut is how many values a node's children have for one of its own; nil is without bound.
func fanOut(p *props) *uint64 {
	n := uint64(1)
	bound := func(most *int64) *uint64 {
		if most == nil {
			return nil
		}
		n = uint64(max(*most, 0))
		return &n
	}
	switch {
	case p.Type == "object" && p.AdditionalProperties != nil:
		return bound(p.MaxProperties)
	case p.Type == "array":
		return bound(p.MaxItems)
	}
	return &n
}

func times(a, b *uint64) *uint64 {
	if a == nil || b == nil {
		return nil
	}
	n := saturated(*a, *b)
	return &n
}

func saturated(a, b uint64) uint64 {
	if a != 0 && b > math.MaxUint64/a {
		return math.MaxUint64
	}
	return a * b
}
