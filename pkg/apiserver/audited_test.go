package apiserver

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/audit"
	"bonsai/pkg/apiserver/auth"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// eventLog keeps events as lines, by the audit id that their request was given.
type eventLog struct {
	mu    sync.Mutex
	lines map[string][]string
	done  chan string
}

func (l *eventLog) Process(_ context.Context, events []*auditv1.Event) error {
	for _, e := range events {
		l.keep(e)
	}
	return nil
}

func (l *eventLog) keep(e *auditv1.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, err := json.Marshal(e)
	if err != nil {
		b = []byte(err.Error())
	}
	id := string(e.AuditID)
	l.lines[id] = append(l.lines[id], string(b))
	if e.Stage == auditv1.StageResponseComplete || e.Stage == auditv1.StagePanic || e.ResponseStatus != nil && e.ResponseStatus.Code == http.StatusUnauthorized {
		l.done <- id
	}
}

// looks returns a clock that goes on by a microsecond with each look at it, and by what is added to it: how long things take is not a
// matter of the machine.
func looks() (now func() time.Time, add func(time.Duration)) {
	began, late := time.Now(), &atomic.Int64{}
	return func() time.Time { return began.Add(time.Duration(late.Add(int64(time.Microsecond)))) }, func(d time.Duration) { late.Add(int64(d)) }
}

func audited(t *testing.T, policy string, change ...func(*Config)) (*cluster, *eventLog) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(path, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\n"+policy), 0o600))
	p, err := audit.LoadPolicy(path)
	require.NoError(t, err)
	l := &eventLog{lines: map[string][]string{}, done: make(chan string, 100)}
	change = append(change, func(c *Config) {
		if c.Now == nil {
			c.Now, _ = looks()
		}
		sink, err := audit.NewSink("log", l, audit.Delivery{Mode: audit.Blocking, MaxEvent: 1, MaxBatch: 1}, c.Logger, nil)
		require.NoError(t, err)
		c.Audit = &audit.Auditor{Policy: p, Sinks: []*audit.Sink{sink}, Now: time.Now, Logger: c.Logger}
	})
	return start(t, change...), l
}

var changing = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[0-9:.]+Z"|"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}"|"resourceVersion":"\d+"`)

