package apiserver

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is laid out for people ends without a newline, everything else in JSON with one; who accepts nothing that a Status could be is taken
// for one of them.
func TestPretty(t *testing.T) {
	c := start(t)
	const path = "/api/v1/namespaces/default/configmaps"
	for _, tc := range []struct {
		line, header string
		pretty       bool
	}{
		{"GET " + path, "User-Agent: curl/8", true},
		{"GET " + path + "?pretty=false", "User-Agent: curl/8", false},
		{"GET " + path + "?pretty", "User-Agent: Go", false},
		{"GET " + path + "?pretty=yes", "User-Agent: curl/8", false},
		{"GET " + path + "?pretty=1", "User-Agent: Go", true},
		{"GET " + path, "Accept: application/json;pretty=1", true},
		{"GET " + path + "/none", "User-Agent: Wget/1", true},
		{"GET " + path + "/none", "Accept: application/json", false},
		{"GET " + path, "Accept: text/html", true},
		{"GET /apis", "Accept: text/html", true},
	} {
		_, body := c.do(tc.line, "", tc.header)
		require.Equal(t, tc.pretty, strings.HasPrefix(body, "{\n  \"kind\""), "%s, %s: %s", tc.line, tc.header, body)
		require.Equal(t, !tc.pretty, strings.HasSuffix(body, "\n"), "%s, %s: %s", tc.line, tc.header, body)
	}
}
