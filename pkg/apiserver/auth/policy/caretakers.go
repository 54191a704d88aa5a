package policy

import rbacv1 "k8s.io/api/rbac/v1"

func storageControllers() []grant {
	return []grant{
		{name: "attachdetach-controller", rules: []rbacv1.PolicyRule{
			rule("list watch", "core", "persistentvolumes persistentvolumeclaims"),
			rule(read, "core", "nodes"),
			rule("patch update", "core", "nodes/status"),
			rule("list watch", "core", "pods"),
			eventsRule(),
			rule(read+" create delete", "storage.k8s.io", "volumeattachments"),
			rule(read, "storage.k8s.io", "csidrivers"),
			rule(read, "storage.k8s.io", "csinodes"),
		}},
		{name: "persistent-volume-binder", rules: []rbacv1.PolicyRule{
			rule(read+" update create delete", "core", "persistentvolumes"),
			rule("update", "core", "persistentvolumes/status"),
			rule(read+" update", "core", "persistentvolumeclaims"),
			rule("update", "core", "persistentvolumeclaims/status"),
			rule(read+" create delete", "core", "pods"),
			rule(read, "storage.k8s.io", "storageclasses"),
			rule("list watch", "core", "nodes"),
			eventsRule(),
			rule("watch", "core", "events"),
		}},
		{name: "expand-controller", rules: []rbacv1.PolicyRule{
			rule(readUpdate, "core", "persistentvolumes"),
			rule("patch update", "core", "persistentvolumeclaims/status"),
			rule(read, "core", "persistentvolumeclaims"),
			eventsRule(),
		}},
		{name: "ephemeral-volume-controller", rules: []rbacv1.PolicyRule{
			rule(read, "core", "pods"),
			rule("update", "core", "pods/finalizers"),
			rule(read+" create", "core", "persistentvolumeclaims"),
			eventsRule(),
		}},
		{name: "pvc-protection-controller", rules: []rbacv1.PolicyRule{
			rule(read+" update", "core", "persistentvolumeclaims"),
			rule("update", "core", "persistentvolumeclaims/status"),
			rule(read, "core", "pods"),
			eventsRule(),
		}},
		{name: "pv-protection-controller", rules: []rbacv1.PolicyRule{
			rule(read+" update", "core", "persistentvolumes"),
			eventsRule(),
		}},
		{name: "volumeattributesclass-protection-controller", rules: []rbacv1.PolicyRule{
			rule(read, "core", "persistentvolumeclaims"),
			rule(read, "core", "persistentvolumes"),
			rule(read+" update", "storage.k8s.io", "volumeattributesclasses"),
			eventsRule(),
		}},
		{name: "selinux-warning-controller", rules: []rbacv1.PolicyRule{
			eventsRule(),
			rule(read, "core", "persistentvolumes"),
			rule(read, "core", "persistentvolumeclaims"),
			rule(read, "core", "pods"),
			rule(read, "storage.k8s.io", "csidrivers"),
		}},
		{name: "resource-claim-controller", rules: []rbacv1.PolicyRule{
			rule(read, "core", "pods"),
			rule("update", "core", "pods/finalizers"),
			rule(read+" create delete", "resource.k8s.io", "resourceclaims"),
			rule("patch update", "resource.k8s.io", "resourceclaims resourceclaims/status"),
			rule("patch update", "core", "pods/status"),
			eventsRule(),
			rule("patch update", "resource.k8s.io", "resourceclaims/binding"),
		}},
		{name: "device-taint-eviction-controller", rules: []rbacv1.PolicyRule{
			rule(read+" delete", "core", "pods"),
			rule("patch update", "core", "pods/status"),
			rule(read, "resource.k8s.io", "resourceclaims"),
			rule(read, "resource.k8s.io", "resourceslices"),
			rule(read, "resource.k8s.io", "deviceclasses"),
			eventsRule(),
			rule("patch update", "resource.k8s.io", "devicetaintrules/status"),
			rule(read, "resource.k8s.io", "devicetaintrules"),
		}},
	}
}

