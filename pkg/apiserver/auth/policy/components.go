package policy

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// componentRoles are for the parts of a cluster, and for add-ons that come from elsewhere.
func componentRoles() []grant {
	return slices.Concat([]grant{
		{name: "system:kube-scheduler", rules: schedulerRules()},
		{name: "system:volume-scheduler", rules: []rbacv1.PolicyRule{
			rule(readUpdate, "core", "persistentvolumes"),
			rule(read, "storage.k8s.io", "storageclasses"),
			rule(readUpdate, "core", "persistentvolumeclaims"),
		}},
		{name: "system:kube-controller-manager", rules: controllerManagerRules()},
		{name: "system:node", rules: NodeRules()},
		{name: "system:node-proxier", rules: []rbacv1.PolicyRule{
			rule("list watch", "core", "services endpoints"),
			rule(read, "core", "nodes"),
			eventsRule(),
			rule("list watch", "networking.k8s.io", "servicecidrs"),
			rule("list watch", "discovery.k8s.io", "endpointslices"),
		}},
		{name: "system:node-bootstrapper", rules: []rbacv1.PolicyRule{
			rule("create "+read, "certificates.k8s.io", "certificatesigningrequests"),
		}},
		{name: "system:node-problem-detector", rules: []rbacv1.PolicyRule{
			rule("get", "core", "nodes"),
			rule("patch", "core", "nodes/status"),
			eventsRule(),
		}},
		{name: "system:kubelet-api-admin", rules: []rbacv1.PolicyRule{
			rule(read, "core", "nodes"),
			rule("proxy", "core", "nodes"),
			rule("*", "core", "nodes/proxy nodes/metrics nodes/stats nodes/log"),
			rule("*", "core", "nodes/configz nodes/healthz nodes/pods"),
		}},
		{name: "system:auth-delegator", rules: reviewRules()},
		{name: "system:kube-aggregator", rules: []rbacv1.PolicyRule{rule(read, "core", "services endpoints")}},
		{name: "system:kube-dns", rules: []rbacv1.PolicyRule{rule("list watch", "core", "endpoints services")}},
		{name: "system:heapster", rules: []rbacv1.PolicyRule{
			rule(read, "core", "events pods nodes namespaces"),
			rule(read, "extensions", "deployments"),
		}},
		{name: "system:persistent-volume-provisioner", rules: []rbacv1.PolicyRule{
			rule("create delete "+read, "core", "persistentvolumes"),
			rule(read+" update", "core", "persistentvolumeclaims"),
			rule(read, "storage.k8s.io", "storageclasses"),
			rule("watch", "core", "events"),
			eventsRule(),
		}},
	}, certificateRoles())
}

// certificateRoles are for who approves requests for certificates.
func certificateRoles() []grant {
	const group = "certificates.k8s.io"
	out := []grant{}
	for _, sub := range []string{"nodeclient", "selfnodeclient"} {
		out = append(out, grant{name: "system:" + group + ":certificatesigningrequests:" + sub,
			rules: []rbacv1.PolicyRule{rule("create", group, "certificatesigningrequests/"+sub)}})
	}
	for _, signer := range []string{"legacy-unknown", "kubelet-serving", "kube-apiserver-client", "kube-apiserver-client-kubelet"} {
		out = append(out, grant{name: "system:" + group + ":" + signer + "-approver",
			rules: []rbacv1.PolicyRule{rule("approve", group, "signers", "kubernetes.io/"+signer)}})
	}
	return out
}

func componentBindings() []binding {
	return []binding{
		{name: "system:kube-scheduler", users: "system:kube-scheduler"},
		{name: "system:volume-scheduler", users: "system:kube-scheduler"},
		{name: "system:kube-controller-manager", users: controllerManager},
		{name: "system:node-proxier", users: "system:kube-proxy"},
		{name: "system:kube-dns", accounts: "kube-dns"},
		{name: "system:node"}, // kubelets have their rights from the Node authorizer, and nobody by this
	}
}

