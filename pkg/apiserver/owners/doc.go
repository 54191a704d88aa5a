// Package owners finds out who owns which field of an object after a write, for the writes of every day, without building sets of fields.
//
// # The problem
//
// Every write notes in metadata.managedFields which client has set which field. The library for that turns the object before and
// after into trees by a schema, checks both, compares them, and adds and subtracts sets of paths: up to two thirds of what an update
// costs. But most writes change the values of fields that the same client has set before: a kubelet renews its lease, a controller
// counts replicas, a pipeline applies the next version. Then nobody owns anything new, and one time is written anew.
//
// # The flow
//
// Plan compiles how objects of a Go type are walked by the schema of their kind: which fields are records, which are lists with keys,
// which are one value whatever is inside (atomic). Modified walks an object before and after a write side by side, and returns the
// paths of the fields that have other values. Renew compares these with the sets of the entries, which are parsed once per text.
//
// # The guarantee
//
// The result is what the library would have made, or none: as soon as anything is not plain (a field came or went, a list is of
// another length or order, another client owns what was changed, entries are of another version), the walk gives up, and the
// library is asked. Tests hold the two against each other.
package owners
