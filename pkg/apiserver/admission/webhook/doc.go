// Package webhook asks programs of users about requests: MutatingWebhookConfiguration and ValidatingWebhookConfiguration.
//
// # The problem
//
// Every write may have to be shown to programs that others run, that are slow, gone, or answer nonsense; and nearly every write
// has to be shown to none.
//
// # The flow
//
//	hooks.go     what is configured, read once for each version of a configuration: scope, conditions, client
//	mutating.go  one after the other, in the order of the configurations' names; each sees what those before have made of the object.
//	             If something has changed, those that want it are asked once more (admission.Calls)
//	validating.go  all at once; the first refusal in their order is the answer
//	call.go      one question: an AdmissionReview there, an AdmissionReview back, and what is wrong with that
//	client.go    the way there: by URL, or to an endpoint of a service (resolve.go)
//
// # The guarantees
//
//   - Nobody is asked about webhooks and policies themselves.
//   - A dry run is shown only to webhooks that have no side effects.
//   - A webhook that cannot be asked in its time refuses the request or is passed over, as its failurePolicy says.
//   - Answers are bounded, redirects are not followed: a webhook may not send the API server elsewhere.
//   - Connections are kept as long as a configuration names them.
//
// # Simpler than upstream
//
// A service is reached at one of its endpoints, not at its cluster IP: it works on a machine without a service proxy, and for
// services without an IP. Of two refusals, upstream reports the one that came first in time.
package webhook
