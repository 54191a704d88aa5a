// Package quota measures what the objects of a namespace use of its ResourceQuotas.
//
// # The problem
//
// A ResourceQuota counts very different things under one roof: what containers ask for, how many objects of a kind there are, node
// ports, gigabytes of a storage class, devices of a class. Two parties have to count alike: the API server, which adds what a new
// object uses before it is stored, and the controller, which counts everything anew when objects have gone. If they
// differed, a namespace would fill up or overflow little by little.
//
// # The flow
//
// For returns the Meter of a resource: which names of a quota are about its objects, what one of them uses, and which scopes it
// is in. Charge is the API server's question, Count the controller's; Counted says which resources a quota is about at all.
//
// # The guarantees
//
//   - All is pure: an object and the time in, a list of quantities out.
//   - What Charge adds to status.used for an object is what Count finds for it, until its life goes on: a pod that has ended
//     uses nothing but its place among count/pods.
//
// # Simpler than upstream
//
// A Meter is a value with functions for fields, not an interface of nine methods with four implementations. Extended resources that
// device classes stand for are counted by the pods that ask for them, not by the claims that are made for those.
package quota
