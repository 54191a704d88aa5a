package integration

import (
	"testing"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"bonsai/pkg/pki"
)

// by is a client of the administrator who acts as another.
func (s *server) by(user string, groups ...string) kubernetes.Interface {
	c := rest.CopyConfig(s.config)
	c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return clientOf(s.T, c)
}

func rule(verbs []string, group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{group}, Resources: resources}
}

func bound(name, kind, role string, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{Kind: kind, Name: role}, Subjects: subjects}
}

// Rights come with a binding, hold where it says, and go with it or with its role.
func TestRights(t *testing.T) {
	s := startServer(t)
	ctx, access, jane := t.Context(), s.client.RbacV1(), s.by("jane", "devs")
	s.namespace("shop")
	s.namespace("other")
	may := func(namespace string) bool {
		_, err := jane.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
		require.True(t, err == nil || apierrors.IsForbidden(err), "%v", err)
		return err == nil
	}
	require.False(t, may("shop"))
	_, err := access.Roles("shop").Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		Rules: []rbacv1.PolicyRule{rule([]string{"list"}, "", "configmaps")}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = access.RoleBindings("shop").Create(ctx, bound("devs", "Role", "reader", rbacv1.Subject{Kind: "Group", Name: "devs"}), metav1.CreateOptions{})
	require.NoError(t, err)
	s.until("jane may list", func() bool { return may("shop") })
	require.False(t, may("other"))

	require.NoError(t, access.Roles("shop").Delete(ctx, "reader", metav1.DeleteOptions{}))
	s.until("jane may no longer", func() bool { return !may("shop") })
	_, err = jane.CoreV1().ConfigMaps("shop").List(ctx, metav1.ListOptions{})
	require.EqualError(t, err, `configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "shop": `+
		`rbac: RBAC: role.rbac.authorization.k8s.io "reader" not found`)

	_, err = access.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "jane"},
		RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "system:aggregate-to-view"}, Subjects: []rbacv1.Subject{{Kind: "User", Name: "jane"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	s.until("jane may list everywhere", func() bool { return may("shop") && may("other") })
	answer, err := s.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "jane", ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "list", Resource: "configmaps"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, authorizationv1.SubjectAccessReviewStatus{Allowed: true,
		Reason: `RBAC: allowed by ClusterRoleBinding "jane" of ClusterRole "system:aggregate-to-view" to User "jane"`}, answer.Status)

	rules, err := jane.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "shop"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, `role.rbac.authorization.k8s.io "reader" not found`, rules.Status.EvaluationError)
	require.Contains(t, rules.Status.ResourceRules, authorizationv1.ResourceRule{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"namespaces"}})
	require.Contains(t, rules.Status.NonResourceRules, authorizationv1.NonResourceRule{Verbs: []string{"get"},
		NonResourceURLs: []string{"/healthz", "/livez", "/readyz", "/version", "/version/"}})
}

