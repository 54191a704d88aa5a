// Package version says which Kubernetes this is.
package version

// Kubernetes is the version whose behaviour and API Bonsai has, and so the server version that clients see. The
// build metadata after the plus tells people, and no version comparison, that it is Bonsai.
const Kubernetes = "v1.37.2+bonsai"

// Major and Minor are the parts that /version shows on their own.
const (
	Major = "1"
	Minor = "37"
)

// Commit is set by the linker.
var Commit = "unknown"
