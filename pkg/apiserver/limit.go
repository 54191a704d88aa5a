package apiserver

import apierrors "k8s.io/apimachinery/pkg/api/errors"

// gates hold how many requests may be worked on at once, reads and writes apart so that neither starves the other.
// A request that finds its gate full is turned away at once; queueing it here would only hide the overload.
type gates struct{ reads, writes chan struct{} }

func newGates(reads, writes int) gates {
	return gates{make(chan struct{}, reads), make(chan struct{}, writes)}
}

// limit turns requests away while too many are in flight.
func (s *Server) limit(c *call, next handler) error {
	if c.t.longRunning() || isAdmin(c) {
		return next(c)
	}
	gate := s.gates.writes
	if isRead(c.t.verb) {
		gate = s.gates.reads
	}
	select {
	case gate <- struct{}{}:
		defer func() { <-gate }()
		return next(c)
	default:
		return apierrors.NewTooManyRequests("Too many requests, please try again later.", 1)
	}
}

// isAdmin lets the person who can repair an overload in.
func isAdmin(c *call) bool {
	for _, g := range c.user.Groups {
		if g == "system:masters" {
			return true
		}
	}
	return false
}

func isRead(verb string) bool { return verb == "get" || verb == "list" || verb == "head" }
