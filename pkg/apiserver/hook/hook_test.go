package hook

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/wait"
)

// client calls a service that answers with the given codes, one after the other, the last again and again.
func client(t *testing.T, codes ...int) (c *Client, asked *int) {
	t.Helper()
	asked = new(int)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || string(body) != `{"n":1}` {
			t.Errorf("asked by %s %s: %s, %v", r.Method, r.Header.Get("Content-Type"), body, err)
		}
		w.WriteHeader(codes[min(*asked, len(codes)-1)])
		*asked++
		_, _ = io.WriteString(w, `{"n":2}`)
	}))
	t.Cleanup(s.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": []any{map[string]any{"name": "s", "cluster": map[string]any{"server": s.URL + "/ask"}}},
		"contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "s"}}}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	c, err = New(path)
	require.NoError(t, err)
	c.retry = wait.Backoff{Duration: time.Microsecond, Steps: 5}
	return c, asked
}

func TestCall(t *testing.T) {
	for name, tc := range map[string]struct {
		codes []int
		asked int
		err   string
	}{
		"an answer":          {[]int{200}, 1, ""},
		"another answer":     {[]int{201}, 1, ""},
		"busy for a while":   {[]int{503, 429, 200}, 3, ""},
		"broken for long":    {[]int{500}, 5, "answers 500 Internal Server Error"},
		"refused is refused": {[]int{403, 200}, 1, "answers 403 Forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			c, asked := client(t, tc.codes...)
			var out struct{ N int }
			err := c.Call(t.Context(), map[string]int{"n": 1}, &out)
			require.Equal(t, tc.asked, *asked)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 2, out.N)
		})
	}
	c, asked := client(t, 503)
	c.retry.Duration = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, c.Call(ctx, map[string]int{"n": 1}, nil), "503")
	require.Equal(t, 1, *asked, "the caller's time is over before the next try")
	_, err := New(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
