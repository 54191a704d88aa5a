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
	"testing"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/audit"

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

func audited(t *testing.T, policy string, change ...func(*Config)) (*cluster, *eventLog) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(path, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\n"+policy), 0o600))
	p, err := audit.LoadPolicy(path)
	require.NoError(t, err)
	l := &eventLog{lines: map[string][]string{}, done: make(chan string, 100)}
	change = append(change, func(c *Config) {
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
