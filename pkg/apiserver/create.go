package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
)

// create makes an object: decode and default, mutate, prepare, validate, encode once, commit if absent.
func (s *Server) create(c *call) error {
	o, err := createOptions(c)
	if err != nil {
		return err
	}
	w := writeOptions{options: o, dryRun: len(o.DryRun) > 0, manager: managerOf(o.FieldManager, c.r)}
	obj, err := s.receive(c, o.FieldValidation, &w)
	if err != nil {
		return err
	}
	out, err := s.insert(c, c.t, obj, w)
	if err != nil {
		return err
	}
	return s.answerOutcome(c, http.StatusCreated, out)
}

// managerOf is whom managedFields name: who the client says it is, or what its user agent says it is.
func managerOf(stated string, r *http.Request) string {
	if stated != "" {
		return stated
	}
	agent, _, _ := strings.Cut(r.UserAgent(), "/")
	printable := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, agent)
	return printable[:min(len(printable), 128)]
}

// generateTries is how often a generated name that is taken already is drawn again.
const generateTries = 8

// insert stores obj, which has its defaults, as t's new object.
func (s *Server) insert(c *call, t *target, obj resource.Object, o writeOptions) (outcome, error) {
	if err := s.owned(c, t, obj, o); err != nil {
		return outcome{}, err
	}
	a := s.attributes(c, t, admission.Create, "", obj, nil, o)
	nameAttributes(a, obj)
	if t.row.Custom != nil && t.row.Custom.Terminating() {
		return outcome{}, apierrors.NewForbidden(t.gr(), obj.GetName(), errTerminating)
	}
	if err := s.cfg.Admission.Admit(c.ctx(), a); err != nil {
		return outcome{}, err
	}
	if err := matchNamespace(t, obj); err != nil {
		return outcome{}, err // a webhook may change what it likes, but not whose it is
	}
	dedupOwners(c, obj, duplicateOwnersAdmitted)
	if obj.GetName() != "" || obj.GetGenerateName() == "" {
		return s.insertNamed(c, t, obj, a)
	}
	var out outcome
	var err error
	for range generateTries {
		attempt := obj.DeepCopyObject().(resource.Object)
		attempt.SetName(generateName(obj.GetGenerateName()))
		a.Object = attempt
		if out, err = s.insertNamed(c, t, attempt, a); !apierrors.IsAlreadyExists(err) {
			break
		}
	}
	return out, err
}

// owned puts obj into its namespace and, if that is not noted yet, notes that its manager has set all of its fields.
func (s *Server) owned(c *call, t *target, obj resource.Object, o writeOptions) error {
	if err := matchNamespace(t, obj); err != nil {
		return err
	}
	dedupOwners(c, obj, duplicateOwners)
	if !o.applied {
		s.fields.created(t, obj, o.manager)
	}
	return nil
}

// nameAttributes tells admission the object's name, which may have been generated meanwhile.
func nameAttributes(a *admission.Attributes, obj resource.Object) {
	a.Name = obj.GetName()
	if a.Row.Resource == "namespaces" && a.Row.Group() == "" {
		a.Namespace = a.Name
	}
}

// insertNamed is insert with admission's changes made and the name decided.
func (s *Server) insertNamed(c *call, t *target, obj resource.Object, a *admission.Attributes) (outcome, error) {
	nameAttributes(a, obj)
	s.beginLife(obj)
	if t.row.PrepareCreate != nil {
		t.row.PrepareCreate(obj)
	}
	if t.row.Sign != nil {
		t.row.Sign(obj, s.signature(c))
	}
	for {
		out, err := s.insertPrepared(c, t, obj, a)
		again, waitErr := s.allocateAgain(c.ctx(), err)
		if waitErr != nil {
			return outcome{}, waitErr
		}
		if !again {
			return out, err
		}
	}
}

