package auth

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

const (
	read   = "get list watch"
	events = "core events.k8s.io"
)

// DefaultGrants are upstream's default roles for those who are there from the start. Service accounts have none but
// what every authenticated user has.
func DefaultGrants() Grants {
	return Grants{
		{Role: "cluster-admin", Groups: []string{Superusers}, Rules: []rbacv1.PolicyRule{rule("*", "*", "*"), urls("*", "*")}},
		{Role: "system:discovery", Groups: []string{Authenticated}, Rules: []rbacv1.PolicyRule{
			urls("get", "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/"),
		}},
		{Role: "system:basic-user", Groups: []string{Authenticated}, Rules: []rbacv1.PolicyRule{
			rule("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
			rule("create", "authentication.k8s.io", "selfsubjectreviews"),
		}},
		{Role: "system:public-info-viewer", Groups: []string{Authenticated, Unauthenticated}, Rules: []rbacv1.PolicyRule{
			urls("get", "/healthz /livez /readyz /version /version/"),
		}},
		{Role: "system:service-account-issuer-discovery", Groups: []string{"system:serviceaccounts"}, Rules: []rbacv1.PolicyRule{
			urls("get", "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/"),
		}},
		{Role: "system:monitoring", Groups: []string{"system:monitoring"}, Rules: []rbacv1.PolicyRule{
			urls("get", "/healthz /healthz/* /livez /livez/* /readyz /readyz/* /metrics /metrics/slis"),
		}},
		{Role: "system:kube-scheduler", Users: []string{"system:kube-scheduler"}, Rules: schedulerRules()},
		{Role: "system:kube-controller-manager", Users: []string{"system:kube-controller-manager"}, Rules: controllerRules()},
		{Role: "system:node-proxier", Users: []string{"system:kube-proxy"}, Rules: proxyRules()},
	}
}

// schedulerRules are those of system:kube-scheduler and system:volume-scheduler.
func schedulerRules() []rbacv1.PolicyRule {
	return append(leader("kube-scheduler"),
		rule("create patch update", events, "events"),
		rule(read, "core", "nodes namespaces replicationcontrollers services persistentvolumeclaims persistentvolumes"),
		rule(read+" delete", "core", "pods"),
		rule("create", "core", "bindings pods/binding"),
		rule("patch update", "core", "pods/status"),
		rule("patch update", "core", "persistentvolumeclaims persistentvolumes"),
		rule(read, "apps", "replicasets statefulsets"),
		rule(read, "policy", "poddisruptionbudgets"),
		rule(read, "storage.k8s.io", "csidrivers csinodes csistoragecapacities storageclasses volumeattachments"),
		rule(read, "resource.k8s.io", "deviceclasses resourceclaims resourceslices"),
		rule("create", "authentication.k8s.io", "tokenreviews"),
		rule("create", "authorization.k8s.io", "subjectaccessreviews"),
	)
}

// controllerRules let one identity do what upstream's controllers do under one service account each: the garbage
// collector and the namespace controller reach objects of every kind, and the others create what they own.
func controllerRules() []rbacv1.PolicyRule {
	return append(leader("kube-controller-manager"),
		rule("create patch update", events, "events"),
		rule(read+" patch update delete deletecollection", "*", "*"),
		rule("create", "core", "configmaps endpoints namespaces persistentvolumeclaims persistentvolumes pods pods/eviction secrets serviceaccounts serviceaccounts/token"),
		rule("create", "apps", "controllerrevisions replicasets"),
		rule("create", "batch", "jobs"),
		rule("create", "discovery.k8s.io", "endpointslices"),
		rule("create", "networking.k8s.io", "ipaddresses servicecidrs"),
		rule("create", "resource.k8s.io", "resourceclaims"),
		rule("create", "authentication.k8s.io", "tokenreviews"),
		rule("create", "authorization.k8s.io", "subjectaccessreviews"),
		rule("approve sign", "certificates.k8s.io", "signers"),
		urls("get", "*"),
	)
}

func proxyRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("list watch", "core", "services endpoints"),
		rule(read, "core", "nodes"),
		rule("create patch update", events, "events"),
		rule("list watch", "discovery.k8s.io", "endpointslices"),
		rule("list watch", "networking.k8s.io", "servicecidrs"),
	}
}

// nodeRules are those of system:node for what Node does not divide further.
var nodeRules = []rbacv1.PolicyRule{
	rule("create", "authentication.k8s.io", "tokenreviews"),
	rule("create", "authorization.k8s.io", "subjectaccessreviews localsubjectaccessreviews"),
	rule(read, "core", "services"),
	rule("create patch update", events, "events"),
	rule("get", "core", "endpoints"),
	rule("create "+read, "certificates.k8s.io", "certificatesigningrequests"),
	rule(read, "certificates.k8s.io", "clustertrustbundles"),
	rule(read, "storage.k8s.io", "csidrivers"),
	rule(read, "node.k8s.io", "runtimeclasses"),
}

// leader is what a component needs to hold the lease of its name.
func leader(name string) []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("create", "coordination.k8s.io", "leases"),
		rule("get update", "coordination.k8s.io", "leases", name),
	}
}

func words(s string) []string {
	list := strings.Fields(s)
	if i := slices.Index(list, "core"); i >= 0 {
		list[i] = ""
	}
	return list
}
