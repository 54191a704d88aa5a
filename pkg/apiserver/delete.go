package apiserver

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// delete removes an object, or marks it as being deleted where something has to happen first: a grace period, or
// finalizers, which include those that the client's propagation policy asks for.
func (s *Server) delete(c *call) error {
	o, err := s.deleteOptions(c)
	if err != nil {
		return err
	}
	out, err := s.remove(c, c.t, o)
	if err != nil {
		return err
	}
	return s.answerDelete(c, out, o)
}

// answerDelete sends the object while it still exists and, for most kinds, a Status once it does not.
func (s *Server) answerDelete(c *call, out outcome, o *metav1.DeleteOptions) error {
	if !out.removed {
		code := http.StatusOK
		if o.OrphanDependents != nil && !*o.OrphanDependents {
			code = http.StatusAccepted
		}
		return s.answerOutcome(c, code, out)
	}
	if c.t.row.DeleteReturnsObject {
		return s.answerOutcome(c, http.StatusOK, out)
	}
	status := &metav1.Status{Status: metav1.StatusSuccess, Details: &metav1.StatusDetails{
		Name: c.t.name, Group: c.t.group, Kind: c.t.resource, UID: out.live.GetUID()}}
	return s.answerOther(c, http.StatusOK, statusGVK, status)
}

// remove deletes t's object, as far as that can be done now and admission allows it.
func (s *Server) remove(c *call, t *target, o *metav1.DeleteOptions) (outcome, error) {
	return s.removeBy(c, t, o, func(obj resource.Object) error { return s.admitDelete(c, t, o, obj) })
}

// removeBy is remove with an admission of its own; nil for what was admitted as something else.
func (s *Server) removeBy(c *call, t *target, o *metav1.DeleteOptions, admit func(resource.Object) error) (outcome, error) {
	at := store.ReadAt{Kind: store.Any}
	for {
		cur, err := s.store.Get(c.ctx(), t.key(), at)
		if err == nil {
			var out outcome
			out, err = s.removeAt(c, t, o, cur, admit)
			if err == nil && (at.Kind == store.Newest || out.stored != cur || s.isNewest(c.ctx(), cur)) {
				return out, nil
			}
		}
		var conflict *store.ConflictError
		if errors.Is(err, store.ErrUnknownOutcome) {
			return outcome{}, err // it may have happened: "not found" would be a guess
		}
		if at.Kind == store.Newest && !errors.As(err, &conflict) {
			return outcome{}, apiError(err, t, t.name)
		}
		at = store.ReadAt{Kind: store.Newest}
	}
}

// removeAt deletes the object at its state cur.
func (s *Server) removeAt(c *call, t *target, o *metav1.DeleteOptions, cur *store.Object, admit func(resource.Object) error) (outcome, error) {
	obj, err := load(t.row, cur)
	if err != nil {
		return outcome{}, err
	}
	if admit != nil {
		if err := admit(obj); err != nil {
			return outcome{}, err
		}
	}
	if err := checkPreconditions(t, o.Preconditions, obj); err != nil {
		return outcome{}, err
	}
	next := obj.DeepCopyObject().(resource.Object)
	step := planDelete(t.row, next, o, s.now())
	switch {
	case step == wait:
		return outcome{stored: cur}, nil
	case len(o.DryRun) > 0:
		return outcome{live: next, removed: step == removeNow || step == markFirst}, nil
	case step == mark:
		return s.replaceMarked(c, t, next, cur)
	case step == markFirst:
		marked, err := s.replaceMarked(c, t, next, cur)
		if err != nil {
			return outcome{}, err
		}
		cur = marked.stored
	}
	return s.eraseNow(c, t, next, cur)
}

// replaceMarked stores next, which is marked as being deleted.
func (s *Server) replaceMarked(c *call, t *target, next resource.Object, cur *store.Object) (outcome, error) {
	d, err := s.encode(c, t, next, nil)
	if err != nil {
		return outcome{}, err
	}
	if bytes.Equal(d.put.Value, cur.Value) {
		return outcome{stored: cur}, nil
	}
	made, err := s.commit(c, d, store.Condition{Key: cur.Key, Rev: cur.Rev}, nil)
	return outcome{stored: made}, err
}

// eraseNow removes cur, and gives back what was allocated for it. last is what it was in the end: marked, if its kind has a
// grace period, as being deleted.
func (s *Server) eraseNow(c *call, t *target, last resource.Object, cur *store.Object) (outcome, error) {
	extra, err := s.allocate(c.ctx(), nil, last, false)
	if err != nil {
		return outcome{}, err
	}
	gone, err := s.erase(c, cur, extra)
	if err != nil {
		return outcome{}, err
	}
	last.SetResourceVersion(strconv.FormatInt(gone.Rev, 10))
	return outcome{live: last, removed: true}, nil
}

func (s *Server) admitDelete(c *call, t *target, o *metav1.DeleteOptions, obj resource.Object) error {
	a := s.attributes(c, t, admission.Delete, "", nil, obj, writeOptions{options: o, dryRun: len(o.DryRun) > 0})
	if t.verb == "deletecollection" {
		a.Name = "" // the request has none; which object it is, is for OldObject to say
	}
	if err := s.cfg.Admission.Admit(c.ctx(), a); err != nil {
		return err
	}
	return s.cfg.Admission.Validate(c.ctx(), a)
}

