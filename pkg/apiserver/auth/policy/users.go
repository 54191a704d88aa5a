package policy

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/resource"
)

// userRoles are for people, and for everybody.
func userRoles() []grant {
	return []grant{
		{name: "cluster-admin", rules: []rbacv1.PolicyRule{rule("*", "*", "*"), urls("*", "*")}},
		{name: "system:discovery", rules: []rbacv1.PolicyRule{
			urls("get", "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/"),
		}},
		{name: "system:basic-user", rules: []rbacv1.PolicyRule{
			rule("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
			rule("create", "authentication.k8s.io", "selfsubjectreviews"),
		}},
		{name: "system:public-info-viewer", rules: []rbacv1.PolicyRule{
			urls("get", "/healthz /livez /readyz /version /version/"),
		}},
		{name: "system:monitoring", rules: []rbacv1.PolicyRule{
			urls("get", "/flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* /statusz"),
			rule("get", "core", "nodes/metrics"),
		}},
		{name: "system:service-account-issuer-discovery", rules: []rbacv1.PolicyRule{
			urls("get", "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/"),
		}},
		{name: "system:cluster-trust-bundle-discovery", rules: []rbacv1.PolicyRule{
			rule(read, "certificates.k8s.io", "clustertrustbundles"),
		}},
		{name: "system:aggregate-to-admin", part: "admin", rules: []rbacv1.PolicyRule{
			rule("create", "authorization.k8s.io", "localsubjectaccessreviews"),
			rule(readWrite, "rbac.authorization.k8s.io", "roles rolebindings"),
		}},
		{name: "system:aggregate-to-edit", part: "edit", rules: editRules()},
		{name: "system:aggregate-to-view", part: "view", rules: viewRules()},
	}
}

// editRules let somebody work in a namespace. Reading is in viewRules, but for what gives more than one sees.
func editRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule(read, "core", "pods/attach pods/proxy pods/exec pods/portforward secrets services/proxy"),
		rule("impersonate", "core", "serviceaccounts"),
		rule(write, "core", "pods pods/attach pods/proxy pods/exec pods/portforward"),
		rule("create", "core", "pods/eviction"),
		rule(write, "core", "replicationcontrollers replicationcontrollers/scale serviceaccounts services services/proxy "+
			"persistentvolumeclaims configmaps secrets"),
		rule("create", "core", "serviceaccounts/token"),
		rule(write, "core events.k8s.io", "events"),
		rule(write, "apps", "statefulsets statefulsets/scale daemonsets deployments deployments/scale deployments/rollback "+
			"replicasets replicasets/scale"),
		rule(write, "autoscaling", "horizontalpodautoscalers"),
		rule(write, "batch", "jobs cronjobs"),
		rule(write, "extensions", "daemonsets deployments deployments/scale deployments/rollback ingresses replicasets "+
			"replicasets/scale replicationcontrollers/scale networkpolicies"),
		rule(write, "policy", "poddisruptionbudgets"),
		rule(write, "networking.k8s.io", "networkpolicies ingresses"),
		rule(readWrite, "coordination.k8s.io", "leases"),
		rule(write, "resource.k8s.io", "resourceclaims resourceclaimtemplates"),
	}
}

// viewRules let somebody see a namespace, but not its secrets: those would let him be others.
func viewRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule(read, "core", "pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status "+
			"endpoints persistentvolumeclaims persistentvolumeclaims/status configmaps"),
		rule(read, "core", "limitranges resourcequotas bindings pods/status resourcequotas/status namespaces/status "+
			"replicationcontrollers/status pods/log"),
		rule(read, "core", "namespaces"),
		rule(read, "core events.k8s.io", "events"),
		rule(read, "discovery.k8s.io", "endpointslices"),
		rule(read, "apps", "controllerrevisions statefulsets statefulsets/status statefulsets/scale daemonsets daemonsets/status "+
			"deployments deployments/status deployments/scale replicasets replicasets/status replicasets/scale"),
		rule(read, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
		rule(read, "batch", "jobs cronjobs cronjobs/status jobs/status"),
		rule(read, "extensions", "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses "+
			"ingresses/status replicasets replicasets/scale replicasets/status replicationcontrollers/scale networkpolicies"),
		rule(read, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
		rule(read, "networking.k8s.io", "networkpolicies ingresses ingresses/status"),
		rule(read, "resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates"),
	}
}

// aggregatedRoles are admin, edit and view, each a part of the one before. A controller fills them with the rules of the roles that
// are labelled for them (pkg/controller/clusterroleaggregation).
func aggregatedRoles() []resource.Object {
	var out []resource.Object
	names := []string{"admin", "edit", "view"}
	for i, name := range names {
		r := &rbacv1.ClusterRole{ObjectMeta: meta("", name)}
		r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
			{MatchLabels: map[string]string{aggregateTo + name: "true"}},
		}}
		if i > 0 {
			r.Labels[aggregateTo+names[i-1]] = "true"
		}
		out = append(out, r)
	}
	return out
}

// clusterBindings are those to users, groups and add-ons. What has a binding by default is little: cluster-admin, and what one needs to
// find out about the server and oneself.
func clusterBindings() []binding {
	everybody := "system:authenticated"
	return slices.Concat([]binding{
		{name: "cluster-admin", groups: "system:masters"},
		{name: "system:monitoring", groups: "system:monitoring"},
		{name: "system:discovery", groups: everybody},
		{name: "system:basic-user", groups: everybody},
		{name: "system:public-info-viewer", groups: everybody + " system:unauthenticated"},
		{name: "system:service-account-issuer-discovery", groups: "system:serviceaccounts"},
		{name: "system:cluster-trust-bundle-discovery", groups: "system:serviceaccounts"},
	}, componentBindings())
}
