package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"

	"bonsai/pkg/golden"
	"bonsai/pkg/resource"
)

// testdata/policy.txt is the whole policy as people read it.
func TestPolicy(t *testing.T) {
	var text strings.Builder
	for _, o := range Objects() {
		describe(&text, o)
	}
	golden.Equal(t, "testdata/policy.txt", text.String())
}

func describe(w *strings.Builder, o resource.Object) {
	name := o.GetName()
	if o.GetNamespace() != "" {
		name = o.GetNamespace() + "/" + name
	}
	part := ""
	for label := range o.GetLabels() {
		if to, ok := strings.CutPrefix(label, aggregateTo); ok {
			part = ", a part of " + to
		}
	}
	switch o := o.(type) {
	case *rbacv1.ClusterRole:
		fmt.Fprintf(w, "ClusterRole %s%s\n%s", name, part, ruleLines(o.Rules))
		if o.AggregationRule != nil {
			for _, s := range o.AggregationRule.ClusterRoleSelectors {
				fmt.Fprintf(w, "\taggregated: %v\n", s.MatchLabels)
			}
		}
	case *rbacv1.Role:
		fmt.Fprintf(w, "Role %s\n%s", name, ruleLines(o.Rules))
	case *rbacv1.ClusterRoleBinding:
		fmt.Fprintf(w, "ClusterRoleBinding %s of %s%s\n", name, o.RoleRef.Name, subjectList(o.Subjects))
	case *rbacv1.RoleBinding:
		fmt.Fprintf(w, "RoleBinding %s of %s %s%s\n", name, o.RoleRef.Kind, o.RoleRef.Name, subjectList(o.Subjects))
	}
}

func ruleLines(rules []rbacv1.PolicyRule) string {
	var w strings.Builder
	for _, r := range rules {
		fmt.Fprintf(&w, "\t%s", strings.Join(r.Verbs, ","))
		if len(r.NonResourceURLs) > 0 {
			fmt.Fprintf(&w, " %s\n", strings.Join(r.NonResourceURLs, ","))
			continue
		}
		fmt.Fprintf(&w, " %q %s", strings.Join(r.APIGroups, ","), strings.Join(r.Resources, ","))
		if len(r.ResourceNames) > 0 {
			fmt.Fprintf(&w, " named %s", strings.Join(r.ResourceNames, ","))
		}
		w.WriteString("\n")
	}
	return w.String()
}

func subjectList(subjects []rbacv1.Subject) string {
	if len(subjects) == 0 {
		return " to nobody"
	}
	var out []string
	for _, s := range subjects {
		out = append(out, strings.TrimPrefix(fmt.Sprintf("%s %s/%s", s.Kind, s.Namespace, s.Name), " "))
	}
	return " to " + strings.ReplaceAll(strings.Join(out, ", "), " /", " ")
}

// Every object is one that the API takes, is named once, and each binding is of a role that there is.
func TestObjectsAreValid(t *testing.T) {
	table, err := resource.NewRegistry(resource.Table())
	require.NoError(t, err)
	seen, refs := map[string]bool{}, []string{}
	for _, o := range Objects() {
		kind := strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1.")
		key := kind + " " + o.GetNamespace() + "/" + o.GetName()
		require.False(t, seen[key], key)
		seen[key] = true
		row, _, ok := table.ByKind(rbacv1.SchemeGroupVersion.WithKind(kind))
		require.True(t, ok, key)
		require.Empty(t, row.Validate(o), key)
		switch o := o.(type) {
		case *rbacv1.ClusterRoleBinding:
			refs = append(refs, "ClusterRole /"+o.RoleRef.Name)
		case *rbacv1.RoleBinding:
			refs = append(refs, "Role "+o.Namespace+"/"+o.RoleRef.Name)
		}
	}
	for _, ref := range refs {
		require.True(t, seen[ref], ref)
	}
	for _, c := range running {
		require.True(t, seen["ClusterRole /"+controllerPrefix+c], c)
	}
}

