package apiserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the store cannot do reaches the client with a code by which it can tell whether to try again.
func TestStatusOfStoreErrors(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   int32
		reason metav1.StatusReason
	}{
		{store.ErrUnknownOutcome, 504, metav1.StatusReasonTimeout},
		{fmt.Errorf("%w: %w", store.ErrUnknownOutcome, store.ErrClosed), 504, metav1.StatusReasonTimeout},
		{fmt.Errorf("list: %w", context.DeadlineExceeded), 504, metav1.StatusReasonTimeout},
		{fmt.Errorf("commit: %w", store.ErrRequestTooLarge), 413, metav1.StatusReasonRequestEntityTooLarge},
		{store.ErrClosed, 503, metav1.StatusReasonServiceUnavailable},
		{store.ErrNoSpace, 500, metav1.StatusReasonUnknown},
		{errors.New("something else"), 500, metav1.StatusReasonUnknown},
	} {
		status := statusOf(c.err)
		require.Equal(t, c.code, status.Code, "%v", c.err)
		require.Equal(t, c.reason, status.Reason, "%v", c.err)
		require.Contains(t, status.Message, c.err.Error(), "%v", c.err)
	}
}

// People read failures too: those who ask for it, who use curl, and who want what there is not, get them indented.
func TestFailuresThatPeopleRead(t *testing.T) {
	c := start(t)
	for name, test := range map[string]struct {
		query, header string
		indented      bool
	}{
		"a client":        {},
		"who asks for it": {query: "?pretty=true", indented: true},
		"who does not":    {query: "?pretty=false", header: "User-Agent: curl/8"},
		"curl":            {header: "User-Agent: curl/8", indented: true},
		"who wants words": {header: "Accept: text/plain", indented: true},
	} {
		t.Run(name, func(t *testing.T) {
			r, body := c.do("GET /api/v1/namespaces/default/configmaps/nope"+test.query, "", cmp.Or(test.header, "Accept: application/json"))
			require.GreaterOrEqual(t, r.StatusCode, 400)
			require.Equal(t, test.indented, strings.HasPrefix(body, "{\n  \"kind\": \"Status\","), body)
		})
	}
}
