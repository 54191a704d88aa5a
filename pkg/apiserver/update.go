package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/resource"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// update replaces an object, or a part of it that a subresource names.
func (s *Server) update(c *call) error {
	o, err := updateOptions(c)
	if err != nil {
		return err
	}
	obj, err := s.decode(c, o.FieldValidation)
	if err != nil {
		return err
	}
	if err := checkName(c.t, obj); err != nil {
		return err
	}
	w := writeOptions{options: o, dryRun: len(o.DryRun) > 0, manager: managerOf(o.FieldManager, c.r)}
	e := s.edit(c, w)
	e.next = func(old resource.Object) (resource.Object, error) {
		if err := checkUID(c.t, obj, old, w.dryRun); err != nil {
			return nil, err
		}
		return obj.DeepCopyObject().(resource.Object), nil
	}
	if c.t.row.CreateOnUpdate && c.t.sub == "" {
		e.absent = func() (outcome, error) { return s.insertByUpdate(c, obj, w) }
	}
	out, err := s.change(c, c.t, e)
	if err != nil {
		return err
	}
	return s.answerOutcome(c, http.StatusOK, out)
}

// insertByUpdate makes the object that an update did not find.
func (s *Server) insertByUpdate(c *call, obj resource.Object, w writeOptions) (outcome, error) {
	if uid := obj.GetUID(); uid != "" {
		return outcome{}, uidConflict(c.t, string(uid), "", w.dryRun)
	}
	if err := s.require(c, "create"); err != nil {
		return outcome{}, err
	}
	obj = obj.DeepCopyObject().(resource.Object)
	obj.SetResourceVersion("") // of an object that is gone, as the lease of a leader may be
	return s.insert(c, c.t, obj, w)
}

// edit begins an edit of c's target, by the rules of its subresource.
func (s *Server) edit(c *call, w writeOptions) *edit {
	return &edit{writeOptions: w, op: admission.Update, sub: c.t.sub, part: partOf(c.t)}
}

// partOf returns the rules of t's subresource; nil for the object itself.
func partOf(t *target) *resource.Status {
	if t.sub == "status" {
		return t.row.Status
	}
	for _, sub := range t.row.Subresources {
		if sub.Name == t.sub {
			return sub.Update
		}
	}
	return nil
}

// checkName refuses a body that is about another object than the URL.
func checkName(t *target, obj resource.Object) error {
	switch {
	case t.row.Namespaced && obj.GetNamespace() != "" && obj.GetNamespace() != t.namespace:
		return errOtherNamespace
	case obj.GetName() == "":
		return undeterminable(t)
	case obj.GetName() != t.name:
		return apierrors.NewBadRequest(fmt.Sprintf(
			"the name of the object (%s) does not match the name on the URL (%s)", obj.GetName(), t.name))
	}
	return nil
}

// undeterminable is the refusal of an object that does not say which it is.
func undeterminable(t *target) error {
	return apierrors.NewBadRequest(fmt.Sprintf(
		"the name of the object (%s based on URL) was undeterminable: name must be provided", t.name))
}

// checkUID refuses an update that was meant for an earlier object of the same name.
func checkUID(t *target, obj, old resource.Object, dry bool) error {
	if uid := obj.GetUID(); uid != "" && uid != old.GetUID() {
		return uidConflict(t, string(uid), string(old.GetUID()), dry)
	}
	return nil
}

// uidConflict is what the store says: the key as etcd has it, or, in a dry run, which does not come to etcd, as the store has it.
func uidConflict(t *target, asked, found string, dry bool) error {
	key := t.key()
	if dry {
		key = strings.TrimPrefix(key, "/registry")
	}
	return apierrors.NewConflict(t.gr(), t.name, fmt.Errorf("StorageError: invalid object, Code: 4, Key: %s, "+
		"ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: %s, UID in object meta: %s",
		key, asked, found))
}

var errModified = errors.New("the object has been modified; please apply your changes to the latest version and try again")

