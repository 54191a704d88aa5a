package apiserver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMouldedPods: pods of one template are answered, warned of and stored alike, whoever came first; what is wrong with a later one is
// found all the same.
func TestMouldedPods(t *testing.T) {
	c := start(t)
	pod := func(name, image string) string {
		return fmt.Sprintf(`{"metadata":{"name":%q,"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":%q,
"env":[{"name":"X","value":"1"},{"name":"X","value":"2"}]}]}}`, name, image)
	}
	post := func(name, image string) (*http.Response, string) {
		return c.do("POST /api/v1/namespaces/default/pods", pod(name, image))
	}
	var first string
	for i, name := range []string{"one", "two", "a-much-longer-name-than-the-others"} {
		resp, body := post(name, "i")
		require.Equal(t, 201, resp.StatusCode, body)
		require.Contains(t, resp.Header.Get("Warning"), "hides previous definition", "pod %d", i)
		_, read := c.do("GET /api/v1/namespaces/default/pods/"+name, "")
		require.Equal(t, body, read)
		body = plainPod(t, body, name)
		if first == "" {
			first = body
		}
		require.Equal(t, first, body)
	}
	resp, body := post("two", "i")
	require.Equal(t, 409, resp.StatusCode, body)
	resp, body = post("Two", "i")
	require.Equal(t, 422, resp.StatusCode, body)
	resp, body = post("three", "")
	require.Equal(t, 422, resp.StatusCode, body)
}

// plainPod takes out what is a pod's own.
func plainPod(t *testing.T, body, name string) string {
	body = strings.Replace(body, fmt.Sprintf(`"name":%q`, name), "NAME", 1)
	for _, field := range []string{`"resourceVersion":"`, `"uid":"`, `"creationTimestamp":"`, `"time":"`} {
		before, rest, found := strings.Cut(body, field)
		require.True(t, found, "%s in %s", field, body)
		_, after, _ := strings.Cut(rest, `"`)
		body = before + after
	}
	return body
}
