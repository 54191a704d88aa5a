package rbac

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
	"pgregory.net/rapid"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/golden"
	"bonsai/pkg/resource"
)

func rowOf(t testing.TB, kind string) *resource.Row {
	table, err := resource.NewRegistry(resource.Table())
	require.NoError(t, err)
	row, _, ok := table.ByKind(rbacv1.SchemeGroupVersion.WithKind(kind))
	require.True(t, ok)
	return row
}

func rules(words ...string) (out []rbacv1.PolicyRule) {
	for _, w := range words {
		f := strings.Split(w, "|")
		r := rbacv1.PolicyRule{Verbs: strings.Split(f[0], ",")}
		if strings.HasPrefix(f[1], "/") {
			r.NonResourceURLs = strings.Split(f[1], ",")
		} else {
			r.APIGroups, r.Resources = strings.Split(f[1], ","), strings.Split(f[2], ",")
		}
		if len(f) > 3 {
			r.ResourceNames = strings.Split(f[3], ",")
		}
		out = append(out, r)
	}
	return out
}

// Who may write which role or binding, in the namespace shop or the cluster. jane has, in shop: get, list and update of pods, all of
// deployments, and the secret own; joe may escalate, ann may bind the role reader, admin has everything, and max a role that is gone.
func TestEscalation(t *testing.T) {
	a := fixed(read(t, "testdata/escalation.yaml")...)
	e := Escalation{Rights: a, Authorizer: auth.Authorizers{auth.Superuser, {Name: "rbac", Authorizer: a}}}
	var text strings.Builder
	try := func(user, what string, next, old resource.Object) {
		kind := strings.TrimPrefix(fmt.Sprintf("%T", next), "*v1.")
		next.SetName("x")
		at := &admission.Attributes{Operation: admission.Create, Row: rowOf(t, kind), Name: "x", Object: next,
			User: auth.User{Name: user, Groups: []string{"system:authenticated"}}}
		if at.Row.Namespaced {
			at.Namespace = "shop"
		}
		if old != nil {
			old.SetName("x")
			at.Operation, at.Old, at.PathName = admission.Update, old, "x"
		}
		if user == "root" {
			at.User.Groups = []string{auth.Superusers}
		}
		verdict := "yes"
		if err := e.Admit(t.Context(), at); err != nil {
			verdict = "no  " + err.Error()
		}
		fmt.Fprintf(&text, "%s %s %s: %s\n\t%s\n", user, strings.ToLower(string(at.Operation)), kind, what, strings.ReplaceAll(verdict, "\n", "\n\t    "))
	}
	role := func(words ...string) *rbacv1.Role { return &rbacv1.Role{Rules: rules(words...)} }
	clusterRole := func(words ...string) *rbacv1.ClusterRole { return &rbacv1.ClusterRole{Rules: rules(words...)} }
	bind := func(kind, name string) *rbacv1.RoleBinding {
		return &rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}}
	}
	bindAll := func(name string) *rbacv1.ClusterRoleBinding {
		return &rbacv1.ClusterRoleBinding{RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}}
	}
	aggregated := clusterRole()
	aggregated.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{}}}
	owned := role("get||secrets")
	owned.OwnerReferences = []metav1.OwnerReference{{Name: "o"}}

	try("jane", "what she has", role("get,list||pods", "delete|apps|deployments,deployments/scale", "get||secrets|own"), nil)
	try("jane", "more than she has", role("get,watch,create||pods,pods/log", "get||secrets", "get||secrets|own,other", "get|apps,batch|deployments"), nil)
	try("jane", "nothing", role(), nil)
	try("jane", "what she has, everywhere", clusterRole("get||pods"), nil)
	try("jane", "paths", clusterRole("get|/metrics"), nil)
	try("jane", "no more than an owner changes", role("get||secrets"), owned)
	try("jane", "a rule more", role("get||pods", "get||secrets"), role("get||pods"))
	try("joe", "anything, as he may escalate", role("*|*|*"), nil)
	try("joe", "but not everywhere", clusterRole("*|*|*"), nil)
	try("root", "anything", clusterRole("*|*|*"), nil)
	try("admin", "anything", clusterRole("*|*|*", "get|/metrics"), nil)
	try("admin", "aggregation", aggregated, nil)
	try("helen", "aggregation, with all rights but those on paths", aggregated, nil)
	try("helen", "aggregation taken away", clusterRole(), aggregated)
	try("max", "with a role that is gone", role("get||pods"), nil)

	try("jane", "a role she has", bind("ClusterRole", "worker"), nil)
	try("jane", "a role of which she lacks something", bind("Role", "reader"), nil)
	try("jane", "a role that is not there", bind("Role", "gone"), nil)
	try("jane", "a cluster role that is not there", bind("ClusterRole", "gone"), nil)
	try("jane", "no role", bind("Robot", "gone"), nil)
	try("jane", "a role she has in shop, everywhere", bindAll("worker"), nil)
	try("ann", "a role that she may bind", bind("Role", "reader"), nil)
	try("ann", "another", bind("ClusterRole", "worker"), nil)
	try("ann", "a role that she may bind, for others", bind("Role", "reader"), bind("Role", "reader"))
	try("admin", "everything", bindAll("everything"), nil)
	try("root", "a role that is not there", bindAll("gone"), nil)

	golden.Equal(t, "testdata/escalation.txt", text.String())
}

