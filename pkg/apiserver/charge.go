package apiserver

import (
	"strings"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/store"
)

// commitCharged is commit, together with what admission charges for the object. a is nil for a write that has passed it as something
// else.
func (s *Server) commitCharged(c *call, a *admission.Attributes, d draft, cond store.Condition, extra *store.Txn) (made *store.Object, err error) {
	if a == nil || a.Charge == nil {
		return s.commit(c, d, cond, extra)
	}
	err = a.Charge(c.ctx(), func(with *store.Txn) (int64, error) {
		addTo(with, extra)
		made, err = s.commit(c, d, cond, with)
		if err != nil {
			return 0, err
		}
		return made.Rev, nil
	})
	return made, err
}

// listener hears what admission has to say about a call.
type listener struct{ c *call }

// Warn sends a Warning header.
func (l listener) Warn(text string) { l.c.warn(text) }

// Elsewhere notes for how long webhooks were waited for.
func (l listener) Elsewhere(mutating, validating time.Duration) {
	l.c.took.mutating += mutating
	l.c.took.validating += validating
}

// Annotate notes something in the audit log, if there is one; what was changed only where the object itself is.
func (l listener) Annotate(key, value string) {
	if l.c.record.WantsRequest() || !strings.HasPrefix(key, admission.PatchAnnotation) {
		l.c.record.Annotate(key, value)
	}
}
