package judge

import (
	"context"

	"bonsai/pkg/resource/expression"

	"github.com/google/cel-go/common/types"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// Conditions are match conditions: what must be true of a request for the rest to be looked at.
type Conditions struct {
	compiled []expression.Compiled
	failOpen bool
}

// Compile makes conditions by the compiler of their webhook or policy.
func Compile(c *expression.Compiler, conditions []admissionv1.MatchCondition, sees expression.Sees, policy *admissionv1.FailurePolicyType) Conditions {
	out := Conditions{failOpen: policy != nil && *policy == admissionv1.Ignore}
	for _, each := range conditions {
		out.compiled = append(out.compiled, c.Compile(expression.Expression{
			Text: each.Expression, Sees: sees, Returns: expression.Bool, Stored: true}))
	}
	return out
}

// Match tells whether all conditions hold. One that is false decides, whatever happens to the others; after that, one
// that fails is an error, or, if failures are to be ignored, a no.
func (c *Conditions) Match(ctx context.Context, in Input, declare func(*Run)) (bool, error) {
	if len(c.compiled) == 0 {
		return true, nil
	}
	run := NewRun(ctx, in, celconfig.RuntimeCELCostBudgetMatchConditions)
	if declare != nil {
		declare(run)
	}
	errs, err := c.evaluate(run)
	switch {
	case err == errFalse:
		return false, nil
	case err != nil && !c.failOpen:
		return false, err
	case len(errs) > 0 && !c.failOpen:
		return false, utilerrors.NewAggregate(errs)
	}
	return err == nil && len(errs) == 0, nil
}

type falseError struct{}

func (falseError) Error() string { return "a condition is false" }

var errFalse error = falseError{}

// evaluate returns what failed, and, as err, what ended the run or that a condition is false.
func (c *Conditions) evaluate(run *Run) (failed []error, err error) {
	isFalse := false
	for _, each := range c.compiled {
		v, err := run.Eval(each)
		switch {
		case Stopped(err):
			return nil, err
		case err != nil:
			failed = append(failed, err)
		case v == types.False:
			isFalse = true
		}
	}
	if isFalse {
		return nil, errFalse
	}
	return failed, nil
}
