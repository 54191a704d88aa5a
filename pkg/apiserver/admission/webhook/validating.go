package webhook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/admission/judge"

	reviewv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Validating asks the validating webhooks.
type Validating struct {
	*common
	hooks func() []*hook
}

// Name is upstream's.
func (*Validating) Name() string { return "ValidatingAdmissionWebhook" }

// Admit does nothing.
func (*Validating) Admit(context.Context, *admission.Attributes) error { return nil }

// question is one webhook that is asked, and what came of it.
type question struct {
	hook     *hook
	request  *reviewv1.AdmissionRequest
	response *reviewv1.AdmissionResponse
	err      error
	took     time.Duration
}

// Validate asks all at once.
func (p *Validating) Validate(ctx context.Context, a *admission.Attributes) error {
	hooks := p.hooks()
	if len(hooks) == 0 || judge.Exempt(a) {
		return nil
	}
	var questions []*question
	for _, h := range hooks {
		form, ok, err := p.wants(ctx, h, a)
		if err != nil {
			return err
		}
		if ok {
			q := &question{hook: h}
			q.request, q.err = prepare(h, a, form)
			questions = append(questions, q)
		}
	}
	if len(questions) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return errTimeout()
	}
	began := time.Now()
	askAll(ctx, questions)
	a.Elsewhere(0, time.Since(began))
	return p.verdict(a, questions)
}

func askAll(ctx context.Context, questions []*question) {
	var wg sync.WaitGroup
	for _, q := range questions[1:] {
		wg.Go(func() { q.ask(ctx) })
	}
	questions[0].ask(ctx)
	wg.Wait()
}

func (q *question) ask(ctx context.Context) {
	if q.err != nil {
		return
	}
	began := time.Now()
	defer func() {
		q.took = time.Since(began)
		// A goroutine of its own has nobody above it who would catch this.
		if p := recover(); p != nil {
			q.err = fmt.Errorf("ValidatingAdmissionWebhook/%v has panicked: %v", q.hook.Name, p)
			if q.hook.failsOpen() {
				q.err = &callError{q.hook.Name, q.err}
			}
		}
	}()
	q.response, q.err = ask(ctx, q.hook, q.request, false)
}

// verdict passes on what was said, and returns the first refusal.
func (p *Validating) verdict(a *admission.Attributes, questions []*question) error {
	var first error
	for i, q := range questions {
		err := p.judged(a, q, i)
		if first == nil {
			first = err
		}
	}
	return first
}

func (p *Validating) judged(a *admission.Attributes, q *question, i int) error {
	if q.err == nil {
		tell(q.hook, a, q.response)
		if !q.response.Allowed {
			q.err = denial{refusal(q.hook.Name, q.response.Result)}
		}
	}
	p.metrics.asked("validating", q.hook, a, q.err, q.took)
	if q.err == nil {
		return nil
	}
	if no := (denial{}); errors.As(q.err, &no) {
		return no.StatusError
	}
	var call *callError
	if !errors.As(q.err, &call) {
		return apiStatus(q.err)
	}
	p.Logger.Warn("a webhook could not be asked", "webhook", q.hook.Name, "failOpen", q.hook.failsOpen(), "error", q.err)
	if !q.hook.failsOpen() {
		return apierrors.NewInternalError(q.err)
	}
	p.metrics.opened("validating", q.hook)
	a.Annotate(fmt.Sprintf("failed-open.validating.webhook.admission.k8s.io/round_0_index_%d", i), q.hook.Name)
	return nil
}

// apiStatus makes an answer of an error that is none yet.
func apiStatus(err error) error {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return err
	}
	return apierrors.NewInternalError(err)
}
