package authorization

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/meter"
)

// only allows one verb.
type only string

func (o only) Authorize(_ context.Context, r auth.Request) (auth.Decision, string, error) {
	if r.Verb == string(o) {
		return auth.Allow, string(o) + " is allowed", nil
	}
	return auth.NoOpinion, "not by " + string(o), nil
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authz.yaml")
	require.NoError(t, os.WriteFile(path, []byte("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n"+text), 0o600))
	return path
}

func chain(f Flags) (*Chain, error) {
	return New(f, only("get"), only("list"), NewMetrics(meter.New(), "me"), slog.New(slog.DiscardHandler))
}

func TestFlags(t *testing.T) {
	for name, tc := range map[string]struct {
		flags Flags
		want  string // the answer to "watch"
		err   string
	}{
		"default":    {want: "node: not by get\nrbac: not by list"},
		"order":      {flags: Flags{Modes: []string{"RBAC", "Node"}}, want: "rbac: not by list\nnode: not by get"},
		"one":        {flags: Flags{Modes: []string{"RBAC", "AlwaysDeny"}}, want: "rbac: not by list\nalwaysdeny: Everything is forbidden."},
		"unknown":    {flags: Flags{Modes: []string{"Rbac"}}, err: `authorization-mode "Rbac" is not a valid mode`},
		"twice":      {flags: Flags{Modes: []string{"RBAC", "RBAC"}}, err: `authorization-mode ["RBAC" "RBAC"] has mode specified more than once`},
		"no service": {flags: Flags{Modes: []string{"Webhook"}, WebhookVersion: "v1"}, err: "authorization-mode Webhook's authorization config file not passed"},
		"no mode":    {flags: Flags{Modes: []string{"RBAC"}, WebhookKubeconfig: "x"}, err: "cannot specify --authorization-webhook-config-file without mode Webhook"},
		"both": {flags: Flags{ConfigFile: "x", Alone: func() bool { return false }},
			err: "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := chain(tc.flags)
			if tc.err != "" {
				require.EqualError(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			d, reason, err := c.Authorize(t.Context(), auth.Request{Verb: "watch"})
			require.NoError(t, err)
			require.Equal(t, auth.NoOpinion, d)
			require.Equal(t, tc.want, reason)
			d, _, _ = c.Authorize(t.Context(), auth.Request{Verb: "watch", User: auth.User{Groups: []string{auth.Superusers}}})
			require.Equal(t, auth.Allow, d, "whatever is configured")
		})
	}
}

func TestBadFiles(t *testing.T) {
	hook := func(more string) string {
		return "authorizers: [{type: Webhook, name: a, webhook: {timeout: 3s, authorizedTTL: 1s, unauthorizedTTL: 1s, failurePolicy: Deny, " +
			"subjectAccessReviewVersion: v1, connectionInfo: {type: KubeConfigFile, kubeConfigFile: /does/not/exist}" + more + "}}]"
	}
	for text, want := range map[string]string{
		"authorizers: []":                                                "authorizers: Required value: at least one authorization mode must be defined",
		"authorizers: [{type: ABAC, name: abac}]":                        `authorizers[0].type: Unsupported value: "ABAC": supported values: "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"`,
		"authorizers: [{type: RBAC, name: mine}]":                        "expected name rbac for authorizer RBAC instead of mine",
		"authorizers: [{type: RBAC, name: rbac}, {type: RBAC, name: b}]": `authorizers[1].type: Duplicate value: "RBAC"`,
		"authorizers: [{type: Webhook, name: w}]":                        "authorizers[0].webhook: Required value: required when type=Webhook",
		"authorisers: []":                                                `unknown field "authorisers"`,
		hook(""):                                                         `kubeConfigFile: Invalid value: "/does/not/exist"`,
		hook(`, matchConditionSubjectAccessReviewVersion: v1, matchConditions: [{expression: "request.user"}]`): "must evaluate to bool",
	} {
		_, err := chain(Flags{ConfigFile: file(t, text)})
		require.ErrorContains(t, err, want)
	}
}

// A service is asked about what matches; whether its silence refuses is said in the file.
func TestWebhook(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if json.NewDecoder(r.Body).Decode(&review) != nil || review.Spec.User == "mute" {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		review.Status = authorizationv1.SubjectAccessReviewStatus{Denied: review.Spec.User == "eve", Reason: "I am asked"}
		_ = json.NewEncoder(w).Encode(review) // fails if the test has ended
	}))
	t.Cleanup(service.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, fmt.Appendf(nil,
		`{"clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}`, service.URL), 0o600))
	webhook := func(name, policy, condition string) string {
		return fmt.Sprintf(`
- type: Webhook
  name: %s
  webhook:
    {timeout: 3s, authorizedTTL: 1m, unauthorizedTTL: 1m, failurePolicy: %s, subjectAccessReviewVersion: v1, matchConditionSubjectAccessReviewVersion: v1,
     connectionInfo: {type: KubeConfigFile, kubeConfigFile: %s}, matchConditions: [{expression: '%s'}]}`, name, policy, kubeconfig, condition)
	}
	set := meter.New()
	m := NewMetrics(set, "me")
	c, err := New(Flags{ConfigFile: file(t, "authorizers:"+
		webhook("first", "Deny", `has(request.resourceAttributes) && request.resourceAttributes.namespace == "kube-system"`)+
		webhook("second", "NoOpinion", `request.user in ["eve", "mute"]`)+"\n- {type: RBAC, name: rbac}\n")},
		only("get"), only("list"), m, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, tc := range []struct {
		user, namespace string
		decision        auth.Decision
		reason, err     string
	}{
		{"jane", "shop", auth.Allow, "list is allowed", ""},
		{"jane", "kube-system", auth.Allow, "list is allowed", ""},
		{"eve", "shop", auth.Deny, "I am asked", ""},
		{"mute", "shop", auth.Allow, "list is allowed", ""},
		{"mute", "kube-system", auth.Deny, "", "answers 400 Bad Request"},
	} {
		d, reason, err := c.Authorize(t.Context(), auth.Request{User: auth.User{Name: tc.user}, IsResource: true, Verb: "list", Resource: "pods", Namespace: tc.namespace})
		require.Equal(t, tc.decision, d, tc)
		require.Equal(t, tc.reason, reason, tc)
		if tc.err != "" {
			require.ErrorContains(t, err, tc.err)
		}
	}
	require.Equal(t, 3.0, value(t, m.exclusion.WithLabelValues("Webhook", "first")))
	require.Equal(t, 1.0, value(t, m.decisions.WithLabelValues("Webhook", "second", "denied")))
	require.Equal(t, 1.0, value(t, m.openings.WithLabelValues("second", "error")))
	_, incomplete, err := c.RulesFor(auth.User{}, "shop")
	require.True(t, incomplete)
	require.EqualError(t, err, "webhook authorizer does not support user rule resolution")
}

