// Package resource is the table of kinds: one Row per kind, and in it all that the API server knows of that
// kind. There are no per-kind handlers, stores or clients anywhere else.
//
// A row lives in a file named after its kind (pod.go, deployment.go), as a function that returns it; Table
// lists them in one visible, ordered place. The package does no I/O and never reads the clock.
package resource
