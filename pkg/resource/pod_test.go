package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	jsonpatch "github.com/evanphx/json-patch"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// golden compares got with the file, or writes it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs (-want +got); if it should, rerun with -update:\n%s", file, d)
	}
}

// rowOf is the row that a document's kind names, and document is it decoded strictly and completed by defaults.
func rowOf(t *testing.T, doc []byte) *Row {
	t.Helper()
	var head metav1.TypeMeta
	require.NoError(t, yaml.Unmarshal(doc, &head))
	for _, r := range []*Row{pods(), deployments(), replicaSets()} {
		if r.Kind == head.Kind {
			return r
		}
	}
	t.Fatalf("no row for kind %q", head.Kind)
	return nil
}

func document(t *testing.T, r *Row, doc []byte) Object {
	t.Helper()
	obj := r.StorageVersion().New()
	require.NoError(t, yaml.UnmarshalStrict(doc, obj))
	r.Default(obj)
	return obj
}

// TestCreate takes each object through what a create does: what comes out is what kubectl get -o yaml would show,
// below the warnings that the client would see.
func TestCreate(t *testing.T) {
	inputs, err := filepath.Glob("testdata/pods/create/*.input.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, in := range inputs {
		name := strings.TrimSuffix(in, ".input.yaml")
		t.Run(filepath.Base(name), func(t *testing.T) {
			doc, err := os.ReadFile(in)
			require.NoError(t, err)
			r := rowOf(t, doc)
			obj := document(t, r, doc)
			r.PrepareCreate(obj)
			require.Empty(t, r.Validate(obj))
			var out bytes.Buffer
			for _, w := range r.Warnings(obj, nil) {
				fmt.Fprintf(&out, "# Warning: %s\n", w)
			}
			b, err := yaml.Marshal(obj)
			require.NoError(t, err)
			out.Write(b)
			golden(t, name+".output.yaml", out.String())
		})
	}
}

// testCase is one document of a file of cases; its first line is a comment that names it.
type testCase struct {
	name string
	doc  []byte
}

func testCases(t *testing.T, file string) []testCase {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var all []testCase
	for doc := range strings.SplitSeq(string(b), "---\n") {
		name, rest, ok := strings.Cut(doc, "\n")
		require.True(t, ok && strings.HasPrefix(name, "# "), "%s: a case begins with a comment: %q", file, name)
		all = append(all, testCase{strings.TrimPrefix(name, "# "), []byte(rest)})
	}
	return all
}

// The objects that cases change, by merge patch, into what they are about.
const (
	basePod = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"},
		"spec": {"containers": [{"name": "web", "image": "nginx"}]}}`
	baseTemplate = `{"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
		"spec": {"containers": [{"name": "web", "image": "nginx"}]}}}`
	baseDeployment = `{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": ` + baseTemplate + `}`
	baseReplicaSet = `{"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "default"}, "spec": ` + baseTemplate + `}`
)

// patched is the base of a patch's kind (Pod if it names none) with the patch applied.
func patched(t *testing.T, patch []byte) []byte {
	t.Helper()
	var head metav1.TypeMeta
	require.NoError(t, yaml.Unmarshal(patch, &head))
	base := map[string]string{"": basePod, "Pod": basePod, "Deployment": baseDeployment, "ReplicaSet": baseReplicaSet}[head.Kind]
	return merge(t, []byte(base), patch)
}

func merge(t *testing.T, doc, patch []byte) []byte {
	t.Helper()
	p, err := yaml.YAMLToJSON(patch)
	require.NoError(t, err)
	out, err := jsonpatch.MergePatch(doc, p)
	require.NoError(t, err)
	return out
}

// causes are errors as the API sends them: where, of what type, in which words. The difference of two specs, which
// follows a line break, is not for comparison.
func causes(errs field.ErrorList) string {
	if len(errs) == 0 {
		return "accepted\n"
	}
	var out strings.Builder
	for _, e := range errs {
		body, _, _ := strings.Cut(e.ErrorBody(), "\n")
		fmt.Fprintf(&out, "%s: %s: %s\n", e.Field, string(e.Type), body)
	}
	return out.String()
}

func TestInvalid(t *testing.T) {
	inputs, err := filepath.Glob("testdata/pods/invalid/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, in := range inputs {
		t.Run(filepath.Base(in), func(t *testing.T) {
			var out strings.Builder
			for _, c := range testCases(t, in) {
				doc := patched(t, c.doc)
				r := rowOf(t, doc)
				obj := document(t, r, doc)
				r.PrepareCreate(obj)
				fmt.Fprintf(&out, "# %s\n%s\n", c.name, causes(r.Validate(obj)))
			}
			golden(t, strings.TrimSuffix(in, ".yaml")+".txt", out.String())
		})
	}
}