// NodeRules are what kubelets do. The Node authorizer holds each to the objects of its own node; system:node, which has these rules
// too, is bound to nobody.
func NodeRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("create", "authentication.k8s.io", "tokenreviews"),
		rule("create", "authorization.k8s.io", "subjectaccessreviews localsubjectaccessreviews"),
		rule(read, "core", "services"),
		rule("create "+read, "core", "nodes"),
		rule("patch update", "core", "nodes/status"),
		rule("patch update", "core", "nodes"),
		eventsRule(),
		rule(read, "core", "pods"),
		rule("create delete", "core", "pods"),
		rule("patch update", "core", "pods/status"),
		rule("create", "core", "pods/eviction"),
		rule(read, "core", "secrets configmaps"),
		rule("get", "core", "persistentvolumeclaims persistentvolumes"),
		rule("get", "core", "endpoints"),
		rule("create "+read, "certificates.k8s.io", "certificatesigningrequests"),
		rule("create delete get patch update", "coordination.k8s.io", "leases"),
		rule("get", "storage.k8s.io", "volumeattachments"),
		rule("create", "core", "serviceaccounts/token"),
		rule("get patch update", "core", "persistentvolumeclaims/status"),
		rule(read, "storage.k8s.io", "csidrivers"),
		rule("create delete get patch update", "storage.k8s.io", "csinodes"),
		rule(read, "node.k8s.io", "runtimeclasses"),
		rule("get", "resource.k8s.io", "resourceclaims"),
		rule("deletecollection", "resource.k8s.io", "resourceslices"),
		rule(read, "certificates.k8s.io", "clustertrustbundles"),
		rule("get", "core", "serviceaccounts"),
		rule("create "+read, "certificates.k8s.io", "podcertificaterequests"),
	}
}

func schedulerRules() []rbacv1.PolicyRule {
	return slices.Concat([]rbacv1.PolicyRule{eventsRule()}, []rbacv1.PolicyRule{
		rule("create", "coordination.k8s.io", "leases"),
		rule(read+" update", "coordination.k8s.io", "leases", "kube-scheduler"),
		rule(readWrite, "coordination.k8s.io", "leasecandidates"),
		rule(read, "core", "nodes"),
		rule("delete "+read, "core", "pods"),
		rule("create", "core", "pods/binding bindings"),
		rule("patch update", "core", "pods/status"),
		rule(read, "core", "services replicationcontrollers"),
		rule(read, "apps extensions", "replicasets"),
		rule(read, "apps", "statefulsets"),
		rule(read, "policy", "poddisruptionbudgets"),
		rule(read, "core", "persistentvolumeclaims persistentvolumes"),
	}, reviewRules(), []rbacv1.PolicyRule{
		rule(read, "storage.k8s.io", "csinodes"),
		rule(read, "storage.k8s.io", "volumeattachments"),
		rule(read, "core", "namespaces"),
		rule(read, "storage.k8s.io", "csidrivers"),
		rule(read, "storage.k8s.io", "csistoragecapacities"),
		rule(read, "resource.k8s.io", "deviceclasses"),
		rule(readUpdate, "resource.k8s.io", "resourceclaims"),
		rule(readUpdate, "resource.k8s.io", "resourceclaims/status"),
		rule("update", "core", "pods/finalizers"),
		rule(read, "resource.k8s.io", "resourceslices"),
		rule("create delete", "resource.k8s.io", "resourceclaims"),
		rule(read, "resource.k8s.io", "devicetaintrules"),
		rule("patch update", "resource.k8s.io", "resourceclaims/binding"),
	})
}

// controllerManagerRules are what the process needs besides its controllers: to watch all, and to make their service accounts.
func controllerManagerRules() []rbacv1.PolicyRule {
	return slices.Concat([]rbacv1.PolicyRule{eventsRule()}, []rbacv1.PolicyRule{
		rule("create", "coordination.k8s.io", "leases"),
		rule("get update", "coordination.k8s.io", "leases", "kube-controller-manager"),
		rule("create", "core", "secrets serviceaccounts"),
		rule("delete", "core", "secrets"),
		rule("get", "core", "namespaces secrets serviceaccounts configmaps"),
		rule("update", "core", "secrets serviceaccounts"),
	}, reviewRules(), []rbacv1.PolicyRule{
		rule("list watch", "*", "*"),
		rule("create", "core", "serviceaccounts/token"),
	})
}
