package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"bonsai/pkg/resource"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// TestMatrix sends every verb in every content type, right and wrong, and asks for the answer in every other, and compares what came of
// it with testdata/matrix.golden. Writes are dry runs, so that each finds what the one before it found.
func TestMatrix(t *testing.T) {
	const file = "testdata/matrix.golden"
	m := &matrix{c: start(t, atOneInstant)}
	_, body := m.c.do("POST "+configMapsPath, `{"metadata":{"name":"a"},"data":{"k":"v"}}`)
	require.Contains(t, body, "uid")
	m.bodies("create", "POST "+configMapsPath+"?dryRun=All", configMapIn("b"), secretIn("b"))
	m.bodies("update", "PUT "+configMapsPath+"/a?dryRun=All", configMapIn("a"), secretIn("a"))
	m.bodies("delete", "DELETE "+configMapsPath+"/a?dryRun=All", deleteOptionsIn("DeleteOptions"), deleteOptionsIn("Secret"))
	m.bodies("deletecollection", "DELETE "+configMapsPath+"?dryRun=All", deleteOptionsIn("DeleteOptions"), deleteOptionsIn("Secret"))
	m.patches()
	m.answers()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(m.out.String()), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), m.out.String()))
}

const configMapsPath = "/api/v1/namespaces/default/configmaps"

// matrix is the table on its way.
type matrix struct {
	c   *cluster
	out strings.Builder
}

// say writes down what came of a request.
func (m *matrix) say(what, line, body string, headers ...string) {
	resp, answer := m.ask(line, body, headers)
	fmt.Fprintf(&m.out, "  %-44s %d %s\n", what, resp.StatusCode, steady(strings.ReplaceAll(outcomeOf(resp.Header.Get("Content-Type"), answer), "\n", `\n`)))
}

// ask is do, without the events of a watch, which has no end.
func (m *matrix) ask(line, body string, headers []string) (*http.Response, string) {
	if !strings.Contains(line, "watch=1") {
		return m.c.do(line, body, headers...)
	}
	ctx, cancel := context.WithTimeout(m.c.t.Context(), 10*time.Second)
	defer cancel()
	_, path, _ := strings.Cut(line, " ")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.c.url+path, nil)
	require.NoError(m.c.t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := m.c.http.Do(req)
	require.NoError(m.c.t, err)
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return resp, ""
	}
	b, err := io.ReadAll(resp.Body)
	require.NoError(m.c.t, err)
	return resp, string(b)
}

// outcomeOf is an answer in one line: its type, what it is, and why not, if it is a refusal.
func outcomeOf(contentType, body string) string {
	var head struct {
		metav1.TypeMeta
		Status, Message string
		Reason          metav1.StatusReason
	}
	switch {
	case body == "":
		return contentType
	case strings.HasPrefix(contentType, typeProtobuf):
		return contentType + " " + protobufOutcome([]byte(body))
	case strings.HasPrefix(contentType, typeYAML):
		if text, err := yaml.YAMLToJSON([]byte(body)); err == nil {
			body = string(text)
		}
	}
	if json.Unmarshal([]byte(body), &head) != nil {
		return contentType
	}
	if head.Status == metav1.StatusFailure {
		return fmt.Sprintf("%s %s: %s", contentType, head.Reason, head.Message)
	}
	return contentType + " " + head.Kind
}

func protobufOutcome(body []byte) string {
	gvk, raw, err := resource.TypeOf(body)
	if err != nil {
		return "not protobuf"
	}
	status := &metav1.Status{}
	if gvk.Kind != "Status" || status.Unmarshal(raw) != nil || status.Status != metav1.StatusFailure {
		return gvk.Kind
	}
	return fmt.Sprintf("%s: %s", status.Reason, status.Message)
}

// encodings is an object in each.
type encodings map[string]string

func configMapIn(name string) encodings {
	return inAll("v1", "ConfigMap", &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"k": "w"}})
}