// TestAuditLog compares the events of requests with testdata/audit.txt.
func TestAuditLog(t *testing.T) {
	c, l := audited(t, `
rules:
- {level: None, users: [mouse], verbs: [list]}
- {level: Metadata, resources: [{resources: [secrets]}]}
- {level: RequestResponse, omitStages: [RequestReceived], omitManagedFields: true, resources: [{resources: [configmaps]}]}
- {level: Request, resources: [{group: "*"}]}
- {level: Metadata, nonResourceURLs: [/version]}
- {level: RequestResponse, users: [""], omitStages: [RequestReceived]}
`)
	const configMaps = "/api/v1/namespaces/default/configmaps"
	json := "Content-Type: application/json"
	var out strings.Builder
	for i, r := range []struct {
		line, body string
		headers    []string
	}{
		{line: "POST " + configMaps, body: `{"metadata":{"name":"m"},"data":{"a":"b"}}`, headers: []string{json}},
		{line: "GET " + configMaps + "/m", headers: []string{"Accept: application/vnd.kubernetes.protobuf"}},
		{line: "GET " + configMaps + "?limit=1", headers: []string{"Accept: application/vnd.kubernetes.protobuf"}},
		{line: "GET " + configMaps, headers: []string{"Accept: application/json;as=Table;v=v1;g=meta.k8s.io", "User-Agent: kubectl/v1.37"}},
		{line: "PATCH " + configMaps + "/m?fieldManager=t", body: "data: {c: d}\nkind: ConfigMap\napiVersion: v1\n",
			headers: []string{"Content-Type: application/apply-patch+yaml", "X-Forwarded-For: 192.0.2.9"}},
		{line: "GET " + configMaps + "/none"},
		{line: "GET " + configMaps + "?watch=1&timeoutSeconds=1"},
		{line: "DELETE " + configMaps + "/m", body: `{"gracePeriodSeconds":0}`, headers: []string{json}},
		{line: "POST /api/v1/namespaces/default/secrets", body: `{"metadata":{"name":"s"},"stringData":{"a":"b"}}`, headers: []string{json}},
		{line: "GET /api/v1/namespaces/default/secrets/s", headers: []string{"User-Name: mouse"}},
		{line: "GET /api/v1/namespaces/default/secrets", headers: []string{"User-Name: nobody", "Authorization: Bearer x"}},
		{line: "GET /api/v1/nodes/n", headers: []string{"User-Name: jane", "Impersonate-User: joe", "Impersonate-Group: devs"}},
		{line: "POST /apis/apps/v1/namespaces/default/deployments", body: `{"bad":`, headers: []string{json}},
		{line: "GET /version"},
		{line: "GET /api/v1/namespaces/default/endpoints"},
	} {
		id := strings.Repeat("0", 3) + string(rune('a'+i))
		resp, _ := c.do(r.line, r.body, append(r.headers, "Audit-ID: "+id)...)
		require.Equal(t, id, resp.Header.Get("Audit-Id"))
		require.Equal(t, id, <-l.done)
		l.mu.Lock()
		out.WriteString("> " + r.line + "\n")
		for _, line := range l.lines[id] {
			line = changing.ReplaceAllString(line, `"*"`)
			out.WriteString(regexp.MustCompile(`resourceVersion=\d+|127\.0\.0\.1:\d+`).ReplaceAllString(line, "*") + "\n")
		}
		l.mu.Unlock()
		out.WriteString("\n")
	}
	c.do("GET "+configMaps, "", "User-Name: mouse", "Audit-ID: mouse")
	c.do("GET /healthz", "", "Audit-ID: health")
	require.Empty(t, l.lines["mouse"])
	require.Empty(t, l.lines["health"])
	const file = "testdata/audit.log"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(out.String()), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Error(diff)
	}
}

// remarks is an admission plugin that has something to say about config maps.
type remarks struct{}

func (remarks) Name() string { return "Remarks" }

func (remarks) Admit(_ context.Context, a *admission.Attributes) error {
	if a.Row.Kind == "ConfigMap" {
		a.Annotate("example.com/seen", "yes")
		a.Annotate(admission.PatchAnnotation+"round_0_index_0", "what was changed")
	}
	return nil
}

func (remarks) Validate(context.Context, *admission.Attributes) error { return nil }

// What admission has to say is in the log, and what it has changed where the object itself is.
func TestAdmissionInAuditLog(t *testing.T) {
	c, l := audited(t, `
rules:
- {level: Metadata, verbs: [create]}
- {level: Request, verbs: [update]}
- {level: None}
`, func(c *Config) { c.Admission = append(c.Admission, remarks{}) })
	const m = `{"metadata":{"name":"m"}}`
	c.do("POST /api/v1/namespaces/default/configmaps", m, "Audit-ID: made")
	c.do("PUT /api/v1/namespaces/default/configmaps/m", m, "Audit-ID: changed")
	for _, id := range []string{"made", "changed"} {
		require.Equal(t, id, <-l.done)
		l.mu.Lock()
		last := l.lines[id][len(l.lines[id])-1]
		l.mu.Unlock()
		require.Contains(t, last, `"example.com/seen":"yes"`)
		require.Equal(t, id == "changed", strings.Contains(last, "what was changed"))
	}
}

