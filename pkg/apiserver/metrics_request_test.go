package apiserver

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var requestLine = regexp.MustCompile(`(?m)^apiserver_request_total\{(.*)\} (\d+)$`)

// counted are the labels of the requests that /metrics counts, those that are empty and the server's own name left out.
func counted(c *cluster) []string {
	_, body := c.do("GET /metrics", "")
	var out []string
	for _, m := range requestLine.FindAllStringSubmatch(body, -1) {
		labels := slices.DeleteFunc(strings.Split(m[1], ","), func(l string) bool { return strings.HasSuffix(l, `=""`) })
		out = append(out, strings.NewReplacer(`"`, "", "code=", "", "verb=", "").Replace(strings.Join(labels, " ")+" × "+m[2]))
	}
	return out
}

// TestRequestsAreCounted: by which labels a request counts, if it does.
func TestRequestsAreCounted(t *testing.T) {
	const maps, object = "/api/v1/namespaces/default/configmaps", `{"metadata":{"name":"a"}}`
	const apply = "Content-Type: application/apply-patch+yaml"
	for _, test := range []struct {
		request, body string
		headers       []string
		want          string
	}{
		{request: "GET " + maps + "/a", want: "404 component=apiserver resource=configmaps scope=resource GET version=v1 × 1"},
		{request: "GET " + maps, want: "200 component=apiserver resource=configmaps scope=namespace LIST version=v1 × 1"},
		{request: "GET /api/v1/configmaps", want: "200 component=apiserver resource=configmaps scope=cluster LIST version=v1 × 1"},
		{request: "GET " + maps + "?fieldSelector=metadata.name%3Da", want: "200 component=apiserver resource=configmaps scope=namespace LIST version=v1 × 1"},
		{request: "GET " + maps + "?watch=true&timeoutSeconds=1", want: "200 component=apiserver resource=configmaps scope=namespace WATCH version=v1 × 1"},
		{request: "POST " + maps, body: object, want: "201 component=apiserver resource=configmaps scope=resource POST version=v1 × 1"},
		{request: "POST " + maps + "?dryRun=All", body: object, want: "201 component=apiserver dry_run=All resource=configmaps scope=resource POST version=v1 × 1"},
		{request: "POST " + maps + "?dryRun=Some", body: object, want: "422 component=apiserver dry_run=invalid resource=configmaps scope=resource POST version=v1 × 1"},
		{request: "PATCH " + maps + "/a?fieldManager=me", body: "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", headers: []string{apply},
			want: "201 component=apiserver resource=configmaps scope=resource APPLY version=v1 × 1"},
		{request: "PATCH " + maps + "/a", body: "{}", headers: []string{"Content-Type: application/merge-patch+json"},
			want: "404 component=apiserver resource=configmaps scope=resource PATCH version=v1 × 1"},
		{request: "DELETE " + maps, want: "200 component=apiserver resource=configmaps scope=namespace DELETE version=v1 × 1"},
		{request: "GET /api/v1/namespaces/default/pods/a/log", want: "503 component=apiserver resource=pods scope=resource subresource=log CONNECT version=v1 × 1"},
		{request: "GET /apis/apps/v1/namespaces/default/deployments/a/scale",
			want: "404 component=apiserver group=apps resource=deployments scope=resource subresource=scale GET version=v1 × 1"},
		{request: "GET /readyz", want: "200 subresource=/readyz GET × 1"},
		{request: "HEAD /readyz", want: "200 subresource=/readyz GET × 1"},
		{request: "GET /openapi/v3", want: "200 subresource=openapi/v3 GET × 1"},
		{request: "GET /openapi/v3/api/v1", want: "200 subresource=openapi/v3/ GET × 1"},
		{request: "GET /apis", headers: []string{"Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"},
			want: "200 component=apiserver subresource=apis GET × 1"},
		{request: "GET /statusz", want: "200 component=apiserver resource=statusz GET × 1"},
		// What has come to nothing that is served counts elsewhere.
		{request: "GET /apis"},
		{request: "GET /version"},
		{request: "GET /nonsense"},
		{request: "GET /readyz/ping"},
		{request: "GET /api/v1/namespaces/default/nonsense"},
		{request: "GET " + maps + "/a/nonsense"},
		{request: "PUT " + maps, body: object},
	} {
		t.Run(test.request, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			c.do(test.request, test.body, test.headers...)
			got := counted(c)
			if test.want == "" {
				require.Empty(t, got)
				return
			}
			require.Equal(t, []string{test.want}, got)
		})
	}
}

// TestSizesAreOfWhatIsRead: answers to writes have no size worth knowing; streams and watches have a time like all others.
func TestSizesAreOfWhatIsRead(t *testing.T) {
	c := start(t)
	c.do("POST /api/v1/namespaces/default/configmaps", `{"metadata":{"name":"a"}}`)
	c.do("GET /api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=1", "")
	_, body := c.do("GET /metrics", "")
	require.Regexp(t, `apiserver_request_duration_seconds_count\{.*verb="POST".*\} 1`, body)
	require.NotRegexp(t, `apiserver_response_sizes_count\{.*verb="POST"`, body)
	require.Regexp(t, `apiserver_request_duration_seconds_count\{.*verb="WATCH".*\} 1`, body)
	require.Regexp(t, `apiserver_response_sizes_count\{.*verb="WATCH".*\} 1`, body)
	for _, step := range []string{"authentication", "constrainedimpersonation", "priorityandfairness", "authorization"} {
		require.Contains(t, body, `apiserver_request_filter_duration_seconds_count{filter="`+step+`"} 3`)
	}
	require.Contains(t, body, `apiserver_request_filter_duration_seconds_count{filter="audit"} 0`, "there is no policy")
}