// A new file holds at once, unless it is bad.
func TestReload(t *testing.T) {
	path := file(t, "authorizers: [{type: RBAC, name: rbac}, {type: AlwaysDeny, name: alwaysdeny}]")
	c, err := chain(Flags{ConfigFile: path})
	require.NoError(t, err)
	for _, tc := range []struct {
		text, err string
		changed   bool
		want      string
	}{
		{"authorizers: [{type: AlwaysDeny, name: alwaysdeny}, {type: RBAC, name: rbac}]", "", true, "alwaysdeny: Everything is forbidden.\nrbac: not by list"},
		{"authorizers: [{type: AlwaysDeny, name: alwaysdeny}]", "missing required types: [RBAC]", false, "alwaysdeny: Everything is forbidden.\nrbac: not by list"},
		{"# as it was\nauthorizers: [{type: AlwaysDeny, name: alwaysdeny}, {type: RBAC, name: rbac}]", "", false, "alwaysdeny: Everything is forbidden.\nrbac: not by list"},
		{"authorizers: [{type: Node, name: node}, {type: AlwaysDeny, name: alwaysdeny}, {type: RBAC, name: rbac}]",
			"authorizer type Node is not allowed if it was not enabled at initial server startup", false, "alwaysdeny: Everything is forbidden.\nrbac: not by list"},
	} {
		changed, err := c.use(t.Context(), []byte("apiVersion: apiserver.config.k8s.io/v1beta1\nkind: AuthorizationConfiguration\n"+tc.text))
		require.Equal(t, tc.changed, changed, tc.text)
		if tc.err != "" {
			require.EqualError(t, err, tc.err)
		} else {
			require.NoError(t, err)
		}
		_, reason, _ := c.Authorize(t.Context(), auth.Request{Verb: "watch"})
		require.Equal(t, tc.want, reason)
	}
}

func value(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	require.NoError(t, r.Register(c))
	families, err := r.Gather()
	require.NoError(t, err)
	return families[0].GetMetric()[0].GetCounter().GetValue()
}