// Who may write roles and bindings comes to no more rights by it, however it is written.
func TestNobodyGivesWhatHeLacks(t *testing.T) {
	s := startServer(t)
	ctx := t.Context()
	s.namespace("shop")
	_, err := s.client.RbacV1().RoleBindings("shop").Create(ctx, bound("jane", "ClusterRole", "system:aggregate-to-admin", rbacv1.Subject{Kind: "User", Name: "jane"}), metav1.CreateOptions{})
	require.NoError(t, err)
	jane := s.by("jane").RbacV1()
	roles := jane.Roles("shop")
	s.until("jane may list roles", func() bool { _, err := roles.List(ctx, metav1.ListOptions{}); return err == nil })

	const lacking = `is forbidden: user "jane" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:` + "\n"
	const secrets = `{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`
	harmless := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{rule([]string{"get"}, rbacv1.GroupName, "roles")}}
	mighty := harmless.DeepCopy()
	mighty.Name, mighty.Rules = "m", append(mighty.Rules, rule([]string{"get"}, "", "secrets"))
	_, err = roles.Create(ctx, harmless, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = roles.Create(ctx, mighty, metav1.CreateOptions{})
	require.EqualError(t, err, `roles.rbac.authorization.k8s.io "m" `+lacking+secrets)
	require.True(t, apierrors.IsForbidden(err))
	_, err = roles.Create(ctx, mighty, metav1.CreateOptions{DryRun: []string{"All"}})
	require.True(t, apierrors.IsForbidden(err), "%v", err)
	mighty.Name = "r"
	_, err = roles.Update(ctx, mighty, metav1.UpdateOptions{})
	require.EqualError(t, err, `roles.rbac.authorization.k8s.io "r" `+lacking+secrets)
	for _, kind := range []string{"application/merge-patch+json", "application/strategic-merge-patch+json"} {
		got := s.send("PATCH /apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles/r", []byte(`{"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["secrets"]}]}`),
			"Content-Type: "+kind, "Impersonate-User: jane")
		require.Equal(t, 403, got.code, "%s", got.body)
	}
	got := s.send("PATCH /apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles/new?fieldManager=m",
		[]byte(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"new"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["secrets"]}]}`),
		"Content-Type: application/apply-patch+yaml", "Impersonate-User: jane")
	require.Equal(t, 403, got.code, "%s", got.body)

	_, err = jane.RoleBindings("shop").Create(ctx, bound("b", "ClusterRole", "cluster-admin", rbacv1.Subject{Kind: "User", Name: "jane"}), metav1.CreateOptions{})
	require.EqualError(t, err, `rolebindings.rbac.authorization.k8s.io "b" `+lacking+"{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}\n{NonResourceURLs:[\"*\"], Verbs:[\"*\"]}")
	_, err = jane.RoleBindings("shop").Create(ctx, bound("b", "ClusterRole", "gone"), metav1.CreateOptions{})
	require.EqualError(t, err, `rolebindings.rbac.authorization.k8s.io "gone" not found`)
	_, err = jane.RoleBindings("shop").Create(ctx, bound("b", "Role", "r", rbacv1.Subject{Kind: "User", Name: "joe"}), metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = jane.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, metav1.CreateOptions{})
	require.EqualError(t, err, `clusterroles.rbac.authorization.k8s.io is forbidden: User "jane" cannot create resource "clusterroles" in API group "rbac.authorization.k8s.io" at the cluster scope`)
}

// A service account has what it is bound to. So has who shows no credentials: what every cluster binds to him is to see whether it
// is one.
func TestRightsOfAccountsAndStrangers(t *testing.T) {
	s := startServer(t)
	ctx, accounts := t.Context(), s.client.CoreV1().ServiceAccounts("default")
	_, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	issued, err := accounts.CreateToken(ctx, "robot", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = s.client.RbacV1().RoleBindings("default").Create(ctx, bound("all", "ClusterRole", "cluster-admin",
		rbacv1.Subject{Kind: "ServiceAccount", Name: "robot"}), metav1.CreateOptions{})
	require.NoError(t, err)
	robot, nobody := clientOf(t, s.bearer(issued.Status.Token)), clientOf(t, s.bearer(""))
	s.until("the robot may list secrets", func() bool {
		_, err := robot.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{})
		return err == nil
	})
	_, err = robot.CoreV1().Secrets("").List(ctx, metav1.ListOptions{})
	require.True(t, apierrors.IsForbidden(err), "%v", err)
	_, err = nobody.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{})
	require.EqualError(t, err, `secrets is forbidden: User "system:anonymous" cannot list resource "secrets" in API group "" in the namespace "default"`)
	_, err = nobody.Discovery().ServerVersion()
	require.NoError(t, err)
	_, err = s.client.RbacV1().RoleBindings("default").Create(ctx, bound("nobody", "ClusterRole", "system:node-proxier",
		rbacv1.Subject{Kind: "Group", Name: "system:unauthenticated"}), metav1.CreateOptions{})
	require.NoError(t, err)
	s.until("nobody may list services", func() bool {
		_, err := nobody.CoreV1().Services("default").List(ctx, metav1.ListOptions{})
		return err == nil
	})
}

// The roles of components are enough for what they do, and not for more.
func TestRightsOfComponents(t *testing.T) {
	s := startServer(t)
	for component, may := range map[string]map[authorizationv1.ResourceAttributes]bool{
		pki.Scheduler: {
			{Verb: "create", Resource: "pods", Subresource: "binding", Namespace: "x"}:                         true,
			{Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Name: "kube-scheduler"}:         true,
			{Verb: "watch", Group: "storage.k8s.io", Resource: "csinodes"}:                                     true,
			{Verb: "get", Resource: "secrets", Namespace: "kube-system"}:                                       false,
			{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings", Name: "any"}: false,
		},
		pki.ControllerManager: {
			{Verb: "create", Resource: "pods", Namespace: "x"}:                                          true,
			{Verb: "update", Group: "apps", Resource: "deployments", Subresource: "status"}:             true,
			{Verb: "delete", Group: "example.com", Resource: "widgets"}:                                 true,
			{Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"}:            true,
			{Verb: "create", Resource: "pods", Subresource: "exec"}:                                     false,
			{Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"}:                false,
			{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings"}:       false,
			{Verb: "impersonate", Resource: "users", Name: "kubernetes-admin"}:                          false,
			{Verb: "approve", Group: "certificates.k8s.io", Resource: "signers", Name: "example.com/s"}: false,
		},
		pki.Proxy: {
			{Verb: "watch", Group: "discovery.k8s.io", Resource: "endpointslices"}: true,
			{Verb: "update", Resource: "services"}:                                 false,
		},
	} {
		reviews := clientOf(t, s.as(s.options.PKI.Component(component))).AuthorizationV1().SelfSubjectAccessReviews()
		for what, want := range may {
			got, err := reviews.Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &what}}, metav1.CreateOptions{})
			require.NoError(t, err)
			require.Equal(t, want, got.Status.Allowed, "%s: %s", component, what.String())
		}
	}
}

// Who may act as another may do so fully, by the old verb, or only for what he is let do while being him.
func TestRightsToActAsOthers(t *testing.T) {
	s := startServer(t)
	ctx, access := t.Context(), s.client.RbacV1()
	grant := func(name string, rules ...rbacv1.PolicyRule) (token string) {
		t.Helper()
		_, err := access.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})
		require.NoError(t, err)
		_, err = access.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: name}, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: name}}}, metav1.CreateOptions{})
		require.NoError(t, err)
		accounts := s.client.CoreV1().ServiceAccounts("default")
		_, err = accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		require.NoError(t, err)
		issued, err := accounts.CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		require.NoError(t, err)
		s.until(name+" has its rights", func() bool {
			got, err := s.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:serviceaccount:default:" + name, ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: rules[0].Verbs[0], Group: rules[0].APIGroups[0], Resource: rules[0].Resources[0]}}}, metav1.CreateOptions{})
			require.NoError(t, err)
			return got.Status.Allowed
		})
		return issued.Status.Token
	}
	as := func(token string, who rest.ImpersonationConfig) kubernetes.Interface {
		c := rest.CopyConfig(s.bearer(token))
		c.Impersonate = who
		return clientOf(t, c)
	}
	agent := grant("agent", rule([]string{"impersonate:arbitrary-node"}, "authentication.k8s.io", "nodes"),
		rule([]string{"impersonate-on:arbitrary-node:list"}, "", "services"))
	node := as(agent, rest.ImpersonationConfig{UserName: "system:node:n1"})
	_, err := node.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	_, err = node.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{})
	require.EqualError(t, err, `services "kubernetes" is forbidden: User "system:serviceaccount:default:agent" cannot impersonate-on:arbitrary-node:get resource "services" in API group "" in the namespace "default"`)
	_, err = as(agent, rest.ImpersonationConfig{UserName: "system:node:n1", Groups: []string{"system:nodes"}}).CoreV1().Services("").List(ctx, metav1.ListOptions{})
	require.EqualError(t, err, `users "system:node:n1" is forbidden: User "system:serviceaccount:default:agent" cannot impersonate resource "users" in API group "" at the cluster scope`)

	helper := grant("helper", rule([]string{"impersonate:user-info"}, "authentication.k8s.io", "users", "groups"),
		rule([]string{"impersonate-on:user-info:create"}, "authentication.k8s.io", "selfsubjectreviews"))
	who := func(client kubernetes.Interface) (*authenticationv1.SelfSubjectReview, error) {
		return client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	}
	got, err := who(as(helper, rest.ImpersonationConfig{UserName: "jane", Groups: []string{"a", "b", "c", "d"}}))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c", "d", "system:authenticated"}, got.Status.UserInfo.Groups)
	_, err = who(as(helper, rest.ImpersonationConfig{UserName: "jane", Groups: []string{"system:masters"}}))
	require.EqualError(t, err, `groups.authentication.k8s.io "system:masters" is forbidden: User "system:serviceaccount:default:helper" cannot impersonate:user-info resource "groups" in API group "authentication.k8s.io" at the cluster scope: impersonating the system:masters group is not allowed`)
	_, err = who(as(helper, rest.ImpersonationConfig{UserName: "jane", UID: "7"}))
	require.EqualError(t, err, `uids.authentication.k8s.io "7" is forbidden: User "system:serviceaccount:default:helper" cannot impersonate:user-info resource "uids" in API group "authentication.k8s.io" at the cluster scope`)

	old := grant("old", rule([]string{"impersonate"}, "", "users", "groups"))
	got, err = who(as(old, rest.ImpersonationConfig{UserName: "jane", Groups: []string{"system:masters"}}))
	require.NoError(t, err)
	require.Equal(t, []string{"system:masters", "system:authenticated"}, got.Status.UserInfo.Groups)

	refused := s.send("GET /api", nil, "Impersonate-Group: devs")
	require.Equal(t, 400, refused.code)
	require.Contains(t, string(refused.body), `requested \u0026user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"devs\"}, Extra:map[string][]string(nil)} without impersonating a user name`)
}

