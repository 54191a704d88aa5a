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
		secrets(),
		serviceAccounts(),
		services(),
		deployments(),
		replicaSets(),
		leases(),
		endpointSlices(),
		ipAddresses(),
		serviceCIDRs(),
		priorityClasses(),
		mutatingWebhookConfigurations(),
		validatingWebhookConfigurations(),
		validatingAdmissionPolicies(),
		validatingAdmissionPolicyBindings(),
		mutatingAdmissionPolicies(),
		mutatingAdmissionPolicyBindings(),
	}
}