// updateCase changes an object that was created from base and old: next is a patch on it. In says what the request is
// to: the object itself, or one of its subresources.
type updateCase struct {
	In   string          `json:"in"`
	Old  json.RawMessage `json:"old"`
	Next json.RawMessage `json:"next"`
}

// part returns the preparation and validation that a request goes through.
func part(t *testing.T, r *Row, name string) Status {
	switch name {
	case "":
		return Status{Prepare: r.PrepareUpdate, Validate: r.ValidateUpdate}
	case "status":
		return *r.Status
	}
	for _, s := range r.Subresources {
		if s.Name == name {
			return *s.Update
		}
	}
	t.Fatalf("no subresource %q", name)
	return Status{}
}

func TestUpdate(t *testing.T) {
	inputs, err := filepath.Glob("testdata/pods/update/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, in := range inputs {
		t.Run(filepath.Base(in), func(t *testing.T) {
			var out strings.Builder
			for _, c := range testCases(t, in) {
				fmt.Fprintf(&out, "# %s\n%s\n", c.name, updated(t, c.doc))
			}
			golden(t, strings.TrimSuffix(in, ".yaml")+".txt", out.String())
		})
	}
}

func updated(t *testing.T, doc []byte) string {
	var c updateCase
	require.NoError(t, yaml.UnmarshalStrict(doc, &c))
	if c.Old == nil {
		c.Old = json.RawMessage("{}")
	}
	created := patched(t, c.Old)
	r := rowOf(t, created)
	old := document(t, r, created)
	status := old.DeepCopyObject().(Object)
	r.PrepareCreate(old)
	old.SetResourceVersion("7")
	if r.Kind == "Pod" {
		keepStatus(old, status)
	}
	stored, err := json.Marshal(old)
	require.NoError(t, err)
	next := document(t, r, merge(t, stored, c.Next))
	p := part(t, r, c.In)
	p.Prepare(next, old)
	errs := p.Validate(next, old)
	if len(errs) > 0 {
		return causes(errs)
	}
	return fmt.Sprintf("accepted, generation %d -> %d, %s\n", old.GetGeneration(), next.GetGeneration(), changes(t, old, next))
}

// changes names the top-level parts of an object that an update did change.
func changes(t *testing.T, old, next Object) string {
	t.Helper()
	parts := func(o Object) map[string]json.RawMessage {
		b, err := json.Marshal(o)
		require.NoError(t, err)
		var m map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(b, &m))
		return m
	}
	a, b := parts(old), parts(next)
	var changed []string
	for _, k := range []string{"spec", "status"} {
		if !bytes.Equal(a[k], b[k]) {
			changed = append(changed, k)
		}
	}
	return "changed: " + strings.Join(changed, ", ")
}

// TestColumns prints pods as kubectl get -o wide does.
func TestColumns(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, file := range []string{"pods", "workloads"} {
		var out bytes.Buffer
		var last *Row
		w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
		for _, c := range testCases(t, "testdata/pods/columns."+file+".yaml") {
			doc := patched(t, c.doc)
			r := rowOf(t, doc)
			if last == nil || last.Kind != r.Kind {
				fmt.Fprintln(w, header(r))
			}
			last = r
			cells := r.Cells(document(t, r, doc), now)
			require.Len(t, cells, len(r.Columns))
			fmt.Fprintf(w, "%s%s\n", strings.Join(texts(cells), "\t"), completed(r, document(t, r, doc)))
		}
		require.NoError(t, w.Flush())
		golden(t, "testdata/pods/columns."+file+".txt", out.String())
	}
}

func header(r *Row) string {
	var names []string
	for _, c := range r.Columns {
		names = append(names, strings.ToUpper(c.Name))
	}
	return strings.Join(names, "\t")
}

func texts(cells []any) []string {
	var all []string
	for _, c := range cells {
		all = append(all, fmt.Sprint(c))
	}
	return all
}

func completed(r *Row, obj Object) string {
	if r.RowConditions == nil {
		return ""
	}
	var out string
	for _, c := range r.RowConditions(obj) {
		out += fmt.Sprintf("\t[%s %s: %s]", c.Type, c.Reason, c.Message)
	}
	return out
}
