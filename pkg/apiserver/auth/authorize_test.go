package auth

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"

	"bonsai/pkg/golden"
)

// TestAuthorize holds the transcript: each question with the answer below it.
func TestAuthorize(t *testing.T) {
	const file = "testdata/authorize.txt"
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	a := Default(cluster())
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "\t") {
			continue
		}
		out.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r := parseRequest(t, line)
		d, reason, err := a.Authorize(context.Background(), r)
		require.NoError(t, err)
		if d == Allow {
			out.WriteString(strings.TrimRight("\tyes "+reason, " "))
		} else {
			out.WriteString("\tno  " + Forbidden(r, reason).ErrStatus.Message)
		}
		out.WriteString("\n")
	}
	golden.Equal(t, file, out.String())
}

func parseRequest(t *testing.T, line string) Request {
	t.Helper()
	f := strings.Fields(line)
	name, group, hasGroup := strings.Cut(f[0], "+")
	r := Request{User: User{Name: name}, Verb: f[1]}
	if hasGroup {
		r.User.Groups = []string{group}
	}
	if strings.HasPrefix(f[2], "/") {
		r.Path = f[2]
		return r
	}
	r.IsResource = true
	what, sub, _ := strings.Cut(f[2], "/")
	r.Resource, r.Group, _ = strings.Cut(what, ".")
	r.Subresource = sub
	namespace, object, ok := strings.Cut(f[3], "/")
	require.True(t, ok, line)
	r.Namespace, r.Name = strings.Trim(namespace, "-"), strings.Trim(object, "-")
	if len(f) > 4 {
		r.FieldSelector = f[4]
	}
	return r
}

// Rules come in forms that the nodes do not use.
func TestRules(t *testing.T) {
	pod := Request{Verb: "get", Resource: "pods", Name: "web", IsResource: true}
	log, scale := pod, Request{Verb: "update", Group: "apps", Resource: "deployments", Subresource: "scale", IsResource: true}
	log.Subresource = "log"
	for name, tc := range map[string]struct {
		rule string
		name []string
		r    Request
		want bool
	}{
		"exact":                           {"get|core|pods", nil, pod, true},
		"a resource is not its parts":     {"get|core|pods", nil, log, false},
		"nor the parts the resource":      {"get|core|pods/log", nil, pod, false},
		"the part":                        {"get|core|pods/log", nil, log, true},
		"a part of everything":            {"update|*|*/scale", nil, scale, true},
		"another part of everything":      {"update|*|*/status", nil, scale, false},
		"everything":                      {"*|*|*", nil, log, true},
		"another group":                   {"get|apps|pods", nil, pod, false},
		"by name":                         {"get|core|pods", []string{"db", "web"}, pod, true},
		"another name":                    {"get|core|pods", []string{"db"}, pod, false},
		"resources say nothing of a path": {"*|*|*", nil, Request{Verb: "get", Path: "/metrics"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := strings.Split(strings.ReplaceAll(tc.rule, "core", ""), "|")
			rule := rbacv1.PolicyRule{Verbs: f[:1], APIGroups: f[1:2], Resources: f[2:], ResourceNames: tc.name}
			require.Equal(t, tc.want, covers(rule, tc.r))
		})
	}
}
