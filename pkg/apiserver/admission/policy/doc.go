// Package policy does what users have said in CEL about requests: ValidatingAdmissionPolicy and MutatingAdmissionPolicy.
//
// # The problem
//
// A policy says what must be true, or what is to be changed; its bindings say where, and by which parameters. One request may so be
// judged by one policy many times, and by most policies not at all.
//
// # The flow
//
//	compile.go   what is configured, compiled once for each version of a policy, with the bindings that name it
//	params.go    the objects that a binding names
//	validating.go, verdict.go   each validation of each policy, by each binding and parameter: a refusal, a warning, a note in the audit log
//	mutating.go, patch.go       each mutation, in order; what it says is a patch, or a configuration to apply
//	access.go    who writes a policy or a binding must be able to read the parameters himself
//
// # The guarantees
//
//   - A policy without a binding does nothing.
//   - What cannot be evaluated refuses the request or is passed over, as the policy's failurePolicy says.
//   - Policies and bindings come in the order of their names; the first refusal is the answer.
//   - No request costs more than the budget that upstream gives to each policy and parameter.
//
// # Simpler than upstream
//
// Parameters are read from the image when they are needed; there are no informers for them, and so nothing to wait for. A
// messageExpression is evaluated when there is a message to be made, not for validations that hold.
package policy
