package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/admission/judge"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Validating evaluates ValidatingAdmissionPolicies.
type Validating struct {
	Config
	metrics *metrics
	hooks   func() []hook[*validatingPolicy]
}

// Name is upstream's.
func (*Validating) Name() string { return "ValidatingAdmissionPolicy" }

// Admit does nothing.
func (*Validating) Admit(context.Context, *admission.Attributes) error { return nil }

// Validate evaluates all policies, also after a refusal: each may have something to warn of or to note.
func (p *Validating) Validate(ctx context.Context, a *admission.Attributes) error {
	if judge.Exempt(a) {
		return p.checkAccess(ctx, a)
	}
	hooks := p.hooks()
	if len(hooks) == 0 {
		return nil
	}
	o := outcome{a: a, metrics: p.metrics}
	for i := range hooks {
		if err := p.evaluate(ctx, &hooks[i], &o); err != nil {
			return err
		}
	}
	return o.finish()
}

// evaluate applies one policy, by all of its bindings.
func (p *Validating) evaluate(ctx context.Context, h *hook[*validatingPolicy], o *outcome) error {
	form, ok, err := h.policy.scope.Find(ctx, o.a, p.Get)
	if !ok && err == nil {
		return nil
	}
	var kind *paramKind
	if err == nil {
		kind, err = p.kindOf(h.policy.paramKind)
	}
	if err != nil {
		o.misconfigured(h.policy, nil, err)
		return nil
	}
	notes := notes{}
	for _, b := range h.bindings {
		if _, ok, err := b.scope.Find(ctx, o.a, p.Get); err != nil {
			o.misconfigured(h.policy, b, err)
			continue
		} else if !ok {
			continue
		}
		params, err := p.params(ctx, kind, b.ref, o.a.Namespace)
		if err != nil {
			o.misconfigured(h.policy, b, err)
			continue
		}
		ns, err := p.namespace(ctx, o.a)
		if err != nil {
			return err
		}
		for _, param := range params {
			in := p.input(o.a, form, param)
			began := time.Now()
			said := h.policy.judge(ctx, in, ns)
			p.metrics.evaluated.Observe(time.Since(began).Seconds())
			o.add(h.policy, b, said, notes)
		}
	}
	notes.publish(h.policy.name, o.a)
	return nil
}

// outcome gathers what all policies come to.
type outcome struct {
	a        *admission.Attributes
	metrics  *metrics
	denials  []denial
	failures []failure
}

// denial is one reason to refuse.
type denial struct {
	message string
	reason  metav1.StatusReason
}

// failure is what the audit log is told, for bindings that ask for it.
type failure struct {
	Message           string                         `json:"message"`
	Policy            string                         `json:"policy"`
	Binding           string                         `json:"binding"`
	ExpressionIndex   int                            `json:"expressionIndex"`
	ValidationActions []admissionv1.ValidationAction `json:"validationActions"`
}

// misconfigured refuses, unless failures are to be ignored: a policy that cannot be applied might have refused.
func (o *outcome) misconfigured(p *validatingPolicy, b *binding, err error) {
	switch {
	case p.failOpen:
	case b == nil:
		o.denials = append(o.denials, denial{message: fmt.Sprintf(
			"ValidatingAdmissionPolicy '%s' denied request: failed to configure policy: %v", p.name, err)})
	default:
		o.deny(p, b, fmt.Sprintf("failed to configure binding: %v", err), "")
	}
}

func (o *outcome) deny(p *validatingPolicy, b *binding, message string, reason metav1.StatusReason) {
	o.denials = append(o.denials, denial{reason: reason, message: fmt.Sprintf(
		"ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s", p.name, b.name, message)})
}

// add takes in what a policy says by one binding and one parameter.
func (o *outcome) add(p *validatingPolicy, b *binding, v verdict, n notes) {
	for i, d := range v.decisions {
		if d.admit {
			if d.message != "" {
				o.metrics.checked(p, b, "allow", d.message, d.took)
			}
			continue
		}
		for _, action := range b.actions {
			o.metrics.checked(p, b, strings.ToLower(string(action)), d.message, d.took)
			switch action {
			case admissionv1.Deny:
				o.deny(p, b, d.message, d.reason)
			case admissionv1.Audit:
				o.failures = append(o.failures, failure{d.message, p.name, b.name, i, b.actions})
			case admissionv1.Warn:
				o.a.Warn(fmt.Sprintf("Validation failed for ValidatingAdmissionPolicy '%s' with binding '%s': %s", p.name, b.name, d.message))
			}
		}
	}
	for _, each := range v.annotations {
		switch {
		case each.err != "":
			o.deny(p, b, each.err, "")
		case each.value != "":
			n.add(each.key, each.value)
		}
	}
}

// maxFailures bounds what the audit log is told of one request.
const maxFailures = 50

// finish writes the notes, and returns the first refusal.
func (o *outcome) finish() error {
	if len(o.failures) > 0 {
		text, err := json.Marshal(o.failures[:min(len(o.failures), maxFailures)])
		if err == nil {
			o.a.Annotate("validation.policy.admission.k8s.io/validation_failure", string(text))
		}
	}
	if len(o.denials) == 0 {
		return nil
	}
	first := o.denials[0]
	if first.reason == "" {
		first.reason = metav1.StatusReasonInvalid
	}
	err := o.a.Forbid(first.message)
	err.ErrStatus.Reason, err.ErrStatus.Code = first.reason, codeOf(first.reason)
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Message: first.message})
	return err
}

func codeOf(r metav1.StatusReason) int32 {
	switch r {
	case metav1.StatusReasonForbidden:
		return http.StatusForbidden
	case metav1.StatusReasonUnauthorized:
		return http.StatusUnauthorized
	case metav1.StatusReasonRequestEntityTooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusUnprocessableEntity
}

// notes are the audit annotations of one policy: what its bindings and parameters made of each key, each text once.
type notes map[string][]string

// maxNote bounds a text.
const maxNote = 10 << 10

func (n notes) add(key, value string) {
	value = value[:min(len(value), maxNote)]
	if !slices.Contains(n[key], value) {
		n[key] = append(n[key], value)
	}
}

func (n notes) publish(policy string, a *admission.Attributes) {
	for key, values := range n {
		a.Annotate(policy+"/"+key, strings.Join(values, ", "))
	}
}
