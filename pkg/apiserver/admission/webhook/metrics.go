package webhook

import (
	"context"
	"errors"
	"strconv"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// metrics are upstream's counts of what came of asking. Each is of a type: admit or validating.
type metrics struct {
	duration                    *prometheus.HistogramVec
	requests, rejections, opens *prometheus.CounterVec
}

func newMetrics(set *meter.Set) *metrics {
	if set == nil {
		set = meter.New() // which nobody reads
	}
	const prefix = "apiserver_admission_webhook_"
	return &metrics{
		duration: set.Classic(prefix+"admission_duration_seconds", "Time that webhooks took.",
			[]float64{.005, .025, .1, .5, 1, 2.5, 10, 25}, "name", "type", "operation", "rejected"),
		requests: set.Counter(prefix+"request_total", "Requests that webhooks were asked about, by the code of their answer.",
			"name", "type", "operation", "code", "rejected"),
		rejections: set.Counter(prefix+"rejection_count", "Requests refused by webhooks, or because of them.",
			"name", "type", "operation", "error_type", "rejection_code"),
		opens: set.Counter(prefix+"fail_open_count", "Requests that went on though a webhook could not be asked.", "name", "type"),
	}
}

// denial marks an error as a webhook's own no, until it is counted.
type denial struct{ *apierrors.StatusError }

// asked counts that h was asked, and what came of it.
func (m *metrics) asked(kind string, h *hook, a *admission.Attributes, err error, took time.Duration) {
	operation, cause, code, rejected := string(a.Operation), "", 200, err != nil
	var call *callError
	var no denial
	switch {
	case err == nil:
	case errors.As(err, &call):
		cause, code, rejected = "calling_webhook_error", call.code(), !h.failsOpen()
	case errors.As(err, &no):
		cause, code = "no_error", int(no.ErrStatus.Code)
	default:
		cause, code = "apiserver_internal_error", 0
	}
	code = min(code, 600)
	if rejected && (call == nil || !errors.Is(call.reason, context.Canceled)) {
		m.rejections.WithLabelValues(h.Name, kind, operation, cause, strconv.Itoa(code)).Inc()
	}
	m.requests.WithLabelValues(h.Name, kind, operation, strconv.Itoa(code), strconv.FormatBool(rejected)).Inc()
	m.duration.WithLabelValues(h.Name, kind, operation, strconv.FormatBool(rejected)).Observe(took.Seconds())
}

// opened counts that a request goes on without h.
func (m *metrics) opened(kind string, h *hook) { m.opens.WithLabelValues(h.Name, kind).Inc() }

// code is the one that the webhook's server answered with; 503 if it did not answer well: the service is not there.
func (e *callError) code() int {
	if code := codeOf(e.reason); code != 0 {
		return code
	}
	return 503
}

func codeOf(err error) int {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return int(status.Status().Code)
	}
	return 0
}