// checkVersion is the optimistic lock: the client must have seen the state that it replaces.
func checkVersion(t *target, next, old resource.Object) error {
	switch next.GetResourceVersion() {
	case old.GetResourceVersion():
		return nil
	case "", "0":
		if t.row.UnconditionalUpdate {
			next.SetResourceVersion(old.GetResourceVersion())
			return nil
		}
		kind := schema.GroupKind{Group: t.group, Kind: t.resource}
		return apierrors.NewInvalid(kind, t.name, field.ErrorList{field.Invalid(
			field.NewPath("metadata").Child("resourceVersion"), uint64(0), "must be specified for an update")})
	}
	if _, err := strconv.ParseUint(next.GetResourceVersion(), 10, 64); err != nil {
		return err // which makes a 500 of it, as upstream
	}
	return apierrors.NewConflict(t.gr(), t.name, errModified)
}

// prepareUpdate brings next to what will be stored: owners of fields noted, admission passed, and all that the client
// may not change set back to what it is in old.
func (s *Server) prepareUpdate(c *call, t *target, e *edit, next, old resource.Object) error {
	if !t.row.Namespaced {
		next.SetNamespace("")
	} else if next.GetNamespace() == "" {
		next.SetNamespace(t.namespace)
	}
	if c.t.verb == "update" {
		dedupOwners(c, next, duplicateOwners)
	}
	if !e.applied && !e.admitted {
		s.fields.updated(t, e.sub, next, old, e.manager)
	}
	if !e.admitted {
		if err := s.cfg.Admission.Admit(c.ctx(), s.attributes(c, t, e.op, e.sub, next, old, e.writeOptions)); err != nil {
			return err
		}
		dedupOwners(c, next, duplicateOwnersAdmitted)
	}
	if err := checkVersion(t, next, old); err != nil {
		return err
	}
	keepSystemMeta(next, old)
	if !e.dryRun {
		next.SetSelfLink("") // it is not stored
	}
	switch {
	case e.part != nil && e.part.Prepare != nil:
		e.part.Prepare(next, old)
	case e.part == nil && t.row.PrepareUpdate != nil:
		t.row.PrepareUpdate(next, old)
	}
	switch {
	case e.part != nil && e.part.Sign != nil:
		e.part.Sign(next, old, s.signature(c))
	case e.part == nil && t.row.SignUpdate != nil:
		t.row.SignUpdate(next, old, s.signature(c))
	}
	return nil
}

// keepSystemMeta keeps what the server, not the client, says about an object.
func keepSystemMeta(next, old resource.Object) {
	next.SetGeneration(old.GetGeneration())
	if next.GetUID() == "" {
		next.SetUID(old.GetUID())
	}
	if created := old.GetCreationTimestamp(); !created.IsZero() {
		next.SetCreationTimestamp(created)
	}
	if old.GetDeletionTimestamp() != nil {
		next.SetDeletionTimestamp(old.GetDeletionTimestamp())
	}
	if next.GetDeletionGracePeriodSeconds() == nil {
		next.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	}
}

// validateUpdate refuses what the row or admission do not accept. It returns what admission was asked, nil if it was not.
func (s *Server) validateUpdate(c *call, t *target, e *edit, next, old resource.Object) (*admission.Attributes, error) {
	a := s.attributes(c, t, e.op, e.sub, next, old, e.writeOptions)
	if err := s.changeFaults(c, t, e, a, next, old); err != nil {
		return nil, err
	}
	if t.row.Warnings != nil && e.part == nil {
		for _, w := range t.row.Warnings(next, old) {
			c.warn(w)
		}
	}
	if e.admitted {
		return nil, nil
	}
	return a, s.cfg.Admission.Validate(c.ctx(), a)
}

// changeFaults refuses what the row does not accept, nor the plugins that find fault beside it.
func (s *Server) changeFaults(c *call, t *target, e *edit, a *admission.Attributes, next, old resource.Object) error {
	var errs field.ErrorList
	if custom := t.row.Custom; custom != nil {
		errs = custom.CheckUpdate(next, old, e.part != nil, c.warn)
	} else {
		errs = t.row.ChangeFaults(t.ver, e.part, next, old, s.finders.Find(c.ctx(), a), func() resource.Signature { return s.signature(c) })
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(t.row.GVK().GroupKind(), t.name, errs)
	}
	return nil
}