// Whoever starts the server again finds everything as it was, and gets back what somebody has taken out.
func TestReconcile(t *testing.T) {
	role := func(change func(*rbacv1.ClusterRole)) *rbacv1.ClusterRole {
		r := grant{name: "r", rules: []rbacv1.PolicyRule{rule("get list", "core", "pods"), rule("get", "apps", "deployments", "web")}}.object().(*rbacv1.ClusterRole)
		change(r)
		return r
	}
	bound := func(change func(*rbacv1.ClusterRoleBinding)) *rbacv1.ClusterRoleBinding {
		b := binding{name: "b", role: "r", users: "jane", accounts: "robot"}.clusterObject().(*rbacv1.ClusterRoleBinding)
		change(b)
		return b
	}
	aggregated := aggregatedRoles()[1]
	var text strings.Builder
	for _, tc := range []struct {
		name      string
		want, old resource.Object
	}{
		{"as it was", role(func(*rbacv1.ClusterRole) {}), role(func(*rbacv1.ClusterRole) {})},
		{"a rule is gone", role(func(*rbacv1.ClusterRole) {}), role(func(r *rbacv1.ClusterRole) { r.Rules = r.Rules[:1] })},
		{"a verb is gone", role(func(*rbacv1.ClusterRole) {}), role(func(r *rbacv1.ClusterRole) { r.Rules[0].Verbs = []string{"list"} })},
		{"more than enough", role(func(*rbacv1.ClusterRole) {}), role(func(r *rbacv1.ClusterRole) { r.Rules = []rbacv1.PolicyRule{rule("*", "*", "*")} })},
		{"protected", role(func(*rbacv1.ClusterRole) {}), role(func(r *rbacv1.ClusterRole) {
			r.Rules, r.Annotations = nil, map[string]string{rbacv1.AutoUpdateAnnotationKey: "false"}
		})},
		{"labels of somebody", role(func(*rbacv1.ClusterRole) {}), role(func(r *rbacv1.ClusterRole) {
			r.Labels, r.Annotations = map[string]string{"team": "a", "kubernetes.io/bootstrapping": "mine"}, nil
		})},
		{"made an aggregate", role(func(*rbacv1.ClusterRole) {}), role(func(r *rbacv1.ClusterRole) {
			r.AggregationRule = &rbacv1.AggregationRule{}
		})},
		{"another aggregate", aggregated, func() resource.Object {
			o := aggregated.DeepCopyObject().(*rbacv1.ClusterRole)
			o.AggregationRule.ClusterRoleSelectors[0].MatchLabels = map[string]string{"mine": "true"}
			return o
		}()},
		{"bound as it was", bound(func(*rbacv1.ClusterRoleBinding) {}), bound(func(*rbacv1.ClusterRoleBinding) {})},
		{"a subject is gone, another there", bound(func(*rbacv1.ClusterRoleBinding) {}), bound(func(b *rbacv1.ClusterRoleBinding) {
			b.Subjects[0].Name = "joe"
		})},
		{"bound to another", bound(func(*rbacv1.ClusterRoleBinding) {}), bound(func(b *rbacv1.ClusterRoleBinding) { b.RoleRef.Name = "cluster-admin" })},
	} {
		before := tc.old.DeepCopyObject()
		next, step := Reconcile(tc.want, tc.old)
		require.Equal(t, before, tc.old, "the old one was changed: %s", tc.name)
		fmt.Fprintf(&text, "# %s: %s\n", tc.name, []string{"keep", "update", "replace"}[step])
		describe(&text, next)
		for _, k := range slices.Sorted(maps.Keys(next.GetLabels())) {
			fmt.Fprintf(&text, "\tlabel %s=%s\n", k, next.GetLabels()[k])
		}
		again, step := Reconcile(tc.want, next)
		require.Equal(t, Keep, step, "%v", again)
	}
	golden.Equal(t, "testdata/reconcile.txt", text.String())
}