// checkPreconditions refuses to delete another object, or another state of it, than the client has seen.
func checkPreconditions(t *target, p *metav1.Preconditions, obj resource.Object) error {
	if p == nil {
		return nil
	}
	kind := schema.GroupResource{Group: t.group, Resource: t.row.Kind}
	if p.UID != nil && *p.UID != obj.GetUID() {
		return apierrors.NewConflict(kind, t.name, fmt.Errorf("the UID in the precondition (%s) does not match the UID in record (%s). "+
			"The object might have been deleted and then recreated", *p.UID, obj.GetUID()))
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != obj.GetResourceVersion() {
		return apierrors.NewConflict(kind, t.name, fmt.Errorf("the ResourceVersion in the precondition (%s) does not match the "+
			"ResourceVersion in record (%s). The object might have been modified", *p.ResourceVersion, obj.GetResourceVersion()))
	}
	return nil
}

// deleteStep is what a delete comes to.
type deleteStep int

const (
	removeNow deleteStep = iota
	mark                 // obj now says that it is being deleted: store it
	markFirst            // it says so, and there is nothing to wait for: who watches sees that it is being deleted before it is gone
	wait                 // obj says so already, and nothing about that changes
)

// planDelete decides what deleting obj comes to, and marks obj accordingly.
func planDelete(row *resource.Row, obj resource.Object, o *metav1.DeleteOptions, now time.Time) deleteStep {
	if row.Held != nil && row.Held(obj) {
		return planHeld(row, obj, o, now)
	}
	graceful, pending := planGrace(row, obj, o, now)
	if pending {
		return wait
	}
	obj.SetFinalizers(deleteFinalizers(row, obj, o))
	if len(obj.GetFinalizers()) == 0 {
		switch {
		case !graceful:
			return removeNow
		case *obj.GetDeletionGracePeriodSeconds() > 0:
			return mark
		}
		return markFirst
	}
	if !graceful {
		markDeleting(obj, 0, now)
	}
	if row.PrepareDelete != nil {
		row.PrepareDelete(obj)
	}
	return mark
}

// planHeld marks an object that something besides its finalizers keeps, once: what that is has to let go before
// there is anything more to do.
func planHeld(row *resource.Row, obj resource.Object, o *metav1.DeleteOptions, now time.Time) deleteStep {
	if obj.GetDeletionTimestamp() != nil {
		return wait
	}
	obj.SetFinalizers(deleteFinalizers(row, obj, o))
	at := metav1.NewTime(now.Truncate(time.Second))
	obj.SetDeletionTimestamp(&at)
	if row.PrepareDelete != nil {
		row.PrepareDelete(obj)
	}
	return mark
}

// planGrace sets when obj's grace period ends. graceful is true if its kind has one; pending that an earlier delete's
// period runs already and this one does not shorten it.
func planGrace(row *resource.Row, obj resource.Object, o *metav1.DeleteOptions, now time.Time) (graceful, pending bool) {
	if row.Grace == nil {
		return false, false
	}
	began, running := obj.GetDeletionTimestamp(), obj.GetDeletionGracePeriodSeconds()
	switch {
	case began == nil:
		markDeleting(obj, row.Grace(obj, o.GracePeriodSeconds), now)
		return true, false
	case running == nil, *running == 0 && len(obj.GetFinalizers()) == 0:
		return false, false
	case o.GracePeriodSeconds == nil, *o.GracePeriodSeconds >= *running:
		return false, true
	}
	// Only a shorter period may be asked for; the end moves by the difference.
	asked := max(*o.GracePeriodSeconds, 0)
	end := metav1.NewTime(began.Add(time.Duration(asked-*running) * time.Second))
	obj.SetDeletionTimestamp(&end)
	obj.SetDeletionGracePeriodSeconds(&asked)
	return true, false
}

// markDeleting says in obj that it is being deleted and how long it may take. The first time, that is a new generation.
func markDeleting(obj resource.Object, grace int64, now time.Time) {
	end := metav1.NewTime(now.Add(time.Duration(grace) * time.Second).Truncate(time.Second))
	if obj.GetDeletionTimestamp() == nil && obj.GetGeneration() > 0 {
		obj.SetGeneration(obj.GetGeneration() + 1)
	}
	if had := obj.GetDeletionTimestamp(); had == nil || had.After(now) {
		obj.SetDeletionTimestamp(&end)
	}
	obj.SetDeletionGracePeriodSeconds(&grace)
}

// deleteFinalizers are obj's finalizers with those of the propagation policy: "orphan" to have dependents kept,
// "foregroundDeletion" to have them deleted first.
func deleteFinalizers(row *resource.Row, obj resource.Object, o *metav1.DeleteOptions) []string {
	has := func(f string) bool { return slices.Contains(obj.GetFinalizers(), f) }
	orphan, foreground := has(metav1.FinalizerOrphanDependents), has(metav1.FinalizerDeleteDependents)
	switch {
	case o.OrphanDependents != nil:
		orphan = *o.OrphanDependents
		foreground = false
	case o.PropagationPolicy != nil:
		orphan = *o.PropagationPolicy == metav1.DeletePropagationOrphan
		foreground = *o.PropagationPolicy == metav1.DeletePropagationForeground
	case !orphan && !foreground:
		orphan = row.DefaultsToOrphan
	}
	if orphan == has(metav1.FinalizerOrphanDependents) && foreground == has(metav1.FinalizerDeleteDependents) {
		return obj.GetFinalizers()
	}
	var out []string
	for _, f := range obj.GetFinalizers() {
		if f != metav1.FinalizerOrphanDependents && f != metav1.FinalizerDeleteDependents {
			out = append(out, f)
		}
	}
	if orphan {
		out = append(out, metav1.FinalizerOrphanDependents)
	}
	if foreground {
		out = append(out, metav1.FinalizerDeleteDependents)
	}
	return out
}
