package judge

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/golden"
	"bonsai/pkg/resource"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// TestScopes finds requests in scopes. testdata/scopes.yaml has scopes, each with requests in the form
// "OPERATION GROUP/VERSION/RESOURCE[/SUBRESOURCE] [NAMESPACE/]NAME [LABEL=VALUE]"; the output says for each in which form it is within.
func TestScopes(t *testing.T) {
	input, err := os.ReadFile("testdata/scopes.yaml")
	require.NoError(t, err)
	var scopes []struct {
		Scope    admissionv1.MatchResources
		Requests []string
	}
	require.NoError(t, yaml.UnmarshalStrict(input, &scopes))
	table, err := resource.NewRegistry(resource.Table())
	require.NoError(t, err)
	var out strings.Builder
	for _, s := range scopes {
		scope := PolicyScope(&s.Scope)
		text, err := yaml.Marshal(s.Scope)
		require.NoError(t, err)
		out.Write(text)
		for _, line := range s.Requests {
			fmt.Fprintf(&out, "%s: %s\n", line, find(t, table, &scope, line))
		}
		out.WriteString("\n")
	}
	golden.Equal(t, "testdata/scopes.output", out.String())
}

func find(t *testing.T, table *resource.Registry, scope *Scope, line string) string {
	form, ok, err := scope.Find(t.Context(), requestOfLine(t, table, line), namespaces{})
	switch {
	case err != nil:
		return err.Error()
	case !ok:
		return "no"
	}
	return strings.Trim(fmt.Sprintf("yes, as %s/%s %s", form.Resource.Group, form.Resource.Version, form.Kind.Kind), " ")
}

func requestOfLine(t *testing.T, table *resource.Registry, line string) *admission.Attributes {
	words := strings.Fields(line)
	path := strings.SplitN(words[1], "/", 4)
	row, ver, ok := table.ByResource(schema.GroupVersionResource{Group: path[0], Version: path[1], Resource: path[2]})
	require.True(t, ok, line)
	a := &admission.Attributes{Operation: admission.Operation(words[0]), Row: row, Version: ver}
	if len(path) > 3 {
		a.Subresource = path[3]
	}
	var hasNamespace bool
	if a.Namespace, a.Name, hasNamespace = strings.Cut(words[2], "/"); !hasNamespace {
		a.Namespace, a.Name = "", a.Namespace
	}
	obj := row.StorageVersion().New()
	obj.GetObjectKind().SetGroupVersionKind(row.GVK())
	for _, label := range words[3:] {
		k, v, _ := strings.Cut(label, "=")
		obj.SetLabels(map[string]string{k: v})
	}
	if a.Operation == admission.Delete {
		a.Old = obj
	} else {
		a.Object = obj
	}
	if row.Resource == "namespaces" {
		a.Namespace = a.Name
	}
	return a
}

// namespaces has one that is for production, and one that is not.
type namespaces struct{ admission.Getter }

func (namespaces) Get(_ context.Context, r schema.GroupResource, _, name string) (resource.Object, error) {
	switch name {
	case "prod":
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"env": "prod"}}}, nil
	case "test":
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, nil
	}
	return nil, apierrors.NewNotFound(r, name)
}

func TestASelectorThatCannotBeReadRefusesOnlyWhatIsMeant(t *testing.T) {
	table, err := resource.NewRegistry(resource.Table())
	require.NoError(t, err)
	bad := &metav1.LabelSelector{MatchLabels: map[string]string{"a": "-"}}
	scope := HookScope([]admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{"*"},
		Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}}, nil, bad, bad)
	require.Equal(t, "no", find(t, table, &scope, "CREATE /v1/secrets prod/a"))
	require.Contains(t, find(t, table, &scope, "CREATE /v1/pods prod/a"), "Internal error occurred: values[0][a]: Invalid value: \"-\"")
}
