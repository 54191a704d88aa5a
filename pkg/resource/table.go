package resource

// Table returns the rows of all built-in kinds, in the order of discovery.
func Table() []*Row {
	return []*Row{
		configMaps(),
		endpoints(),
		events(),
		namespaces(),
		nodes(),
		pods(),
		podTemplates(),
		replicationControllers(),
		secrets(),
		serviceAccounts(),
		services(),
		controllerRevisions(),
		daemonSets(),
		deployments(),
		replicaSets(),
		statefulSets(),
		horizontalPodAutoscalers(),
		cronJobs(),
		jobs(),
		leases(),
		endpointSlices(),
		ingressClasses(),
		ingresses(),
		ipAddresses(),
		networkPolicies(),
		serviceCIDRs(),
		runtimeClasses(),
		podDisruptionBudgets(),
		priorityClasses(),
	}
}
