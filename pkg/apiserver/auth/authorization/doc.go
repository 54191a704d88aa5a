// Package authorization makes the chain of authorizers that a server asks, from an AuthorizationConfiguration or from flags.
//
// # The problem
//
// Who decides, and in which order, is up to who runs the cluster: usually Node and RBAC, sometimes services of theirs before or after. Such a
// service is slow and may be away, so it is asked only about requests that its conditions match, for a bounded time, and what its silence
// means is said beforehand. And it has to be possible to replace one without a restart of the server.
//
// # The flow
//
//	Read       the file, with upstream's defaults and checked in upstream's words
//	Chain      asks the authorizers of the configuration in order, after the one that lets system:masters do everything
//	Follow     puts the file to use again whenever it has changed
//
// # The guarantees
//
//   - A request is decided by one configuration, the old or the new; a new file that is wrong changes nothing.
//   - Types other than Webhook that were there at the start have to be there in each later file, and no others may come: a mistake in an
//     editor must not turn RBAC off in a cluster that runs.
//   - Who configures nothing has Node and RBAC. Upstream's default, AlwaysAllow, is one that nobody wants.
//
// ABAC, whose files nobody has written for years, is not there.
package authorization
