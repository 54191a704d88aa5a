package storageprotection

import (
	"slices"
	"time"

	"bonsai/pkg/reconcile"
)

// state is all that a plan depends on.
type state struct {
	object    reconcile.Object
	finalizer string
	// user is who uses the object; it is asked for only when the object is being deleted.
	user string
}

// plan protects what lives, and lets go what nobody uses.
func plan(s state, _ time.Time) (p reconcile.Plan) {
	protected := slices.Contains(s.object.GetFinalizers(), s.finalizer)
	next := s.object.DeepCopyObject().(reconcile.Object)
	switch {
	case s.object.GetDeletionTimestamp() == nil && !protected:
		next.SetFinalizers(append(next.GetFinalizers(), s.finalizer))
		p.Update(s.object, next, "it could be deleted while it is in use")
	case s.object.GetDeletionTimestamp() != nil && protected && s.user == "":
		next.SetFinalizers(slices.DeleteFunc(next.GetFinalizers(), func(f string) bool { return f == s.finalizer }))
		p.Update(s.object, next, "it is being deleted, and nothing uses it")
	}
	return p
}