// What is lacking is what upstream finds lacking.
func TestLackingIsUpstreams(t *testing.T) {
	words := func(of ...string) *rapid.Generator[[]string] { return rapid.SliceOfN(rapid.SampledFrom(of), 1, 3) }
	rule := rapid.Custom(func(t *rapid.T) rbacv1.PolicyRule {
		if rapid.IntRange(0, 4).Draw(t, "path") == 0 {
			return rbacv1.PolicyRule{Verbs: words("get", "put", "*").Draw(t, "verbs"), NonResourceURLs: words("/a", "/a/*", "/a/b", "*").Draw(t, "urls")}
		}
		r := rbacv1.PolicyRule{Verbs: words("get", "list", "*").Draw(t, "verbs"), APIGroups: words("", "apps", "*").Draw(t, "groups"),
			Resources: words("pods", "pods/log", "*/log", "jobs/log", "*").Draw(t, "resources")}
		if rapid.Bool().Draw(t, "named") {
			r.ResourceNames = words("a", "b").Draw(t, "names")
		}
		return r
	})
	list := rapid.SliceOfN(rule, 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		own, wanted := list.Draw(t, "own"), list.Draw(t, "wanted")
		half := len(own) / 2
		got, err := lacking([]*role{{rules: own[:half]}, {rules: own[half:]}}, wanted)
		require.NoError(t, err)
		_, want := validation.Covers(own, wanted)
		require.ElementsMatch(t, want, got)
	})
}

// Rules that stand for more rights than can be looked at are refused before they are, whatever they and the user's own look like.
func TestHostileRoles(t *testing.T) {
	many := func(n int, text string) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = fmt.Sprintf(text, i)
		}
		return out
	}
	product := rbacv1.PolicyRule{Verbs: many(20000, "v%d"), APIGroups: many(20000, "g%d"), Resources: many(20000, "r%d")}
	all := &role{rules: rules("*|*|*")}
	begin := time.Now()
	_, err := lacking([]*role{{rules: rules("get||pods")}}, []rbacv1.PolicyRule{product})
	require.Equal(t, errTooMuch, err)
	missing, err := lacking([]*role{{rules: rules("get||pods")}, all}, []rbacv1.PolicyRule{product})
	require.NoError(t, err)
	require.Empty(t, missing)

	clutter := &role{}
	for range 50000 {
		clutter.rules = append(clutter.rules, rules("list||pods")...)
	}
	_, err = lacking([]*role{clutter}, []rbacv1.PolicyRule{{Verbs: many(60000, "v%d"), APIGroups: []string{""}, Resources: []string{"pods"}}})
	require.Equal(t, errTooMuch, err)
	require.Less(t, time.Since(begin), 10*time.Second, "it was looked at all the same")

	// Such a role, bound, is no burden for a request either: its lists are sorted, not multiplied.
	r := &role{rules: []rbacv1.PolicyRule{product}}
	require.True(t, r.allows(question{verb: "v7", group: "g19999", resource: "r0", named: true}))
	require.False(t, r.allows(question{verb: "v7", group: "none", resource: "r0", named: true}))
	require.Len(t, r.byResource, 20000)
}

// Who may escalate one role by its name may also make it, if the request says which it is: an apply does, a POST does not.
func TestEscalationByName(t *testing.T) {
	a := fixed(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "maker"}, Rules: []rbacv1.PolicyRule{
		{Verbs: []string{"escalate"}, APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles"}, ResourceNames: []string{"up"}}}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "maker"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "maker"},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "jane"}}})
	e := Escalation{Rights: a, Authorizer: auth.Authorizers{{Name: "rbac", Authorizer: a}}}
	for path, allowed := range map[string]bool{"up": true, "other": false, "": false} {
		err := e.Admit(t.Context(), &admission.Attributes{Operation: admission.Create, Row: rowOf(t, "Role"), Namespace: "shop", Name: "up", PathName: path,
			Object: &rbacv1.Role{Rules: rules("get||secrets")}, User: auth.User{Name: "jane"}})
		require.Equal(t, allowed, err == nil, "%q: %v", path, err)
	}
}
