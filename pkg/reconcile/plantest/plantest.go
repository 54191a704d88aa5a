// Package plantest tests plans as text. A case is a file of API objects, testdata/NAME.yaml, the state that a loop
// observes; beside it lies testdata/NAME.plan, the plan for it as people read it: each action with its reason, and under it what
// the action changes. `go test -update` writes the plans anew, and the difference is then for the reader to judge.
package plantest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	sigsyaml "sigs.k8s.io/yaml"

	"bonsai/pkg/reconcile"
)

var update = flag.Bool("update", false, "write the expectations in testdata anew")

// Now is the time of all plans in tests.
var Now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Run makes a subtest of each testdata/*.yaml.
func Run(t *testing.T, plan func(objects []reconcile.Object) reconcile.Plan) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no states in testdata: %v", err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(f, ".yaml")
		t.Run(filepath.Base(name), func(t *testing.T) {
			Compare(t, name+".plan", Text(t, plan(Load(t, f))))
		})
	}
}

// Compare holds what a test got against a file, or writes the file with -update.
func Compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run with -update to write it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// Load decodes the objects of a YAML file.
func Load(t *testing.T, file string) []reconcile.Object {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var objects []reconcile.Object
	docs := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		if onlyComment(doc) {
			continue
		}
		o, _, err := scheme.Codecs.UniversalDeserializer().Decode(doc, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v\n%s", file, err, doc)
		}
		objects = append(objects, o.(reconcile.Object))
	}
}

// onlyComment is what stands before the first object.
func onlyComment(doc []byte) bool {
	for line := range strings.Lines(string(doc)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}

// Of picks the objects of one type.
func Of[T reconcile.Object](objects []reconcile.Object) []T {
	var found []T
	for _, o := range objects {
		if x, ok := o.(T); ok {
			found = append(found, x)
		}
	}
	return found
}

// First is the first object of a type, or nil.
func First[T reconcile.Object](objects []reconcile.Object) T {
	var none T
	if found := Of[T](objects); len(found) > 0 {
		return found[0]
	}
	return none
}

// Text is the plan as people read it.
func Text(t *testing.T, p reconcile.Plan) string {
	t.Helper()
	var b bytes.Buffer
	if len(p) == 0 {
		return "nothing to do\n"
	}
	for _, a := range p {
		fmt.Fprintln(&b, a)
		for line := range strings.Lines(content(t, a)) {
			b.WriteString("    " + line)
		}
		if n := a.Done; n != nil && a.Verb != reconcile.Tell {
			fmt.Fprintf(&b, "    # then event %s %s %q\n", n.Type, n.Reason, n.Message)
		}
	}
	return b.String()
}

// content is what the action writes, as the difference to what was there.
func content(t *testing.T, a reconcile.Action) string {
	t.Helper()
	switch a.Verb {
	case reconcile.Patch:
		return yamlOf(t, a.Patch)
	case reconcile.Create, reconcile.Update, reconcile.UpdateStatus:
	default:
		return ""
	}
	old := []byte("{}")
	if a.Old != nil {
		old = jsonOf(t, a.Old)
	}
	diff, err := jsonpatch.CreateMergePatch(old, jsonOf(t, a.Object))
	if err != nil {
		t.Fatal(err)
	}
	return yamlOf(t, diff)
}

func jsonOf(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func yamlOf(t *testing.T, data []byte) string {
	t.Helper()
	out, err := sigsyaml.JSONToYAML(data)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
