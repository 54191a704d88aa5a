// Package aggregation makes the APIs of other servers look as if this one served them: an APIService names a Service, and requests for
// its group and version go there.
//
// # The problem
//
// Some APIs cannot be objects in a store: metrics of the last minute, for one. Their servers are pods, but clients know one address, log in
// there, and expect what discovery lists to be there.
//
// # The flow
//
//	APIService ─► Upstreams    which group and version goes where, with what trust (upstream.go)
//	request    ─► Proxy        on to the service, with who asks in headers and this server's certificate as proof (proxy.go)
//	now and then               is the service there, does it answer? (judge.go) ─► the condition Available; what it serves (documents.go)
//	start, and when kinds change
//	           ─► PlanLocal    an APIService without a service for each group and version that is served here (local.go)
//
// # The guarantees
//
//   - Who asks was authenticated and authorized here before anything is passed on; what a client says about itself in the proxy's headers is
//     thrown away.
//   - A service that is not available costs its callers a 503 at once, not a timeout.
//   - An upstream is trusted by its APIService's caBundle only, unless that says that it is not to be checked at all.
//
// # Simpler than upstream
//
// A service is reached at one of its pods and, if it has none, at its cluster IP. The documents of discovery and OpenAPI are asked
// for when availability is checked, not by loops of their own. The OpenAPI v3 documents of other servers are listed with this one's
// and passed through; what their v2 documents say of their versions goes into the one that this server has for everything.
package aggregation
