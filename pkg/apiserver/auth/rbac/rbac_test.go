package rbac

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/auth/policy"
	"bonsai/pkg/golden"
	"bonsai/pkg/resource"
)

// fixed is an authorizer of objects that do not change.
func fixed(list ...resource.Object) *Authorizer {
	var o objects
	for _, obj := range list {
		switch obj := obj.(type) {
		case *rbacv1.Role:
			o.roles = append(o.roles, obj)
		case *rbacv1.ClusterRole:
			o.clusterRoles = append(o.clusterRoles, obj)
		case *rbacv1.RoleBinding:
			o.bindings = append(o.bindings, obj)
		case *rbacv1.ClusterRoleBinding:
			o.clusterRoleBindings = append(o.clusterRoleBindings, obj)
		}
	}
	x := newIndex(o, &index{})
	return &Authorizer{func() *index { return x }}
}

// read reads the objects of a file in testdata.
func read(t testing.TB, file string) []resource.Object {
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var out []resource.Object
	for doc := range strings.SplitSeq(string(b), "\n---\n") {
		var head metav1.TypeMeta
		require.NoError(t, yaml.Unmarshal([]byte(doc), &head))
		obj := map[string]resource.Object{"Role": &rbacv1.Role{}, "ClusterRole": &rbacv1.ClusterRole{},
			"RoleBinding": &rbacv1.RoleBinding{}, "ClusterRoleBinding": &rbacv1.ClusterRoleBinding{}}[head.Kind]
		require.NotNil(t, obj, doc)
		require.NoError(t, yaml.UnmarshalStrict([]byte(doc), obj))
		out = append(out, obj)
	}
	return out
}

// TestAuthorize holds transcripts: each question with the answer below it.
func TestAuthorize(t *testing.T) {
	for file, objects := range map[string][]resource.Object{
		"testdata/default.txt": policy.Objects(),
		"testdata/shop.txt":    read(t, "testdata/shop.yaml"),
	} {
		t.Run(file, func(t *testing.T) { transcript(t, file, fixed(objects...)) })
	}
}

func transcript(t *testing.T, file string, a *Authorizer) {
	b, err := os.ReadFile(file)
	require.NoError(t, err)
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
		out.WriteString(answer(t, a, line))
	}
	golden.Equal(t, file, out.String())
}

// answer answers one line: USER[+GROUP…] VERB and a path, or RESOURCE.GROUP[/SUBRESOURCE] NAMESPACE/NAME, or "rules" and a namespace.
func answer(t *testing.T, a *Authorizer, line string) string {
	f := strings.Fields(line)
	who := strings.Split(f[0], "+")
	r := auth.Request{User: auth.User{Name: who[0], Groups: who[1:]}, Verb: f[1]}
	switch {
	case f[1] == "rules":
		rules, _, err := a.RulesFor(r.User, f[2])
		text := ""
		for _, rule := range rules {
			text += "\t" + compact(rule) + "\n"
		}
		if err != nil {
			text += "\terror: " + err.Error() + "\n"
		}
		return text
	case strings.HasPrefix(f[2], "/"):
		r.Path = f[2]
	default:
		what, sub, _ := strings.Cut(f[2], "/")
		r.IsResource, r.Subresource = true, sub
		r.Resource, r.Group, _ = strings.Cut(what, ".")
		r.Namespace, r.Name, _ = strings.Cut(strings.ReplaceAll(f[3], "-/", "/"), "/")
		r.Name = strings.TrimPrefix(r.Name, "-")
	}
	d, reason, err := a.Authorize(context.Background(), r)
	require.NoError(t, err)
	if d == auth.Allow {
		return fmt.Sprintf("\tyes %s\n", reason)
	}
	return fmt.Sprintf("\tno  %s\n", auth.Forbidden(r, reason).ErrStatus.Message)
}
