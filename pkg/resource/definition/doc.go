// Package definition says what makes a CustomResourceDefinition right: what is filled in, what is refused and in which words.
//
// # The problem
//
// The schema in a definition is a program that the server will run with every object of the kind: it prunes, fills in, validates and
// evaluates rules by it. What is let in here can slow down or stop the server later, so whatever is not understood is refused, and
// the cost of rules is bounded before any has run.
//
// # The flow
//
// Validate converts the definition to the form in which the libraries know it. There, what all versions have in common stands
// once, at the top, which is why errors name spec.validation where the author wrote spec.versions[0].schema: upstream's words. Then
//
//	spec.go      group, scope, versions, names
//	parts.go     columns, subresources, selectable fields
//	conversion.go
//	schema.go    each node of each schema
//	rules.go     its rules, compiled, with what they may cost (cost.go)
//
// An update is not refused for what was wrong before and has not been touched (tolerance.go).
//
// # Why by hand
//
// Upstream has a package for this, too, but that brings parts of its generic server with it. What is hard about it (structural
// schemas, defaults, the compilation of rules) comes from the libraries that both use.
package definition