func secretIn(name string) encodings {
	return inAll("v1", "Secret", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

// deleteOptionsIn says itself that it is a dry run: who sends options in the body is not asked for those in the query.
func deleteOptionsIn(kind string) encodings {
	return inAll("v1", kind, &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
}

func inAll(apiVersion, kind string, obj runtime.Object) encodings {
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	proto, err := resource.EncodeProtobuf(gvk, obj)
	must(err)
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	text, err := json.Marshal(obj)
	must(err)
	block, err := yaml.JSONToYAML(text)
	must(err)
	return encodings{typeJSON: string(text), typeYAML: string(block), typeProtobuf: string(proto)}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

var encodingNames = []string{typeJSON, typeYAML, typeProtobuf}

// bodies sends a verb's body in each content type, and in each way of being wrong.
func (m *matrix) bodies(verb, line string, right, wrong encodings) {
	for _, sent := range encodingNames {
		fmt.Fprintf(&m.out, "%s, sent as %s\n", verb, sent)
		header := "Content-Type: " + sent
		m.say("right", line, right[sent], header)
		m.say("of another kind", line, wrong[sent], header)
		m.say("cut short", line, right[sent][:len(right[sent])*2/3], header)
		m.say("empty", line, "", header)
		m.say("nonsense", line, "\x01:{nonsense", header)
		for _, other := range encodingNames {
			if other != sent {
				m.say("really "+other, line, right[other], header)
			}
		}
	}
	fmt.Fprintf(&m.out, "%s, sent as something else\n", verb)
	for _, sent := range []string{"", "application/json; charset=utf-8", "APPLICATION/JSON", "text/plain", "application/cbor", "application/json;;", "*/*", "application/merge-patch+json"} {
		m.say(fmt.Sprintf("%q", sent), line, right[typeJSON], "Content-Type: "+sent)
	}
}

// patches sends each kind of patch.
func (m *matrix) patches() {
	line := "PATCH " + configMapsPath + "/a?dryRun=All&fieldManager=m"
	object := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"l":"w"}}`
	for _, sent := range []struct{ name, right, unfit string }{
		{"application/json-patch+json", `[{"op":"add","path":"/data/k","value":"w"}]`, `[{"op":"add","path":"/no/where","value":"w"}]`},
		{"application/merge-patch+json", `{"data":{"k":"w"}}`, `{"data":{"k":7}}`},
		{"application/strategic-merge-patch+json", `{"data":{"k":"w"}}`, `{"data":"none"}`},
		{"application/apply-patch+yaml", object, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":"none"}`},
	} {
		fmt.Fprintf(&m.out, "patch, sent as %s\n", sent.name)
		header := "Content-Type: " + sent.name
		m.say("right", line, sent.right, header)
		m.say("that does not fit", line, sent.unfit, header)
		m.say("of another kind", line, strings.Replace(object, "ConfigMap", "Secret", 1), header)
		m.say("cut short", line, sent.right[:len(sent.right)*2/3], header)
		m.say("null", line, "null", header)
		m.say("empty", line, "", header)
		m.say("nonsense", line, "\x01:{nonsense", header)
		m.say("of what is not there", strings.Replace(line, "/a?", "/none?", 1), sent.right, header)
	}
	m.out.WriteString("patch, sent as something else\n")
	for _, sent := range []string{"", typeJSON, typeYAML, typeProtobuf, "application/apply-patch+cbor", "application/merge-patch+json; charset=utf-8", "application/merge-patch+json;;"} {
		m.say(fmt.Sprintf("%q", sent), line, `{"data":{"k":"w"}}`, "Content-Type: "+sent)
	}
}

// answers asks for the answer to each verb in each way.
func (m *matrix) answers() {
	const table, metadata = ";as=Table;v=v1;g=meta.k8s.io", ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
	for _, r := range []struct{ verb, line, body, sent string }{
		{"get", "GET " + configMapsPath + "/a", "", ""},
		{"get of what is not there", "GET " + configMapsPath + "/none", "", ""},
		{"list", "GET " + configMapsPath, "", ""},
		{"list with a bad selector", "GET " + configMapsPath + "?labelSelector=%3D", "", ""},
		{"watch", "GET " + configMapsPath + "?watch=1&resourceVersion=0", "", ""},
		{"watch of the past", "GET " + configMapsPath + "?watch=1&resourceVersion=nonsense", "", ""},
		{"create", "POST " + configMapsPath + "?dryRun=All", `{"metadata":{"name":"b"}}`, typeJSON},
		{"create of what is there", "POST " + configMapsPath + "?dryRun=All", `{"metadata":{"name":"a"}}`, typeJSON},
		{"update", "PUT " + configMapsPath + "/a?dryRun=All", `{"metadata":{"name":"a"}}`, typeJSON},
		{"update of what has changed", "PUT " + configMapsPath + "/a?dryRun=All", `{"metadata":{"name":"a","resourceVersion":"1"}}`, typeJSON},
		{"patch", "PATCH " + configMapsPath + "/a?dryRun=All", `{"data":{"k":"w"}}`, "application/merge-patch+json"},
		{"delete", "DELETE " + configMapsPath + "/a?dryRun=All", "", ""},
		{"deletecollection", "DELETE " + configMapsPath + "?dryRun=All", "", ""},
	} {
		fmt.Fprintf(&m.out, "%s, to be answered in\n", r.verb)
		for _, accept := range []string{
			"", "*/*", "application/*", typeJSON, typeYAML, typeProtobuf, "text/html, application/json;q=0.1", "application/cbor", "text/plain", "nonsense",
			typeJSON + table, typeProtobuf + table, typeJSON + metadata, typeProtobuf + metadata, typeJSON + metadata + "List",
			strings.Replace(typeJSON+table, "v=v1", "v=v9", 1), typeJSON + table + "," + typeJSON, typeProtobuf + ";stream=watch",
		} {
			m.say(fmt.Sprintf("%q", strings.ReplaceAll(accept, ";g=meta.k8s.io", ";g")), r.line, r.body, "Accept: "+accept, "Content-Type: "+r.sent)
		}
	}
}
