// Package judge is what webhooks and policies have in common: is this request one that they are about, and what do their
// expressions say of it.
//
// # The flow
//
//	Scope        rules and selectors, read once. Find tells whether a request is within them, and in which form: that of the client
//	             or, if no rule names that, an equivalent one of another version
//	Run          the variables of expressions, bound to one request in one form
//	Conditions   expressions that all must be true
//
// # The guarantees
//
//   - A request that no rule names costs a few comparisons of short strings: rules are tried before anything is looked up.
//   - A Run stops when its expressions have cost more than their budget, however they are written, and when the request ends.
//   - Values are made of an object where an expression reads it, not before.
package judge
