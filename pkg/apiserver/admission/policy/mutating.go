package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/admission/judge"
	"bonsai/pkg/resource/expression"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Mutating evaluates MutatingAdmissionPolicies.
type Mutating struct {
	Config
	metrics *metrics
	hooks   func() []hook[*mutatingPolicy]
}

// mutatingPolicy is a policy, compiled.
type mutatingPolicy struct {
	common
	mutations []mutation
	again     bool
}

// mutation is one step of it.
type mutation struct {
	patches bool // or else applies
	value   expression.Compiled
}

func compileMutating(p *admissionv1.MutatingAdmissionPolicy) *mutatingPolicy {
	s := &p.Spec
	c, compiler, sees := compileCommon(p.Name, s.ParamKind, s.MatchConstraints, s.FailurePolicy, s.MatchConditions, s.Variables)
	sees.Patches = true
	out := &mutatingPolicy{common: c, again: s.ReinvocationPolicy == admissionv1.IfNeededReinvocationPolicy}
	for _, m := range s.Mutations {
		e := expression.Expression{Sees: sees, Stored: true}
		switch {
		case m.PatchType == admissionv1.PatchTypeJSONPatch && m.JSONPatch != nil:
			e.Text, e.Returns = m.JSONPatch.Expression, expression.Patch
		case m.PatchType == admissionv1.PatchTypeApplyConfiguration && m.ApplyConfiguration != nil:
			e.Text, e.Returns = m.ApplyConfiguration.Expression, expression.Config
		default:
			continue
		}
		out.mutations = append(out.mutations, mutation{m.PatchType == admissionv1.PatchTypeJSONPatch, compiler.Compile(e)})
	}
	return out
}

// Name is upstream's.
func (*Mutating) Name() string { return "MutatingAdmissionPolicy" }

// Validate does nothing.
func (*Mutating) Validate(context.Context, *admission.Attributes) error { return nil }

// invocation is a policy by one binding and one parameter.
type invocation struct {
	policy  *mutatingPolicy
	binding *binding
	form    admission.Form
	param   runtime.Object
}

// id tells invocations apart.
func (i *invocation) id() string {
	id := i.policy.name + "|" + i.binding.name
	if o, err := meta.Accessor(i.param); i.param != nil && err == nil {
		id += "|" + o.GetNamespace() + "/" + o.GetName()
	}
	return id
}

// refused is what keeps a policy from being applied.
type refused struct {
	policy  *mutatingPolicy
	binding *binding
	err     error
	reason  metav1.StatusReason
}

func (r *refused) text() string {
	if r.binding == nil {
		return fmt.Sprintf("policy %q denied request: %v", r.policy.name, r.err)
	}
	return fmt.Sprintf("policy '%s' with binding '%s' denied request: %v", r.policy.name, r.binding.name, r.err)
}

// Admit finds all invocations, and then applies them in order.
func (p *Mutating) Admit(ctx context.Context, a *admission.Attributes) error {
	hooks := p.hooks()
	if len(hooks) == 0 || judge.Exempt(a) {
		return nil
	}
	var all []invocation
	var refusals []refused
	for i := range hooks {
		found, failed := p.find(ctx, a, &hooks[i])
		all, refusals = append(all, found...), append(refusals, failed...)
	}
	if len(all) > 0 {
		failed, err := p.apply(ctx, a, all)
		if err != nil {
			return err
		}
		refusals = append(refusals, failed...)
	}
	return verdictOf(a, refusals)
}

// find returns where the policy is to be applied to the request.
func (p *Mutating) find(ctx context.Context, a *admission.Attributes, h *hook[*mutatingPolicy]) (all []invocation, failed []refused) {
	form, ok, err := h.policy.scope.Find(ctx, a, p.Get)
	if !ok && err == nil {
		return nil, nil
	}
	var kind *paramKind
	if err == nil {
		kind, err = p.kindOf(h.policy.paramKind)
	}
	if err != nil {
		return nil, []refused{{policy: h.policy, err: fmt.Errorf("failed to configure policy: %w", err)}}
	}
	for _, b := range h.bindings {
		_, ok, err := b.scope.Find(ctx, a, p.Get)
		var params []runtime.Object
		if ok && err == nil {
			params, err = p.params(ctx, kind, b.ref, a.Namespace)
		}
		if err != nil {
			failed = append(failed, refused{policy: h.policy, binding: b, err: fmt.Errorf("failed to configure binding: %w", err)})
			continue
		}
		for _, param := range params {
			all = append(all, invocation{h.policy, b, form, param})
		}
	}
	return all, failed
}

// apply does what the invocations say.
func (p *Mutating) apply(ctx context.Context, a *admission.Attributes, all []invocation) (failed []refused, err error) {
	ns, err := p.namespace(ctx, a)
	if err != nil {
		return nil, err
	}
	calls := a.Calls(p.Name())
	defer calls.Leave(a)
	for i := range all {
		each := &all[i]
		ok, err := each.policy.conditions.Match(ctx, p.input(a, each.form, each.param), each.policy.declare)
		if err != nil {
			failed = append(failed, refused{each.policy, each.binding, err, metav1.StatusReasonInvalid})
			continue
		}
		if !ok || !calls.MayCall(each.id()) {
			continue
		}
		changed, errs, err := p.invoke(ctx, a, each, ns)
		if err != nil {
			return nil, err
		}
		failed = append(failed, errs...)
		if changed {
			calls.Changed()
		}
		calls.Invoked(each.id(), each.policy.again)
	}
	return failed, nil
}

// invoke does the mutations of a policy, one after the other.
func (p *Mutating) invoke(ctx context.Context, a *admission.Attributes, i *invocation, ns *corev1.Namespace) (changed bool, failed []refused, err error) {
	if a.Object == nil {
		return false, nil, nil
	}
	before := a.Object.DeepCopyObject()
	for _, m := range i.policy.mutations {
		in := p.input(a, i.form, i.param)
		in.Namespace, in.Plain = ns, true
		began := time.Now()
		err := p.mutate(ctx, in, i.policy, m)
		p.metrics.mutated(i, err, time.Since(began))
		if status := (*apierrors.StatusError)(nil); errors.As(err, &status) {
			return false, nil, status
		}
		if err != nil {
			failed = append(failed, refused{i.policy, i.binding, err, metav1.StatusReasonInvalid})
		}
	}
	return !equality.Semantic.DeepEqual(before, a.Object), failed, nil
}

// verdictOf refuses the request if a policy that may not be passed over could not be applied.
func verdictOf(a *admission.Attributes, refusals []refused) error {
	var out *apierrors.StatusError
	for _, r := range refusals {
		if r.policy.failOpen {
			continue
		}
		if out == nil {
			out = a.Forbid("")
			out.ErrStatus.Message = r.text()
			if r.reason != "" {
				out.ErrStatus.Reason = r.reason
			}
		}
		out.ErrStatus.Details.Causes = append(out.ErrStatus.Details.Causes, metav1.StatusCause{Message: r.text()})
	}
	if out == nil {
		return nil
	}
	return out
}
