// Package expression compiles the CEL expressions of admission: the match conditions of webhooks, and all that is said in
// CEL in admission policies.
//
// # The problem
//
// An expression is looked at twice: when the object that holds it is written, to refuse what does not compile in words that
// lead to the mistake, and when a request is judged by it. Both must see the same variables with the same types, or what was
// accepted would fail later. So the variables are declared here, for rows and plugins alike; what they are bound to is
// the matter of the plugins.
//
// # The flow
//
// Sees says which of the optional variables an expression may name. Compile turns its text into a Program, or into an
// error in upstream's words. A policy's expressions may name its variables, one after the other: New(true) returns a Compiler of
// its own for them, to which Declare adds.
//
// # The guarantees
//
//   - An environment is made when it is first asked for: a process that compiles nothing pays nothing.
//   - Functions that were added to CEL in this release cannot be used in new expressions, so that the previous one can
//     still read them; those that are stored already (Stored) may use all there is.
//   - Every program counts its cost as it runs and can be interrupted.
package expression
