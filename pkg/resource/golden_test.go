package resource

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write what the rows do now into testdata/rows/*.output")

// TestWhatRowsDo plays the steps of each testdata/rows/NAME.yaml: documents that begin with "# create: why", "# update: why"
// or "# SUBRESOURCE: why", each applied to what the last good step left. testdata/rows/NAME.output holds what the row
// makes of them: the object as it would be stored, or all that is wrong with it, and what people see of it.
func TestWhatRowsDo(t *testing.T) {
	registry, err := NewRegistry(Table())
	require.NoError(t, err)
	files, err := filepath.Glob("testdata/rows/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			input, err := os.ReadFile(file)
			require.NoError(t, err)
			got := play(t, registry, string(input))
			golden := strings.TrimSuffix(file, ".yaml") + ".output"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

// play returns the story of a file's steps.
func play(t *testing.T, registry *Registry, input string) string {
	var story strings.Builder
	var old Object
	for step := range strings.SplitSeq(input, "\n---\n") {
		title, body, _ := strings.Cut(strings.TrimSpace(step), "\n")
		verb, _, _ := strings.Cut(strings.TrimPrefix(title, "# "), ":")
		row, version, next := decode(t, registry, body)
		if row.Default != nil {
			row.Default(next)
		}
		fmt.Fprintf(&story, "%s\n", title)
		errs := take(t, row, version, verb, next, old)
		if row.Warnings != nil {
			before := old
			if verb == "create" {
				before = nil
			}
			for _, w := range row.Warnings(next, before) {
				fmt.Fprintf(&story, "warning: %s\n", w)
			}
		}
		if len(errs) > 0 {
			for _, err := range errs {
				// What follows the first line is a difference, in words that cmp promises to change.
				text, _, _ := strings.Cut(err.Error(), "\n")
				fmt.Fprintf(&story, "error: %s\n", text)
			}
		} else {
			old = next
			describe(t, &story, row, next)
			writeBack(t, row, version, old)
		}
		story.WriteString("\n")
	}
	return story.String()
}

// decode reads an object as a client's request has it.
func decode(t *testing.T, registry *Registry, body string) (*Row, *Version, Object) {
	var head metav1.TypeMeta
	require.NoError(t, yaml.Unmarshal([]byte(body), &head), body)
	row, version, ok := registry.ByKind(schema.FromAPIVersionAndKind(head.APIVersion, head.Kind))
	require.True(t, ok, "%v", head)
	obj := version.New()
	require.NoError(t, yaml.UnmarshalStrict([]byte(body), obj))
	if version.ToStorage != nil {
		stored, err := version.ToStorage(obj)
		require.NoError(t, err)
		obj = stored
	}
	return row, version, obj
}

// signature is who makes all requests.
var signature = Signature{
	Now: metav1.Unix(1e9, 0), User: "alice", UID: "7", Groups: []string{"dev", "system:authenticated"},
	Extra: map[string][]string{"example.com/why": {"a", "b"}},
}

// take does what the API server does with a request: prepare, then validate.
func take(t *testing.T, row *Row, version *Version, verb string, next, old Object) field.ErrorList {
	if verb == "create" {
		if row.PrepareCreate != nil {
			row.PrepareCreate(next)
		}
		if row.Sign != nil {
			row.Sign(next, signature)
		}
		errs := row.Validate(next)
		if version.Validate != nil {
			errs = append(errs, version.Validate(next)...)
		}
		return errs
	}
	// The server has filled these in before any row sees an update.
	next.SetResourceVersion("1")
	old.SetResourceVersion("1")
	next.SetGeneration(old.GetGeneration())
	prepare, validate := row.PrepareUpdate, row.ValidateUpdate
	var part *Status
	if verb != "update" {
		part = partOf(row, verb)
		require.NotNil(t, part, "no subresource %q", verb)
		prepare, validate = part.Prepare, part.Validate
	}
	if prepare != nil {
		prepare(next, old)
	}
	switch {
	case part != nil && part.Sign != nil:
		part.Sign(next, old, signature)
	case part == nil && row.SignUpdate != nil:
		row.SignUpdate(next, old, signature)
	}
	errs := validate(next, old)
	if part != nil && part.ValidateSigned != nil {
		errs = append(errs, part.ValidateSigned(next, old, signature)...)
	}
	if verb == "update" && version.ValidateUpdate != nil {
		errs = append(errs, version.ValidateUpdate(next, old)...)
	}
	next.SetResourceVersion("")
	return errs
}

// writeBack holds that whoever reads an object and writes it back changes nothing and is not refused.
func writeBack(t *testing.T, row *Row, version *Version, old Object) {
	next := old.DeepCopyObject().(Object)
	if row.Default != nil {
		row.Default(next)
	}
	require.Empty(t, take(t, row, version, "update", next, old))
	old.SetResourceVersion("")
	require.True(t, same(old, next), "written back: %s", cmp.Diff(old, next))
}

func partOf(row *Row, name string) *Status {
	if name == "status" {
		return row.Status
	}
	for _, s := range row.Subresources {
		if s.Name == name {
			return s.Update
		}
	}
	return nil
}

// describe tells the object, its line in the table, and its fields.
func describe(t *testing.T, story *strings.Builder, row *Row, obj Object) {
	text, err := EncodeJSON(row.GVK(), obj.DeepCopyObject())
	require.NoError(t, err)
	object, err := yaml.JSONToYAML(text)
	require.NoError(t, err)
	story.Write(object)
	for i, cell := range row.Cells(obj, time.Unix(0, 0)) {
		name := "(no column)"
		if i < len(row.Columns) {
			name = row.Columns[i].Name
		}
		fmt.Fprintf(story, "| %s: %v\n", name, cell)
	}
	for name, value := range sorted(row.FieldSet(obj)) {
		if !strings.HasPrefix(name, "metadata.") {
			fmt.Fprintf(story, "? %s=%s\n", name, value)
		}
	}
}
