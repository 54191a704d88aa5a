package policy

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"bonsai/pkg/resource"
)

// controllerManager is the one identity of all controllers of this cluster.
const controllerManager = "system:kube-controller-manager"

// running are the roles of those controllers that the controller manager runs, so that it has to have them; a new controller adds its own.
// Several controllers may share a role: node-controller is that of nodeipam, nodelifecycle and tainteviction.
var running = strings.Fields(`
	clusterrole-aggregation-controller deployment-controller endpoint-controller endpointslice-controller generic-garbage-collector
	namespace-controller node-controller pod-garbage-collector pv-protection-controller pvc-protection-controller replicaset-controller
	resourcequota-controller root-ca-cert-publisher service-account-controller service-cidrs-controller volumeattributesclass-protection-controller
`)

// controllerPrefix begins the names of the roles. What follows is the name of the service account that upstream's controller may use.
const controllerPrefix = "system:controller:"

// controllerObjects are the roles and bindings of all controllers.
func controllerObjects() []resource.Object {
	var out []resource.Object
	for _, c := range slices.Concat(workloadControllers(), networkControllers(), storageControllers(), clusterControllers()) {
		b := binding{name: controllerPrefix + c.name, accounts: c.name}
		if slices.Contains(running, c.name) {
			b.more = controllerManager
		}
		c.name = b.name
		out = append(out, c.object(), b.clusterObject())
	}
	return out
}

func workloadControllers() []grant {
	return []grant{
		{name: "deployment-controller", rules: []rbacv1.PolicyRule{
			rule(read+" update", "apps extensions", "deployments"),
			rule("update", "apps extensions", "deployments/status"),
			rule("update", "apps extensions", "deployments/finalizers"),
			rule(read+" create update patch delete", "apps extensions", "replicasets"),
			rule(read+" update", "core", "pods"),
			eventsRule(),
		}},
		{name: "replicaset-controller", rules: []rbacv1.PolicyRule{
			rule(read+" update", "apps extensions", "replicasets"),
			rule("update", "apps extensions", "replicasets/status"),
			rule("update", "apps extensions", "replicasets/finalizers"),
			rule("list watch patch create delete", "core", "pods"),
			eventsRule(),
		}},
		{name: "replication-controller", rules: []rbacv1.PolicyRule{
			rule(read+" update", "core", "replicationcontrollers"),
			rule("update", "core", "replicationcontrollers/status"),
			rule("update", "core", "replicationcontrollers/finalizers"),
			rule("list watch patch create delete", "core", "pods"),
			eventsRule(),
		}},
		{name: "statefulset-controller", rules: []rbacv1.PolicyRule{
			rule("list watch", "core", "pods"),
			rule(read, "apps", "statefulsets"),
			rule("update", "apps", "statefulsets/status"),
			rule("update", "apps", "statefulsets/finalizers"),
			rule("get create delete update patch", "core", "pods"),
			rule("create delete update patch "+read, "apps", "controllerrevisions"),
			rule("create "+read, "core", "persistentvolumeclaims"),
			rule("update delete", "core", "persistentvolumeclaims"),
			rule("update", "core", "pods/finalizers"),
			eventsRule(),
		}},
		{name: "daemon-set-controller", rules: []rbacv1.PolicyRule{
			rule(read, "apps extensions", "daemonsets"),
			rule("update", "apps extensions", "daemonsets/status"),
			rule("update", "apps extensions", "daemonsets/finalizers"),
			rule("list watch", "core", "nodes"),
			rule("list watch create delete patch", "core", "pods"),
			rule("create", "core", "pods/binding"),
			rule("create delete update patch "+read, "apps", "controllerrevisions"),
			eventsRule(),
		}},
		{name: "job-controller", rules: []rbacv1.PolicyRule{
			rule(readUpdate, "batch", "jobs"),
			rule("update", "batch", "jobs/status"),
			rule("update", "batch", "jobs/finalizers"),
			rule("list watch create delete patch", "core", "pods"),
			eventsRule(),
		}},
		{name: "cronjob-controller", rules: []rbacv1.PolicyRule{
			rule(read+" update", "batch", "cronjobs"),
			rule(read+" create update delete patch", "batch", "jobs"),
			rule("update", "batch", "cronjobs/status"),
			rule("update", "batch", "cronjobs/finalizers"),
			rule("list watch delete", "core", "pods"),
			eventsRule(),
		}},
		{name: "ttl-after-finished-controller", rules: []rbacv1.PolicyRule{
			rule(read+" delete", "batch", "jobs"),
			eventsRule(),
		}},
		{name: "disruption-controller", rules: []rbacv1.PolicyRule{
			rule(read, "apps extensions", "deployments"),
			rule(read, "apps extensions", "replicasets"),
			rule(read, "core", "replicationcontrollers"),
			rule(read, "policy", "poddisruptionbudgets"),
			rule(read, "apps", "statefulsets"),
			rule("update", "policy", "poddisruptionbudgets/status"),
			rule("patch update", "core", "pods/status"),
			rule("get", "*", "*/scale"),
			eventsRule(),
		}},
		{name: "horizontal-pod-autoscaler", rules: []rbacv1.PolicyRule{
			rule(read, "autoscaling", "horizontalpodautoscalers"),
			rule("update", "autoscaling", "horizontalpodautoscalers/status"),
			rule("get update", "*", "*/scale"),
			rule("list watch", "core", "pods"),
			rule("list watch", "metrics.k8s.io", "pods"),
			rule(read, "custom.metrics.k8s.io", "*"),
			rule(read, "external.metrics.k8s.io", "*"),
			eventsRule(),
		}},
		{name: "pod-garbage-collector", rules: []rbacv1.PolicyRule{
			rule("list watch delete", "core", "pods"),
			rule(read, "core", "nodes"),
			rule("patch", "core", "pods/status"),
		}},
	}
}

func networkControllers() []grant {
	return []grant{
		{name: "endpoint-controller", rules: []rbacv1.PolicyRule{
			rule(read, "core", "services pods"),
			rule(read+" create update delete", "core", "endpoints"),
			rule("create", "core", "endpoints/restricted"),
			eventsRule(),
		}},
		{name: "endpointslice-controller", rules: []rbacv1.PolicyRule{
			rule(read, "core", "services pods nodes"),
			rule("update", "core", "services/finalizers"),
			rule(read+" create update delete", "discovery.k8s.io", "endpointslices"),
			eventsRule(),
		}},
		{name: "endpointslicemirroring-controller", rules: []rbacv1.PolicyRule{
			rule(read, "core", "services endpoints"),
			rule("update", "core", "services/finalizers"),
			rule("update", "core", "endpoints/finalizers"),
			rule(read+" create update delete", "discovery.k8s.io", "endpointslices"),
			eventsRule(),
		}},
		{name: "route-controller", rules: []rbacv1.PolicyRule{
			rule("list watch", "core", "nodes"),
			rule("patch", "core", "nodes/status"),
			eventsRule(),
		}},
		{name: "service-controller", rules: []rbacv1.PolicyRule{
			rule(read, "core", "services"),
			rule("patch update", "core", "services/status"),
			rule("list watch", "core", "nodes"),
			eventsRule(),
		}},
		{name: "service-cidrs-controller", rules: []rbacv1.PolicyRule{
			rule(readUpdate, "networking.k8s.io", "servicecidrs"),
			rule("patch update", "networking.k8s.io", "servicecidrs/finalizers"),
			rule("patch update", "networking.k8s.io", "servicecidrs/status"),
			rule(read, "networking.k8s.io", "ipaddresses"),
			eventsRule(),
		}},
	}
}
