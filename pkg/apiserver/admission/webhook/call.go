package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/admission/judge"

	"github.com/google/uuid"
	reviewv1 "k8s.io/api/admission/v1"
	reviewv1beta1 "k8s.io/api/admission/v1beta1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// callError says that a webhook could not be asked, or that its answer is none.
type callError struct {
	hook   string
	reason error
}

func (e *callError) Error() string {
	return fmt.Sprintf("failed calling webhook %q: %v", e.hook, e.reason)
}

func failed(h *hook, format string, args ...any) error {
	return &callError{h.Name, fmt.Errorf(format, args...)}
}

// prepare makes what a webhook is shown of the request.
func prepare(h *hook, a *admission.Attributes, form admission.Form) (*reviewv1.AdmissionRequest, error) {
	if err := mayDryRun(h, a); err != nil {
		return nil, err
	}
	request := judge.NewRequest(a, form)
	request.UID = types.UID(uuid.NewString())
	var err error
	if request.Object.Object, err = a.Show(a.Object, form); err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	if request.OldObject.Object, err = a.Show(a.Old, form); err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return request, nil
}

// ask shows the request to a webhook, and returns what it says.
func ask(ctx context.Context, h *hook, request *reviewv1.AdmissionRequest, mutating bool) (*reviewv1.AdmissionResponse, error) {
	response, err := send(ctx, h, request)
	if err != nil {
		return nil, err
	}
	if err := check(response, mutating); err != nil {
		return nil, failed(h, "received invalid webhook response: %w", err)
	}
	return response, nil
}

// mayDryRun refuses to show a dry run to a webhook that would act on it.
func mayDryRun(h *hook, a *admission.Attributes) error {
	switch {
	case !a.DryRun:
		return nil
	case h.SideEffects == nil:
		return failed(h, "Webhook SideEffects is nil")
	case *h.SideEffects == admissionv1.SideEffectClassNone, *h.SideEffects == admissionv1.SideEffectClassNoneOnDryRun:
		return nil
	}
	return apierrors.NewBadRequest(fmt.Sprintf("admission webhook %q does not support dry run", h.Name))
}

// send asks in the first version of AdmissionReview that both sides know.
func send(ctx context.Context, h *hook, request *reviewv1.AdmissionRequest) (*reviewv1.AdmissionResponse, error) {
	for _, version := range h.AdmissionReviewVersions {
		switch version {
		case reviewv1.SchemeGroupVersion.Version:
			answer := &reviewv1.AdmissionReview{}
			if err := post(ctx, h, &reviewv1.AdmissionReview{Request: request}, answer); err != nil {
				return nil, err
			}
			return answer.Response, checkAnswer(h, request, answer)
		case reviewv1beta1.SchemeGroupVersion.Version:
			return sendBeta(ctx, h, request)
		}
	}
	return nil, failed(h, "could not create admission objects: %w",
		errors.New("webhook does not accept known AdmissionReview versions (v1, v1beta1)"))
}

// checkAnswer holds the answer to the question. In v1beta1 nobody did.
func checkAnswer(h *hook, request *reviewv1.AdmissionRequest, answer *reviewv1.AdmissionReview) error {
	const invalid = "received invalid webhook response: "
	kind := reviewv1.SchemeGroupVersion.WithKind("AdmissionReview")
	switch r := answer.Response; {
	case r == nil:
		return failed(h, invalid+"webhook response was absent")
	case r.UID != request.UID:
		return failed(h, invalid+"expected response.uid=%q, got %q", request.UID, r.UID)
	case answer.GroupVersionKind() != kind:
		return failed(h, invalid+"expected webhook response of %v, got %v", kind.String(), answer.GroupVersionKind().String())
	}
	return nil
}

// sendBeta asks in v1beta1, whose fields are those of v1.
func sendBeta(ctx context.Context, h *hook, request *reviewv1.AdmissionRequest) (*reviewv1.AdmissionResponse, error) {
	question, answer := &reviewv1beta1.AdmissionReview{}, &reviewv1beta1.AdmissionReview{}
	if err := recode(&reviewv1.AdmissionReview{Request: request}, question); err != nil {
		return nil, failed(h, "could not create admission objects: %w", err)
	}
	if err := post(ctx, h, question, answer); err != nil {
		return nil, err
	}
	if answer.Response == nil {
		return nil, failed(h, "received invalid webhook response: webhook response was absent")
	}
	response := &reviewv1.AdmissionResponse{}
	if err := recode(answer.Response, response); err != nil {
		return nil, failed(h, "received invalid webhook response: %w", err)
	}
	response.PatchType = nil // which was not looked at in v1beta1: there is one
	if len(response.Patch) > 0 {
		json := reviewv1.PatchTypeJSONPatch
		response.PatchType = &json
	}
	return response, nil
}

func recode(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}

// post sends a question, tells how long there is for it, and reads the answer.
func post(ctx context.Context, h *hook, question, answer runtime.Object) error {
	c, err := h.client()
	if err != nil {
		return failed(h, "could not get REST client: %w", err)
	}
	if h.TimeoutSeconds != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*h.TimeoutSeconds)*time.Second)
		defer cancel()
	}
	r := c.rest.Post().Body(question)
	if deadline, ok := ctx.Deadline(); ok {
		if left := time.Until(deadline); left > 0 {
			r.Timeout((left + time.Second - 1).Truncate(time.Second)) // whole seconds, rounded up
		}
	}
	if err := r.Do(ctx).Into(answer); err != nil {
		return failed(h, "failed to call webhook: %w", err)
	}
	return nil
}

// check wants a patch and its type together, and from mutating webhooks only.
func check(r *reviewv1.AdmissionResponse, mutating bool) error {
	switch {
	case !mutating && len(r.Patch) > 0:
		return errors.New("validating webhook may not return response.patch")
	case !mutating && r.PatchType != nil:
		return errors.New("validating webhook may not return response.patchType")
	case len(r.Patch) > 0 && r.PatchType == nil:
		return errors.New("webhook returned response.patch but not response.patchType")
	case len(r.Patch) == 0 && r.PatchType != nil:
		return errors.New("webhook returned response.patchType but not response.patch")
	case r.PatchType != nil && *r.PatchType == "":
		return fmt.Errorf("webhook returned invalid response.patchType of %q", *r.PatchType)
	}
	return nil
}

// tell passes on what a webhook says besides yes and no.
func tell(h *hook, a *admission.Attributes, r *reviewv1.AdmissionResponse) {
	for key, value := range r.AuditAnnotations {
		a.Annotate(h.Name+"/"+key, value)
	}
	for _, w := range r.Warnings {
		a.Warn(w)
	}
}

// refusal is a webhook's no, with the code and the reason that it gives.
func refusal(name string, result *metav1.Status) *apierrors.StatusError {
	if result == nil {
		result = &metav1.Status{}
	}
	result.Code = max(result.Code, http.StatusBadRequest)
	if result.Status == "" || result.Status == metav1.StatusSuccess {
		result.Status = metav1.StatusFailure
	}
	denied := fmt.Sprintf("admission webhook %q denied the request", name)
	switch {
	case result.Message != "":
		result.Message = denied + ": " + result.Message
	case result.Reason != "":
		result.Message = denied + ": " + string(result.Reason)
	default:
		result.Message = denied + " without explanation"
	}
	return &apierrors.StatusError{ErrStatus: *result}
}
