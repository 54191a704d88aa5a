package audit

import (
	"os"
	"path/filepath"
	"testing"

	"bonsai/pkg/apiserver/auth"

	"github.com/stretchr/testify/require"
)

func load(t *testing.T, rules string) (*Policy, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(path, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\n"+rules), 0o600))
	return LoadPolicy(path)
}

const policy = `
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: None, users: ["system:kube-proxy"], verbs: [watch], resources: [{resources: [endpoints, services]}]}
- {level: None, userGroups: ["system:nodes"], nonResourceURLs: [/healthz*, /version]}
- {level: Metadata, resources: [{resources: [secrets, configmaps, serviceaccounts/token]}]}
- {level: Request, verbs: [get], omitStages: [ResponseStarted], omitManagedFields: false, resources: [{resources: ["pods/*"]}]}
- {level: RequestResponse, namespaces: [prod], resources: [{group: apps}]}
- {level: Request, namespaces: [""]}
- {level: Request, resources: [{group: "*", resources: ["*/scale"]}]}
- {level: Metadata, resources: [{group: "", resources: [pods], resourceNames: [db]}]}
- {level: Metadata, nonResourceURLs: ["*"]}
`

func TestPolicy(t *testing.T) {
	p, err := load(t, policy)
	require.NoError(t, err)
	in := func(user, verb, group, resource, sub, namespace, name string) auth.Request {
		return auth.Request{User: auth.User{Name: user}, Verb: verb, IsResource: true, Group: group, Resource: resource, Subresource: sub, Namespace: namespace, Name: name}
	}
	for name, tc := range map[string]struct {
		r    auth.Request
		want string
	}{
		"proxy watches":           {in("system:kube-proxy", "watch", "", "services", "", "", ""), "None"},
		"proxy lists":             {in("system:kube-proxy", "list", "", "services", "", "ns", ""), "None"},
		"another watches":         {in("jane", "watch", "", "services", "", "ns", ""), "None"},
		"a secret":                {in("jane", "get", "", "secrets", "", "ns", "s"), "Metadata"},
		"a token":                 {in("jane", "create", "", "serviceaccounts", "token", "ns", "s"), "Metadata"},
		"an account":              {in("jane", "create", "", "serviceaccounts", "", "ns", "s"), "None"},
		"a log":                   {in("jane", "get", "", "pods", "log", "ns", "p"), "Request"},
		"pods themselves by star": {in("jane", "get", "", "pods", "", "ns", "p"), "Request"},
		"secrets of a group":      {in("jane", "get", "example.com", "secrets", "", "ns", "s"), "None"},
		"a group in a namespace":  {in("jane", "patch", "apps", "deployments", "status", "prod", "d"), "RequestResponse"},
		"cluster scope":           {in("jane", "list", "", "nodes", "", "", ""), "Request"},
		"scale of any":            {in("jane", "update", "example.com", "things", "scale", "ns", "t"), "Request"},
		"a pod by name":           {in("jane", "delete", "", "pods", "", "ns", "db"), "Metadata"},
		"another pod":             {in("jane", "delete", "", "pods", "", "ns", "web"), "None"},
		"a path":                  {auth.Request{Verb: "get", Path: "/healthz"}, "Metadata"},
		"a path for nodes": {auth.Request{Verb: "get", Path: "/healthz/etcd", User: auth.User{Groups: []string{"system:nodes"}}},
			"None"},
	} {
		require.Equal(t, tc.want, string(p.decide(tc.r).level), name)
	}
	d := p.decide(in("jane", "get", "", "pods", "log", "ns", "p"))
	require.False(t, d.omitManagedFields)
	require.True(t, d.omits("ResponseStarted") && d.omits("RequestReceived") && !d.omits("ResponseComplete"))
}

func TestBadPolicies(t *testing.T) {
	for rules, want := range map[string]string{
		"rules: []":                 "loaded illegal policy with 0 rules",
		"rules: [{level: Nothing}]": `rules[0].level: Unsupported value: "Nothing": supported values: "None", "Metadata", "Request", "RequestResponse"`,
		"rules: [{level: None, nonResourceURLs: [/a], namespaces: [b]}]": "rules cannot apply to both regular resources and non-resource URLs",
		"rules: [{level: None, user: [a]}]":                              `unknown field "rules[0].user"`,
	} {
		_, err := load(t, rules)
		require.ErrorContains(t, err, want)
	}
}

func TestWithoutManagedFields(t *testing.T) {
	for in, want := range map[string]string{
		`{"kind":"Pod","metadata":{"name":"a","managedFields":[{"x":1}]},"spec":{"n":12345678901234567890}}`: `{"kind":"Pod","metadata":{"name":"a"},"spec":{"n":12345678901234567890}}`,
		`{"items":[{"metadata":{"managedFields":[]}},{"metadata":{"name":"b"}}]}`:                            `{"items":[{"metadata":{}},{"metadata":{"name":"b"}}]}`,
		`{"rows":[{"cells":[1],"object":{"metadata":{"managedFields":[]}}}]}`:                                `{"rows":[{"cells":[1],"object":{"metadata":{}}}]}`,
		`[1,2]`: `[1,2]`,
	} {
		require.JSONEq(t, want, string(withoutManagedFields([]byte(in))))
	}
}
