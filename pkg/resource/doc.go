// Package resource is the table of kinds: one Row per kind, and in it all that the API server knows of that
// kind. There are no per-kind handlers, stores or clients anywhere else.
//
// # The problem
//
// Every kind is served by the same verbs, and differs in small ways everywhere: what is filled in, what may change,
// what is refused and in which words, what kubectl get shows. Upstream has a package of code for each kind and for
// each of its versions, and an internal type in between. Here a kind is data: a struct of functions on the very types
// of k8s.io/api that travel and are stored.
//
// # The flow
//
// A write passes through a row's functions in this order:
//
//	Version.ToStorage   only for a version that is not the stored one
//	Default             what the client left out
//	PrepareCreate/…     what the client may not say: status, generation, what was allocated
//	Sign                who asks, and when, for the few kinds that hold it
//	Validate…           all that is wrong, at once; then the Version's own, for stricter versions
//	Warnings            what is allowed and unwise
//	EncodeStorage       once: the bytes that etcd holds
//
// SpliceProtobuf and JSON.At put the resourceVersion, which is known only after the write, into bytes that are
// finished. A read decodes nothing, unless it is for a table: then Columns and Cells.
//
// Registry finds a row by what a URL, a body or a key in etcd says.
//
// # The guarantees
//
//   - A row's functions are pure. The package does no I/O and never reads the clock: a Signature brings the time.
//   - The bytes in etcd are those that upstream would write, so that either server can open the other's data.
//   - What was read and is written back unchanged is not refused and changes nothing.
//   - Errors come in the same order every time, with the words that upstream has.
//
// # Adding a kind
//
// A row lives in a file named after its kind (service.go, and service_validate.go beside it), as a function that
// returns it; Table lists them in one visible, ordered place. testdata/rows/KIND.yaml plays requests against it, and
// `go test ./pkg/resource -update` writes down what it makes of them. The tests in table_test.go and codec_test.go
// hold for every row as soon as it is in the table.
package resource
