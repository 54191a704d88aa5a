// Package proxy makes the addresses of Services work on its node, by iptables rules that send each new connection to
// one of the service's endpoints.
//
// # The problem
//
// A service's cluster IP belongs to no machine. Whoever connects to it, from a pod or from the node, must reach one
// of the pods behind it, and the answer must come back as if from the cluster IP. The naive way writes all rules anew
// at each change: with n services, a rollout of one costs n rules each time a pod comes or goes.
//
// # The flow
//
//	informers ──▶ which services are dirty
//	dirty ──▶ plan(service, its endpoint slices) ──▶ part: the service's own chains, and its lines in the shared chains
//	part, part as applied ──▶ diff ──▶ text for iptables-restore --noflush, one run for all dirty services
//
// The kernel then walks, for the first packet of a connection (chains named as upstream names them):
//
//	PREROUTING, OUTPUT ──▶ KUBE-SERVICES ── cluster IP and port ──────▶ KUBE-SVC-… ──▶ one KUBE-SEP-… by chance ──▶ DNAT
//	                  └──▶ KUBE-NODEPORTS ─ node port ─▶ KUBE-EXT-… ──▶ KUBE-SVC-… (KUBE-SVL-…: this node's only)
//	POSTROUTING ──▶ KUBE-POSTROUTING: masquerade what was marked on the way
//	FORWARD, OUTPUT, INPUT (filter) ──▶ KUBE-SERVICES, KUBE-EXTERNAL-SERVICES: refuse what has no endpoint
//
// # The guarantees
//
//   - One run of iptables-restore is atomic for each table: no connection sees a service half changed.
//   - Lines of shared chains match disjoint packets, so that their order means nothing and a difference can be added
//     and deleted anywhere. That is why node ports have a jump of their own, where upstream has a last rule.
//   - At start, after a failed run, and when somebody has flushed the tables (looked for every canaryPeriod), everything
//     is written anew and chains of services that are gone are removed.
//
// # Where it is simpler than upstream
//
// iptables only, IPv4 only so far, no topology hints, no health check ports.
package proxy