// insertPrepared validates and commits obj with what is allocated for it; obj itself stays as it is, for another try.
func (s *Server) insertPrepared(c *call, t *target, obj resource.Object, a *admission.Attributes) (outcome, error) {
	if s.cfg.Allocator != nil && t.resource == "services" {
		obj = obj.DeepCopyObject().(resource.Object)
		a.Object = obj
	}
	extra, err := s.allocate(c.ctx(), obj, nil, a.DryRun)
	if err != nil {
		return outcome{}, err
	}
	k, err := s.cast(t, obj)
	if err != nil {
		return outcome{}, err
	}
	defer k.done()
	if err := s.validateCreate(c, t, obj, a, k); err != nil {
		return outcome{}, err
	}
	if a.DryRun {
		return s.insertDry(c, t, obj)
	}
	if err := checkUnborn(obj); err != nil {
		return outcome{}, err
	}
	d, err := s.encode(c, t, obj, k)
	if err != nil {
		return outcome{}, err
	}
	made, err := s.commitCharged(c, a, d, store.Condition{Key: d.put.Key}, extra)
	var conflict *store.ConflictError
	if errors.As(err, &conflict) && conflict.Key == d.put.Key {
		cur, _ := s.store.Get(c.ctx(), d.put.Key, store.ReadAt{}) // if it is gone by now, there is no more to say of it
		return outcome{}, alreadyExists(t, obj.GetName(), cur)
	}
	return outcome{stored: made, created: true}, err
}

// checkUnborn refuses an object that was read from somewhere. Upstream's store does, after everything else was found right and
// as a mistake of its own (500); a version that is no number is none to it.
func checkUnborn(obj resource.Object) error {
	if v, err := strconv.ParseUint(obj.GetResourceVersion(), 10, 64); err == nil && v != 0 {
		return errors.New("resourceVersion should not be set on objects to be created")
	}
	return nil
}

// insertDry says what insert would have come to.
func (s *Server) insertDry(c *call, t *target, obj resource.Object) (outcome, error) {
	cur, err := s.store.Get(c.ctx(), t.row.Key(obj.GetNamespace(), obj.GetName()), store.ReadAt{})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return outcome{live: obj, created: true}, nil
	case err != nil:
		return outcome{}, err
	}
	return outcome{}, alreadyExists(t, obj.GetName(), cur)
}

// alreadyExists is the refusal of a second object cur of a name, which may be about to go.
func alreadyExists(t *target, name string, cur *store.Object) error {
	err := apierrors.NewAlreadyExists(t.gr(), name)
	if cur == nil {
		return err
	}
	if old, bad := load(t.row, cur); bad == nil && old.GetDeletionTimestamp() != nil {
		err.ErrStatus.Message = "object is being deleted: " + err.ErrStatus.Message
	}
	return err
}

// beginLife sets what every object has from its birth and no client may choose.
func (s *Server) beginLife(obj resource.Object) {
	obj.SetDeletionTimestamp(nil)
	obj.SetDeletionGracePeriodSeconds(nil)
	obj.SetSelfLink("")
	obj.SetCreationTimestamp(s.seconds())
	obj.SetUID(types.UID(uuid.NewString()))
}

// signature is who makes c, for the rows that hold it.
func (s *Server) signature(c *call) resource.Signature {
	return resource.Signature{Now: s.seconds(), User: c.user.Name, UID: c.user.UID, Groups: c.user.Groups, Extra: c.user.Extra}
}

// validateCreate refuses what the row or admission do not accept. What k has a mould for, the row has accepted before.
func (s *Server) validateCreate(c *call, t *target, obj resource.Object, a *admission.Attributes, k *casting) error {
	var warnings []string
	if k != nil && k.found != nil {
		warnings = k.found.warnings
	} else {
		if errs := t.row.NewFaults(t.ver, obj, s.finders.Find(c.ctx(), a)); len(errs) > 0 {
			return apierrors.NewInvalid(t.row.GVK().GroupKind(), obj.GetName(), errs)
		}
		if t.row.Warnings != nil {
			warnings = t.row.Warnings(obj, nil)
		}
		if k != nil {
			k.warnings = warnings
		}
	}
	for _, w := range warnings {
		c.warn(w)
	}
	return s.cfg.Admission.Validate(c.ctx(), a)
}

var errOtherNamespace = apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")

// matchNamespace puts obj into the URL's namespace, unless it says that it is in another.
func matchNamespace(t *target, obj resource.Object) error {
	want := t.namespace
	if !t.row.Namespaced {
		want = ""
	}
	if got := obj.GetNamespace(); got != want && got != "" && want != "" {
		return errOtherNamespace
	}
	obj.SetNamespace(want)
	return nil
}

// generateName appends five random characters, within the length of a DNS label.
func generateName(base string) string {
	const length, suffix = 63, 5
	return fmt.Sprintf("%s%s", base[:min(len(base), length-suffix)], rand.String(suffix))
}