// Documents of discovery are recorded as answers, as objects are, whatever form the client has got them in.
func TestDiscoveryInAuditLog(t *testing.T) {
	c, l := audited(t, "rules: [{level: RequestResponse, users: [admin]}, {level: None}]")
	for _, test := range []struct{ path, accept, want string }{
		{"/api", "", `"responseObject":{"kind":"APIVersions",`},
		{"/apis", "application/yaml", `"responseObject":{"kind":"APIGroupList","apiVersion":"v1","groups":[`},
		{"/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", `"responseObject":{"kind":"APIGroupDiscoveryList",`},
		{"/apis/apps", "", `"responseObject":{"kind":"APIGroup","apiVersion":"v1","name":"apps",`},
		{"/apis/apps/v1", "application/vnd.kubernetes.protobuf", `"responseObject":{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"apps/v1",`},
		{"/openapi/v3", "", ""},
	} {
		c.do("GET "+test.path, "", "Accept: "+test.accept, "Audit-ID: asked")
		require.Equal(t, "asked", <-l.done)
		l.mu.Lock()
		last := l.lines["asked"][len(l.lines["asked"])-1]
		l.mu.Unlock()
		require.Equal(t, test.want != "", strings.Contains(last, `"responseObject"`), test.path)
		require.Contains(t, last, test.want, test.path)
	}
}

// waits is an admission plugin that takes its time, by a clock of its own.
type waits struct {
	remarks
	mutating, validating time.Duration
	late                 func(time.Duration)
}

func (w waits) Admit(_ context.Context, a *admission.Attributes) error {
	w.late(w.mutating + w.validating)
	a.Elsewhere(w.mutating, w.validating)
	return nil
}

// What a request waited for is in the log if it took over half a second.
func TestLatenciesInAuditLog(t *testing.T) {
	for name, test := range map[string]struct {
		mutating, validating time.Duration
		want, never          []string
	}{
		"quick":      {mutating: time.Millisecond, never: []string{"apiserver.latency.k8s.io"}},
		"mutating":   {mutating: 600 * time.Millisecond, want: []string{`/mutating-webhook":"600ms"`}, never: []string{"/validating-webhook", "/impersonation"}},
		"validating": {validating: 2 * time.Second, want: []string{`/validating-webhook":"2s"`}, never: []string{"/mutating-webhook"}},
	} {
		t.Run(name, func(t *testing.T) {
			now, late := looks()
			c, l := audited(t, "rules: [{level: Metadata, verbs: [create]}, {level: None}]", func(c *Config) {
				c.Now = now
				c.Admission = append(c.Admission, waits{mutating: test.mutating, validating: test.validating, late: late})
			})
			c.do("POST /api/v1/namespaces/default/configmaps", `{"metadata":{"name":"m"}}`, "Audit-ID: made")
			require.Equal(t, "made", <-l.done)
			l.mu.Lock()
			last := l.lines["made"][len(l.lines["made"])-1]
			l.mu.Unlock()
			for _, never := range test.never {
				require.NotContains(t, last, never)
			}
			if test.want == nil {
				return
			}
			for _, part := range append(test.want, "/authentication", "/authorization", "/etcd", "/serialize-response-object", "/response-write", "/total") {
				require.Contains(t, last, "apiserver.latency.k8s.io"+strings.TrimPrefix(part, "apiserver.latency.k8s.io"))
			}
		})
	}
}

// legacy recognises every token as an old one.
type legacy struct{}

func (legacy) Recognise(context.Context, string, []string) (*auth.Identity, error) {
	return &auth.Identity{User: auth.User{Name: "sa", Remarks: &auth.Remarks{
		Warnings: []string{"Use another."}, Audit: map[string]string{"authentication.k8s.io/legacy-token": "sa"}}}}, nil
}

// What there is to say about a token is said to who asks about it, too.
func TestTokenReviewInAuditLog(t *testing.T) {
	c, l := audited(t, "rules: [{level: Metadata, verbs: [create]}, {level: None}]", func(c *Config) {
		c.Reviews = auth.Reviews(&auth.Bearer{Recognisers: []auth.Recogniser{legacy{}}}, notMice{}, notMice{})
	})
	resp, _ := c.do("POST /apis/authentication.k8s.io/v1/tokenreviews", `{"spec":{"token":"x"}}`, "Audit-ID: asked")
	require.Equal(t, `299 - "Use another."`, resp.Header.Get("Warning"))
	require.Equal(t, "asked", <-l.done)
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Contains(t, l.lines["asked"][1], `"authentication.k8s.io/legacy-token":"sa"`)
}
