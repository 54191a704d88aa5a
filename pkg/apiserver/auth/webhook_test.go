package auth

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// service is a webhook's service: it notes what it is sent, and answers with answer, or not at all.
type service struct {
	answer string
	sent   []string
}

func (s *service) call(_ context.Context, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	s.sent = append(s.sent, string(b))
	if s.answer == "" {
		return errors.New("nobody there")
	}
	return json.Unmarshal([]byte(s.answer), out)
}

func TestTokenWebhook(t *testing.T) {
	for name, tc := range map[string]struct {
		answer string
		want   *Identity
		err    string
	}{
		"known": {`{"status":{"authenticated":true,"user":{"username":"jane","uid":"1","groups":["g"],"extra":{"k":["v"]}}}}`,
			&Identity{User{Name: "jane", UID: "1", Groups: []string{"g"}, Extra: map[string][]string{"k": {"v"}}}, []string{"here"}}, ""},
		"known for others": {`{"status":{"authenticated":true,"audiences":["there"],"user":{"username":"jane"}}}`, nil, ""},
		"unknown":          {`{"status":{"authenticated":false}}`, nil, ""},
		"bad":              {`{"status":{"error":"worn out"}}`, nil, "worn out"},
		"away":             {"", nil, "nobody there"},
	} {
		t.Run(name, func(t *testing.T) {
			now, s := start, &service{answer: tc.answer}
			w := NewTokenWebhook(s.call, "v1", []string{"here"}, 2*time.Minute, func() time.Time { return now })
			ask := func() {
				id, err := w.Recognise(t.Context(), "t", []string{"here", "there"})
				if tc.err != "" {
					require.EqualError(t, err, tc.err)
					return
				}
				require.NoError(t, err)
				if name == "known for others" {
					require.Equal(t, []string{"there"}, id.Audiences, "the service knows its audiences better")
					return
				}
				require.Equal(t, tc.want, id)
			}
			ask()
			require.JSONEq(t, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{"token":"t","audiences":["here","there"]},"status":{"user":{}}}`, s.sent[0])
			ask()
			now = now.Add(2 * time.Minute)
			ask()
			want := 2
			if tc.err != "" {
				want = 3 // no answer is never remembered
			}
			require.Len(t, s.sent, want)
		})
	}
}

func TestAccessWebhook(t *testing.T) {
	list := Request{User: User{Name: "jane", Groups: []string{"g"}}, Verb: "list", Version: "v1", Resource: "pods", Namespace: "shop", IsResource: true,
		FieldSelector: "spec.nodeName=oak,status.phase!=Failed", LabelSelector: "a in (b,c),!d"}
	for name, tc := range map[string]struct {
		answer   string
		decision Decision
		reason   string
		err      string
		ttl      time.Duration
	}{
		"allowed": {`{"status":{"allowed":true,"reason":"yes"}}`, Allow, "yes", "", 5 * time.Minute},
		"denied":  {`{"status":{"denied":true,"reason":"no"}}`, Deny, "no", "", 30 * time.Second},
		"neither": {`{"status":{"reason":"who knows"}}`, NoOpinion, "who knows", "", 30 * time.Second},
		"both":    {`{"status":{"allowed":true,"denied":true}}`, Deny, "", "webhook subject access review returned both allow and deny response", 5 * time.Minute},
		"away":    {"", NoOpinion, "", "nobody there", 0},
	} {
		t.Run(name, func(t *testing.T) {
			now, s := start, &service{answer: tc.answer}
			w := NewAccessWebhook(s.call, "v1", 5*time.Minute, 30*time.Second, func() time.Time { return now })
			for _, ahead := range []time.Duration{0, tc.ttl - 1, 1} {
				now = now.Add(max(ahead, 0))
				d, reason, err := w.Authorize(t.Context(), list)
				require.Equal(t, tc.decision, d)
				require.Equal(t, tc.reason, reason)
				if tc.err != "" {
					require.EqualError(t, err, tc.err)
				} else {
					require.NoError(t, err)
				}
			}
			want := 2
			if tc.answer == "" {
				want = 3
			}
			require.Len(t, s.sent, want)
			require.JSONEq(t, `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","metadata":{},"spec":{"user":"jane","groups":["g"],
				"resourceAttributes":{"namespace":"shop","verb":"list","version":"v1","resource":"pods",
					"fieldSelector":{"requirements":[{"key":"spec.nodeName","operator":"In","values":["oak"]},{"key":"status.phase","operator":"NotIn","values":["Failed"]}]},
					"labelSelector":{"requirements":[{"key":"a","operator":"In","values":["b","c"]},{"key":"d","operator":"DoesNotExist"}]}}},
				"status":{"allowed":false}}`, s.sent[0])
		})
	}
	s := &service{answer: `{"status":{"allowed":true}}`}
	d, _, err := NewAccessWebhook(s.call, "v1beta1", 0, 0, time.Now).Authorize(t.Context(), Request{User: User{Name: "jane", Groups: []string{"g"}}, Verb: "get", Path: "/x"})
	require.NoError(t, err)
	require.Equal(t, Allow, d)
	require.JSONEq(t, `{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1beta1","metadata":{},
		"spec":{"user":"jane","group":["g"],"nonResourceAttributes":{"path":"/x","verb":"get"}},"status":{"allowed":false}}`, s.sent[0])
}

func TestTokenFile(t *testing.T) {
	read := func(text string) (Recogniser, error) {
		path := filepath.Join(t.TempDir(), "tokens.csv")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return NewTokenFile(path, []string{"here"})
	}
	r, err := read("t1,jane,1,\"a,b\"\nt2,joe,2\n")
	require.NoError(t, err)
	for token, want := range map[string]*User{"t1": {Name: "jane", UID: "1", Groups: []string{"a", "b"}}, "t2": {Name: "joe", UID: "2"}, "t3": nil, "": nil} {
		id, err := r.Recognise(t.Context(), token, []string{"here"})
		require.NoError(t, err)
		if want == nil {
			require.Nil(t, id)
			continue
		}
		require.Equal(t, *want, id.User)
	}
	_, err = read("t1,jane\n")
	require.ErrorContains(t, err, "a line must have at least 3 columns (token, user name, user uid), found 2")
	_, err = read(",jane,1\n")
	require.ErrorContains(t, err, "empty token")
}
