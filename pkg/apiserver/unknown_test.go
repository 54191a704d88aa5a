package apiserver

import (
	"context"
	"testing"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/store"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mute is a store that loses the answers to its commits.
type mute struct {
	store.API
	lost bool
}

func (m *mute) Commit(ctx context.Context, t store.Txn) ([]*store.Object, error) {
	made, err := m.API.Commit(ctx, t)
	if m.lost && err == nil {
		return nil, store.ErrUnknownOutcome
	}
	return made, err
}

// A write whose answer is lost is told as that, and not made again.
func TestUnknownOutcome(t *testing.T) {
	m := &mute{}
	c := start(t, func(cfg *Config) { m.API, cfg.Store = cfg.Store, m })
	c.do("POST /api/v1/namespaces/default/endpoints", `{"metadata":{"name":"a"},"subsets":[]}`)
	m.lost = true
	add := `[{"op":"add","path":"/subsets/-","value":{"addresses":[{"ip":"192.0.2.1"}],"ports":[{"port":1}]}}]`
	first := `[{"op":"add","path":"/subsets","value":[{"addresses":[{"ip":"192.0.2.2"}],"ports":[{"port":1}]}]}]`
	for _, patch := range []string{first, add} {
		resp, body := c.do("PATCH /api/v1/namespaces/default/endpoints/a", patch, "Content-Type: application/json-patch+json")
		require.Equal(t, 504, resp.StatusCode, body)
	}
	got, err := c.client.CoreV1().Endpoints("default").Get(t.Context(), "a", metav1.GetOptions{})
	require.NoError(t, err)
	require.Len(t, got.Subsets, 2)
	require.Equal(t, int32(504), c.status("DELETE /api/v1/namespaces/default/endpoints/a").Code)
}

// only lets "clerk" do one verb, and everybody else everything.
type only string

func (o only) Authorize(_ context.Context, r auth.Request) (auth.Decision, string, error) {
	if r.User.Name == "clerk" && r.Verb != string(o) {
		return auth.NoOpinion, "", nil
	}
	return auth.Allow, "", nil
}

// Some requests create although their verb is another: who may not create may not by them either.
func TestNoCreatingByTheBackDoor(t *testing.T) {
	lease := `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"a"}}`
	for verb, lines := range map[string][]string{
		"patch":  {"PATCH /apis/coordination.k8s.io/v1/namespaces/default/leases/a?fieldManager=m"},
		"update": {"PUT /apis/coordination.k8s.io/v1/namespaces/default/leases/a"},
		"get": {"GET /api/v1/namespaces/default/pods/a/exec?command=id", "GET /api/v1/namespaces/default/pods/a/attach",
			"GET /api/v1/namespaces/default/pods/a/portforward"},
	} {
		c := start(t, func(cfg *Config) { cfg.Authorizer = only(verb) })
		for _, line := range lines {
			contentType := "Content-Type: application/json"
			if verb == "patch" {
				contentType = "Content-Type: application/apply-patch+yaml"
			}
			resp, body := c.do(line, lease, contentType, "User-Name: clerk")
			require.Equal(t, 403, resp.StatusCode, "%s: %s", line, body)
			require.Contains(t, body, "cannot create resource")
		}
	}
}