// clusterControllers take care of nodes, namespaces, certificates, rights and what is left over.
func clusterControllers() []grant {
	const certificates = "certificates.k8s.io"
	return []grant{
		{name: "node-controller", rules: []rbacv1.PolicyRule{
			rule(readUpdate+" delete", "core", "nodes"),
			rule("patch update", "core", "nodes/status"),
			rule("patch update", "core", "pods/status"),
			rule(read+" delete", "core", "pods"),
			rule(read, "coordination.k8s.io", "leases"),
			eventsRule(),
		}},
		{name: "ttl-controller", rules: []rbacv1.PolicyRule{
			rule("update patch list watch", "core", "nodes"),
			eventsRule(),
		}},
		{name: "namespace-controller", rules: []rbacv1.PolicyRule{
			rule(read+" delete", "core", "namespaces"),
			rule("update", "core", "namespaces/finalize namespaces/status"),
			rule(read+" delete deletecollection", "*", "*"),
		}},
		{name: "generic-garbage-collector", rules: []rbacv1.PolicyRule{
			rule(readUpdate+" delete", "*", "*"),
			eventsRule(),
		}},
		{name: "resourcequota-controller", rules: []rbacv1.PolicyRule{
			rule("list watch", "*", "*"),
			rule("update", "core", "resourcequotas/status"),
			eventsRule(),
		}},
		{name: "service-account-controller", rules: []rbacv1.PolicyRule{
			rule("create", "core", "serviceaccounts"),
			eventsRule(),
		}},
		{name: "legacy-service-account-token-cleaner", rules: []rbacv1.PolicyRule{
			rule("get", "core", "configmaps", "kube-apiserver-legacy-service-account-token-tracking"),
			rule("patch delete", "core", "secrets"),
		}},
		{name: "root-ca-cert-publisher", rules: []rbacv1.PolicyRule{
			rule("create update", "core", "configmaps"),
			eventsRule(),
		}},
		{name: "kube-apiserver-serving-clustertrustbundle-publisher", rules: []rbacv1.PolicyRule{
			rule("attest", certificates, "signers", "kubernetes.io/kube-apiserver-serving"),
			rule("create update delete list watch", certificates, "clustertrustbundles"),
			eventsRule(),
		}},
		{name: "certificate-controller", rules: []rbacv1.PolicyRule{
			rule(read+" delete", certificates, "certificatesigningrequests"),
			rule("update", certificates, "certificatesigningrequests/status certificatesigningrequests/approval"),
			rule("approve", certificates, "signers", "kubernetes.io/kube-apiserver-client-kubelet"),
			rule("sign", certificates, "signers", "kubernetes.io/legacy-unknown", "kubernetes.io/kube-apiserver-client",
				"kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving"),
			rule("create", "authorization.k8s.io", "subjectaccessreviews"),
			eventsRule(),
		}},
		{name: "podcertificaterequestcleaner", rules: []rbacv1.PolicyRule{
			rule(read+" delete", certificates, "podcertificaterequests"),
		}},
		{name: "clusterrole-aggregation-controller", rules: []rbacv1.PolicyRule{
			rule("escalate "+readUpdate, "rbac.authorization.k8s.io", "clusterroles"),
		}},
		{name: "validatingadmissionpolicy-status-controller", rules: []rbacv1.PolicyRule{
			rule(read, "admissionregistration.k8s.io", "validatingadmissionpolicies"),
			rule("get patch update", "admissionregistration.k8s.io", "validatingadmissionpolicies/status"),
			eventsRule(),
		}},
		{name: "storage-version-migrator-controller", rules: []rbacv1.PolicyRule{
			rule("list patch", "*", "*"),
			rule("get", "apiextensions.k8s.io", "customresourcedefinitions"),
			rule("patch", "apiextensions.k8s.io", "customresourcedefinitions/status"),
			rule("update", "storagemigration.k8s.io", "storageversionmigrations/status"),
		}},
	}
}
