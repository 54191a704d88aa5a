package policy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"bonsai/pkg/apiserver/admission/judge"
	"bonsai/pkg/resource/expression"

	"github.com/google/cel-go/common/types"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// validatingPolicy is a policy, compiled.
type validatingPolicy struct {
	common
	checks []check
	audits []audit
}

// check is one validation.
type check struct {
	admissionv1.Validation
	holds   expression.Compiled
	message *expression.Compiled
}

// audit is one audit annotation.
type audit struct {
	key   string
	value expression.Compiled
}

func compileValidating(p *admissionv1.ValidatingAdmissionPolicy) *validatingPolicy {
	s := &p.Spec
	c, compiler, sees := compileCommon(p.Name, s.ParamKind, s.MatchConstraints, s.FailurePolicy, s.MatchConditions, s.Variables)
	out := &validatingPolicy{common: c}
	for _, v := range s.Validations {
		each := check{Validation: v, holds: compiler.Compile(expression.Expression{
			Text: v.Expression, Sees: sees, Returns: expression.Bool, Stored: true})}
		if v.MessageExpression != "" {
			message := compiler.Compile(expression.Expression{
				Text: v.MessageExpression, Sees: expression.Sees{Params: sees.Params}, Returns: expression.Text, Stored: true})
			each.message = &message
		}
		out.checks = append(out.checks, each)
	}
	for _, a := range s.AuditAnnotations {
		out.audits = append(out.audits, audit{a.Key, compiler.Compile(expression.Expression{
			Text: strings.TrimSpace(a.ValueExpression), Sees: sees, Returns: expression.MayText, Stored: true})})
	}
	return out
}

// verdict is what a policy says of a request, by one parameter.
type verdict struct {
	decisions   []decision
	annotations []annotation
}

// decision is what one validation says.
type decision struct {
	admit   bool
	message string
	reason  metav1.StatusReason
	took    time.Duration
}

// annotation is what one audit annotation says: nothing, a value, or why there is none.
type annotation struct{ key, value, err string }

// failed is the decision of an expression that has none.
func (p *validatingPolicy) failed(err error) decision {
	return decision{admit: p.failOpen, message: err.Error()}
}

// judge evaluates the policy.
func (p *validatingPolicy) judge(ctx context.Context, in judge.Input, ns *corev1.Namespace) verdict {
	ok, err := p.conditions.Match(ctx, in, p.declare)
	if err != nil {
		return verdict{decisions: []decision{p.failed(err)}}
	}
	if !ok {
		return verdict{}
	}
	in.Namespace = ns
	run := judge.NewRun(ctx, in, celconfig.RuntimeCELCostBudget)
	p.declare(run)
	decisions, err := p.validate(run)
	if err != nil {
		return verdict{decisions: []decision{p.failed(err)}}
	}
	annotations, err := p.annotate(run.WithBudget(celconfig.RuntimeCELCostBudget))
	if err != nil {
		return verdict{decisions: []decision{p.failed(err)}}
	}
	return verdict{decisions, annotations}
}

// validate evaluates all validations first, and then the messages of those that do not hold.
func (p *validatingPolicy) validate(run *judge.Run) ([]decision, error) {
	decisions := make([]decision, len(p.checks))
	var broken []int
	for i, c := range p.checks {
		began := time.Now()
		v, err := run.Eval(c.holds)
		took := time.Since(began)
		switch {
		case judge.Stopped(err):
			return nil, err
		case err != nil:
			decisions[i] = p.failed(err)
		case v == types.True:
			decisions[i] = decision{admit: true}
		default:
			broken = append(broken, i)
		}
		decisions[i].took = took
	}
	for _, i := range broken {
		message, err := p.checks[i].text(run)
		if err != nil {
			decisions[i] = p.failed(fmt.Errorf("failed messageExpression: %w", err))
			continue
		}
		decisions[i].message, decisions[i].reason = message, metav1.StatusReasonInvalid
		if r := p.checks[i].Reason; r != nil {
			decisions[i].reason = *r
		}
	}
	return decisions, nil
}

// text is what people are told: what the messageExpression says, if it says it in one line; else the message; else the expression.
func (c *check) text(run *judge.Run) (string, error) {
	if c.message != nil {
		v, err := run.Eval(*c.message)
		if judge.Stopped(err) {
			return "", err
		}
		if err == nil {
			said, _ := v.Value().(string)
			said = strings.TrimSpace(said)
			if said != "" && len(said) <= celconfig.MaxEvaluatedMessageExpressionSizeBytes && !strings.Contains(said, "\n") {
				return said, nil
			}
		}
	}
	if c.Message != "" {
		return strings.TrimSpace(c.Message), nil
	}
	return "failed expression: " + strings.TrimSpace(c.Expression), nil
}

// annotate evaluates the audit annotations.
func (p *validatingPolicy) annotate(run *judge.Run) ([]annotation, error) {
	out := make([]annotation, len(p.audits))
	for i, a := range p.audits {
		out[i].key = a.key
		v, err := run.Eval(a.value)
		switch {
		case judge.Stopped(err):
			return nil, err
		case err != nil && !p.failOpen:
			out[i].err = err.Error()
		case err != nil, v == types.NullValue:
		default:
			said, ok := v.Value().(string)
			if !ok {
				out[i].err = fmt.Sprintf("valueExpression '%v' resulted in unsupported return type: %v. "+
					"Return type must be either string or null.", a.value.Text, v.Type())
			}
			out[i].value = strings.TrimSpace(said)
		}
	}
	return out, nil
}
