package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/admission/judge"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	reviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	kjson "sigs.k8s.io/json"
)

// Mutating asks the mutating webhooks.
type Mutating struct {
	*common
	hooks func() []*hook
}

// Name is upstream's.
func (*Mutating) Name() string { return "MutatingAdmissionWebhook" }

// Validate does nothing.
func (*Mutating) Validate(context.Context, *admission.Attributes) error { return nil }

// Admit asks one after the other. What they are about is found out for each in its turn: those before may have changed it.
func (p *Mutating) Admit(ctx context.Context, a *admission.Attributes) error {
	hooks := p.hooks()
	if len(hooks) == 0 || judge.Exempt(a) {
		return nil
	}
	var calls *admission.Calls
	for i, h := range hooks {
		form, ok, err := p.wants(ctx, h, a)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if calls == nil {
			calls = a.Calls(p.Name())
			defer calls.Leave(a)
		}
		if !calls.MayCall(h.id) {
			continue
		}
		n := note{a, h, fmt.Sprintf("round_%d_index_%d", calls.Round(), i)}
		began := time.Now()
		changed, err := p.mutate(ctx, h, a, form, n)
		took := time.Since(began)
		a.Elsewhere(took, 0)
		p.metrics.asked("admit", h, a, err, took)
		if changed {
			calls.Changed()
		}
		calls.Invoked(h.id, h.ReinvocationPolicy != nil && *h.ReinvocationPolicy == admissionv1.IfNeededReinvocationPolicy)
		if err = p.judged(ctx, h, err, n); err != nil {
			return err
		}
	}
	return nil
}

// judged is what a failure to ask comes to.
func (p *Mutating) judged(ctx context.Context, h *hook, err error, n note) error {
	var call *callError
	if no := (denial{}); errors.As(err, &no) {
		return no.StatusError
	}
	if !errors.As(err, &call) {
		return err
	}
	p.Logger.Warn("a webhook could not be asked", "webhook", h.Name, "failOpen", h.failsOpen(), "error", err)
	if !h.failsOpen() {
		return apierrors.NewInternalError(err)
	}
	p.metrics.opened("admit", h)
	n.a.Annotate("failed-open."+mutationAnnotation+n.place, h.Name)
	if ctx.Err() != nil {
		return errTimeout()
	}
	return nil
}

func errTimeout() error {
	return apierrors.NewTimeoutError("request did not complete within requested timeout", 0)
}

// mutate asks h and does to the object what it says.
func (p *Mutating) mutate(ctx context.Context, h *hook, a *admission.Attributes, form admission.Form, n note) (changed bool, err error) {
	defer func() { n.mutation(changed) }()
	request, err := prepare(h, a, form)
	if err != nil {
		return false, err
	}
	r, err := ask(ctx, h, request, true)
	if err != nil {
		return false, err
	}
	tell(h, a, r)
	if !r.Allowed {
		return false, denial{refusal(h.Name, r.Result)}
	}
	if len(r.Patch) == 0 {
		return false, nil
	}
	patch, err := jsonpatch.DecodePatch(r.Patch)
	if err != nil {
		return false, failed(h, "received undecodable patch in webhook response: %w", err)
	}
	if len(patch) == 0 {
		return false, nil
	}
	if a.Object == nil {
		return false, apierrors.NewInternalError(fmt.Errorf(
			"admission webhook %q attempted to modify the object, which is not supported for this operation", h.Name))
	}
	if *r.PatchType != reviewv1.PatchTypeJSONPatch {
		return false, failed(h, "unsupported patch type %q", *r.PatchType)
	}
	if changed, err = apply(patch, a, form); err != nil {
		return false, apierrors.NewInternalError(err)
	}
	n.patch(patch)
	return changed, nil
}

// apply patches the object as form shows it.
func apply(patch jsonpatch.Patch, a *admission.Attributes, form admission.Form) (changed bool, err error) {
	shown, err := a.Show(a.Object, form)
	if err != nil {
		return false, err
	}
	before, err := json.Marshal(shown)
	if err != nil {
		return false, err
	}
	after, err := patch.Apply(before)
	if err != nil {
		return false, err
	}
	next := a.New(form)
	if err := kjson.UnmarshalCaseSensitivePreserveInts(after, next); err != nil {
		return false, err
	}
	changed = !equality.Semantic.DeepEqual(shown, next)
	return changed, a.Take(next, form)
}

const mutationAnnotation = "mutation.webhook.admission.k8s.io/"

// note writes into the audit log what a webhook has done.
type note struct {
	a     *admission.Attributes
	h     *hook
	place string // which call of the request it was
}

func (n note) mutation(mutated bool) {
	n.write(mutationAnnotation, struct {
		Configuration string `json:"configuration"`
		Webhook       string `json:"webhook"`
		Mutated       bool   `json:"mutated"`
	}{n.h.configuration, n.h.Name, mutated})
}

func (n note) patch(p jsonpatch.Patch) {
	n.write(admission.PatchAnnotation, struct {
		Configuration string          `json:"configuration"`
		Webhook       string          `json:"webhook"`
		Patch         jsonpatch.Patch `json:"patch,omitempty"`
		PatchType     string          `json:"patchType,omitempty"`
	}{n.h.configuration, n.h.Name, p, string(reviewv1.PatchTypeJSONPatch)})
}

func (n note) write(prefix string, what any) {
	if text, err := json.Marshal(what); err == nil {
		n.a.Annotate(prefix+n.place, string(text))
	}
}
