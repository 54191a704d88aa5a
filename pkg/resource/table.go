package resource

// Table returns the rows of all built-in kinds, in the order of discovery.
func Table() []*Row {
	return []*Row{
		configMaps(),
		endpoints(),
		namespaces(),
		nodes(),
		pods(),
		secrets(),
		serviceAccounts(),
		deployments(),
		replicaSets(),
		endpointSlices(),
	}
}
