package webhook

import (
	"context"
	"errors"
	"testing"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/apiserver/meter/metertest"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestCounts: what came of asking, as upstream tells it apart.
func TestCounts(t *testing.T) {
	ignore := admissionv1.Ignore
	strict, lax := &hook{}, &hook{}
	strict.Name, lax.Name, lax.FailurePolicy = "strict", "lax", &ignore
	a := &admission.Attributes{Operation: admission.Create}
	for _, c := range []struct {
		name            string
		h               *hook
		err             error
		cause, code     string // of the rejection, if there is one
		rejected, asked string
	}{
		{"yes", strict, nil, "", "", "false", "200"},
		{"no", strict, denial{refusal("strict", &metav1.Status{Code: 418})}, "no_error", "418", "true", "418"},
		{"odd code", strict, denial{refusal("strict", &metav1.Status{Code: 999})}, "no_error", "600", "true", "600"},
		{"down", strict, failed(strict, "refused"), "calling_webhook_error", "503", "true", "503"},
		{"not found", strict, failed(strict, "%w", apierrors.NewNotFound(gr("x"), "y")), "calling_webhook_error", "404", "true", "404"},
		{"fails open", lax, failed(lax, "refused"), "", "", "false", "503"},
		{"client gone", strict, failed(strict, "%w", context.Canceled), "", "", "true", "503"},
		{"own fault", strict, errors.New("bad patch"), "apiserver_internal_error", "0", "true", "0"},
	} {
		set := meter.New()
		newMetrics(set).asked("admit", c.h, a, c.err, time.Millisecond)
		require.Equal(t, map[string]float64{c.asked + " " + c.h.Name + " CREATE " + c.rejected + " admit": 1},
			metertest.Counted(t, set, "apiserver_admission_webhook_request_total"), c.name)
		want := map[string]float64{}
		if c.cause != "" {
			want[c.cause+" "+c.h.Name+" CREATE "+c.code+" admit"] = 1
		}
		require.Equal(t, want, metertest.Counted(t, set, "apiserver_admission_webhook_rejection_count"), c.name)
	}
}
