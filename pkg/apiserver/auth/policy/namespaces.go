package policy

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/resource"
)

// namespacedObjects are what is granted in the cluster's own namespaces only.
func namespacedObjects() []resource.Object {
	const system, public = metav1.NamespaceSystem, metav1.NamespacePublic
	var out []resource.Object
	for _, g := range systemRoles() {
		out = append(out, g.objectIn(system))
	}
	for _, b := range systemBindings() {
		out = append(out, b.objectIn(system))
	}
	signer := grant{name: "system:controller:bootstrap-signer", rules: []rbacv1.PolicyRule{
		rule(read, "core", "configmaps"),
		rule("update", "core", "configmaps", "cluster-info"),
		eventsRule(),
	}}
	return append(out, signer.objectIn(public), binding{name: signer.name, accounts: "bootstrap-signer"}.objectIn(public))
}

func systemRoles() []grant {
	return []grant{
		{name: "extension-apiserver-authentication-reader", rules: []rbacv1.PolicyRule{
			rule(read, "core", "configmaps", "extension-apiserver-authentication"),
		}},
		{name: "system:controller:bootstrap-signer", rules: []rbacv1.PolicyRule{rule(read, "core", "secrets")}},
		{name: "system:controller:cloud-provider", rules: []rbacv1.PolicyRule{rule("create "+read, "core", "configmaps")}},
		{name: "system:controller:token-cleaner", rules: []rbacv1.PolicyRule{
			rule("delete "+read, "core", "secrets"),
			eventsRule(),
		}},
		leaderLocking("kube-controller-manager"),
		leaderLocking("kube-scheduler"),
	}
}

// leaderLocking is for those who elect a leader among them.
func leaderLocking(name string) grant {
	const verbs, group = read + " create update", "coordination.k8s.io"
	return grant{name: "system::leader-locking-" + name, rules: []rbacv1.PolicyRule{
		rule(verbs, group, "leases"),
		rule(verbs, group, "leasecandidates"),
	}}
}

func systemBindings() []binding {
	const reader, locking = "extension-apiserver-authentication-reader", "system::leader-locking-"
	return []binding{
		{name: "system::" + reader, role: reader, users: controllerManager + " system:kube-scheduler"},
		{name: locking + "kube-controller-manager", users: controllerManager, accounts: "kube-controller-manager leader-election-controller"},
		{name: locking + "kube-scheduler", users: "system:kube-scheduler", accounts: "kube-scheduler"},
		{name: "system:controller:bootstrap-signer", accounts: "bootstrap-signer"},
		{name: "system:controller:cloud-provider", accounts: "cloud-provider"},
		{name: "system:controller:token-cleaner", accounts: "token-cleaner"},
	}
}
