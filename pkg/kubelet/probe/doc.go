// Package probe asks containers how they are, and remembers the answers.
//
// For each running container with probes there is one goroutine per probe. A startup probe comes first; the
// others begin when it has succeeded. One answer decides nothing: failureThreshold or successThreshold answers of
// the same kind in a row do (counter). When a result turns, the pod is looked at anew at once.
//
// A result belongs to one run of a container: the next run starts with none.
package probe
