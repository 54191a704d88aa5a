package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// names recognises the tokens that are names of users.
type names map[string]error

func (n names) Recognise(_ context.Context, token string, audiences []string) (*Identity, error) {
	err, ok := n[token]
	if !ok || err != nil {
		return nil, err
	}
	return &Identity{User{Name: token}, audiences}, nil
}

func TestBearerAsksInTurn(t *testing.T) {
	b := &Bearer{Audiences: []string{"here"}, Recognisers: []Recogniser{
		names{"jane": nil, "old": errors.New("too old")}, names{"joe": nil, "old": errors.New("much too old")}}}
	for token, want := range map[string]string{
		"jane": "", "joe": "", "ghost": "invalid bearer token", "old": "[too old, much too old]",
	} {
		id, err := b.Recognise(t.Context(), token, nil)
		if want != "" {
			require.EqualError(t, err, want)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, &Identity{User{Name: token}, []string{"here"}}, id)
	}
}

func TestTokenOfWebSocket(t *testing.T) {
	encoded := "base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte("jane"))
	for name, tc := range map[string]struct {
		protocols []string
		user      string
		rest      []string
	}{
		"beside another":  {[]string{encoded + ", v5.channel.k8s.io"}, "jane", []string{"v5.channel.k8s.io"}},
		"in two headers":  {[]string{"v4.channel.k8s.io", encoded}, "jane", []string{"v4.channel.k8s.io"}},
		"alone":           {[]string{encoded}, "", nil},
		"twice":           {[]string{encoded, encoded, "x"}, "", nil},
		"not base64":      {[]string{"base64url.bearer.authorization.k8s.io.!, x"}, "", nil},
		"no token at all": {[]string{"v5.channel.k8s.io"}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Upgrade", "websocket")
			r.Header["Sec-Websocket-Protocol"] = tc.protocols
			u, ok, err := (&Bearer{Recognisers: []Recogniser{names{"jane": nil}}}).Authenticate(r)
			require.NoError(t, err)
			require.Equal(t, tc.user != "", ok)
			require.Equal(t, tc.user, u.Name)
			if ok {
				require.Equal(t, tc.rest, r.Header.Values("Sec-Websocket-Protocol"))
			}
		})
	}
}

// counting counts how often it is asked.
type counting struct {
	names
	asked int
}

func (c *counting) Recognise(ctx context.Context, token string, audiences []string) (*Identity, error) {
	c.asked++
	return c.names.Recognise(ctx, token, audiences)
}

func TestRememberedTokens(t *testing.T) {
	now, asked := start, &counting{names: names{"jane": nil}}
	r := remember(asked, func() time.Time { return now })
	for _, step := range []struct {
		token string
		ahead time.Duration
		asked int
	}{{"jane", 0, 1}, {"jane", 9 * time.Second, 1}, {"ghost", 0, 2}, {"ghost", 0, 3}, {"jane", time.Second, 4}} {
		now = now.Add(step.ahead)
		id, err := r.Recognise(t.Context(), step.token, []string{"here"})
		require.NoError(t, err)
		require.Equal(t, step.token == "jane", id != nil)
		require.Equal(t, step.asked, asked.asked)
	}
	_, err := r.Recognise(t.Context(), "jane", []string{"there"})
	require.NoError(t, err)
	require.Equal(t, 5, asked.asked, "what was good for one audience was taken to be for another")
}