// The controllers fill admin, edit and view, also with what is added later.
func TestAggregation(t *testing.T) {
	c := startControllers(t)
	ctx, roles := t.Context(), c.client.RbacV1().ClusterRoles()
	has := func(name string, want rbacv1.PolicyRule) func() bool {
		return func() bool {
			r, err := roles.Get(ctx, name, metav1.GetOptions{})
			require.NoError(t, err)
			for _, have := range r.Rules {
				if have.String() == want.String() {
					return true
				}
			}
			return false
		}
	}
	c.until("admin has what edit has of view", has("admin", rule([]string{"get", "list", "watch"}, "", "namespaces")))
	widgets := rule([]string{"create"}, "example.com", "widgets")
	chart := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "chart", Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-edit": "true"}},
		Rules: []rbacv1.PolicyRule{widgets}}
	_, err := roles.Create(ctx, chart, metav1.CreateOptions{})
	require.NoError(t, err)
	c.until("edit has the chart's rules", has("edit", widgets))
	c.until("admin too", has("admin", widgets))
	require.False(t, has("view", widgets)())
	require.NoError(t, roles.Delete(ctx, "chart", metav1.DeleteOptions{}))
	c.until("they are gone with it", func() bool { return !has("edit", widgets)() && !has("admin", widgets)() })
}
