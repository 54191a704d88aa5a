// Package customresource makes kinds out of CustomResourceDefinitions, while the server runs.
//
// # The problem
//
// A definition is an object like any other: somebody creates it, and from then on the server is to know a kind that nobody has
// compiled into it, with its schema, its rules, its columns and its versions. It changes while objects of it exist and clients
// watch them. It may claim names that another has, and it may be written by somebody who wishes the server ill.
//
// # The flow
//
//	definition ──plan──► conditions, accepted names      (plan.go: may it be served, and as what)
//	     │
//	     └──compile──► versions ──rows──► resource.Row   (version.go, row.go: one row for each served version)
//
// A version is what follows from its schema: what to cut off (coerce.go), what to fill in, what to refuse (validate.go), what kubectl
// shows (columns.go), how to describe it (models.go). Everything else, verbs and storage, is what all rows have.
//
// Controller brings it about. It watches the definitions, plans, has the server serve the rows, and writes the conditions, in this
// order: a kind is served before anybody can read that it is. Definitions that are being deleted have their objects deleted first.
//
// # The versions
//
// An object is stored in the version that the definition says, and read as any that is served. In between is a Converter: one that
// writes another apiVersion and nothing else, or one that asks a webhook (webhook.go).
//
// # The guarantees
//
//   - A definition that cannot be compiled is not served, and takes no other with it.
//   - A row is replaced only when what it follows from has changed: else watches and what is cached live on.
//   - What a definition no longer knows is cut off when an object is read, and stays in etcd until it is written.
//
// # Simpler than upstream
//
// Upstream runs seven controllers for definitions, which pass them on to each other through conditions, and waits five seconds before
// a kind counts as established, so that other API servers have heard of it. Here one loop does all, and a server that is asked
// for a kind that it does not know looks at the definitions before it says so.
package customresource
