package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/store"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var statusGVK = metav1.Unversioned.WithKind("Status")

// fail answers with the Status that err is. It is the only place where errors become answers.
func (s *Server) fail(c *call, err error) {
	if internal := (*internalError)(nil); errors.As(err, &internal) && c.w.status == 0 {
		s.log.Error("request failed", "auditID", c.auditID, "path", c.r.URL.Path, "error", err)
		http.Error(c.w, internal.Error(), http.StatusInternalServerError)
		return
	}
	status := statusOf(err)
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	if c.w.status != 0 {
		s.log.Error("request failed after its answer had begun", "auditID", c.auditID, "path", c.r.URL.Path, "error", err)
		return
	}
	if status.Code == http.StatusInternalServerError {
		s.log.Error("request failed", "auditID", c.auditID, "path", c.r.URL.Path, "error", err)
	}
	f := negotiateError(c.r)
	status.Kind, status.APIVersion = "Status", "v1"
	body, encodeErr := encodeAs(f, statusGVK, status)
	if encodeErr != nil {
		http.Error(c.w, encodeErr.Error(), http.StatusInternalServerError)
		return
	}
	s.send(c, int(status.Code), f, body)
}

// statusOf returns the Status of any error. Those that are none already are mistakes of the server, not of the client.
func statusOf(err error) *metav1.Status {
	var known apierrors.APIStatus
	if errors.As(err, &known) {
		status := known.Status()
		if status.Code == 0 {
			status.Code = http.StatusInternalServerError
		}
		return &status
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnknownOutcome) {
		return statusOf(timedOut(err))
	}
	// What is too large for the store was not for us; what the store says while it closes is true of the whole server. That etcd's
	// space is used up is a 500, as upstream.
	switch {
	case errors.Is(err, store.ErrRequestTooLarge):
		return statusOf(apierrors.NewRequestEntityTooLargeError(err.Error()))
	case errors.Is(err, store.ErrClosed):
		return statusOf(apierrors.NewServiceUnavailable("the server is stopping: " + err.Error()))
	}
	return &metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusInternalServerError,
		Reason: metav1.StatusReasonUnknown, Message: err.Error(),
	}
}

// internalError is what went wrong on our side before a request came to be about anything; upstream's answer to it is no Status.
type internalError struct {
	uri string
	err error
}

func (e *internalError) Error() string {
	return auth.Sanitize(fmt.Sprintf("Internal Server Error: %q: %v", e.uri, e.err))
}

func timedOut(err error) error {
	return apierrors.NewTimeoutError("request did not complete within requested timeout - "+err.Error(), 0)
}

// apiError turns what the store says about t's object into what the client is told.
func apiError(err error, t *target, name string) error {
	var large *store.TooLargeError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return apierrors.NewNotFound(t.gr(), name)
	case errors.As(err, &large):
		timeout := apierrors.NewTimeoutError(
			fmt.Sprintf("Too large resource version: %d, current: %d", large.Asked, large.Current), 1)
		timeout.ErrStatus.Details.Causes = []metav1.StatusCause{{
			Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}}
		return timeout
	case errors.Is(err, store.ErrTooOld):
		return apierrors.NewResourceExpired("The resourceVersion for the provided list is too old.")
	}
	return err
}

// notServed is the answer to a path that nothing serves; upstream's is no Status.
func notServed(w http.ResponseWriter) { http.Error(w, "404 page not found", http.StatusNotFound) }

// refused is the answer to a patch that is well formed but cannot be applied.
func refused(err error) error {
	return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schemaNone, "", err.Error(), 0, false)
}

// compactJSON encodes v, which can always be encoded.
func compactJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
