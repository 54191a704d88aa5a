package apiserver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"time"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// writeOptions are what all verbs that write have in common.
type writeOptions struct {
	options runtime.Object // as admission sees them
	dryRun  bool
	manager string // who owns the fields that this write sets
	applied bool   // the owners of fields are noted already, by the merge of an apply
}

// outcome is what a write came to: the stored object or, after a dry run, what would have been stored.
type outcome struct {
	stored *store.Object
	live   resource.Object
	// created and removed tell what an update came to besides a change.
	created, removed bool
}

// answerOutcome sends an outcome.
func (s *Server) answerOutcome(c *call, code int, out outcome) error {
	if out.created {
		code = 201
	}
	if out.stored != nil {
		return s.answer(c, code, out.stored)
	}
	return s.answerLive(c, code, out.live)
}

// wantsJSON tells whether the client wants the JSON that is made of the object that is stored.
func wantsJSON(c *call, t *target) bool {
	return c.f.media == mediaJSON && t.isStorageVersion() && !t.row.ConvertsToStore()
}

// draft is an object encoded and ready to be committed. The JSON is made from the object at hand when the client wants
// JSON back; otherwise whoever wants it first makes it from the stored bytes.
type draft struct {
	row  *resource.Row
	put  store.Put
	json *resource.JSON
}

// encode makes a draft of obj, which is at the storage version. k is the casting of a new object, or nil.
func (s *Server) encode(c *call, t *target, obj resource.Object, k *casting) (draft, error) {
	obj.SetResourceVersion("")
	if k != nil {
		return s.encoded(t, obj, k, wantsJSON(c, t))
	}
	value, err := t.row.EncodeStorage(obj)
	if err != nil {
		return draft{}, err
	}
	return s.encodedAs(c, t, obj, value)
}

// encodedAs makes a draft of obj, which value encodes.
func (s *Server) encodedAs(c *call, t *target, obj resource.Object, value []byte) (draft, error) {
	obj.SetResourceVersion("")
	d := newDraft(t, obj, value)
	if wantsJSON(c, t) {
		json, err := resource.DraftJSON(t.row.GVK(), obj)
		if err != nil {
			return d, err
		}
		d.json = &json
	}
	return d, nil
}

// newDraft is obj, which value encodes, ready to be stored.
func newDraft(t *target, obj resource.Object, value []byte) draft {
	d := draft{row: t.row, put: store.Put{
		Key: t.row.Key(obj.GetNamespace(), obj.GetName()), Value: value,
		Attrs: attrsOf(t.row, obj),
	}}
	if t.row.TTL != nil {
		d.put.TTL = t.row.TTL(obj)
	}
	return d
}

// commit writes d if the condition holds. extra are writes that must happen together with it.
func (s *Server) commit(c *call, d draft, cond store.Condition, extra *store.Txn) (*store.Object, error) {
	if d.json != nil {
		d.put.JSON, d.put.Maker = d.json.At, makerOf(d.row)
	}
	txn := store.Txn{If: []store.Condition{cond}, Put: []store.Put{d.put}}
	addTo(&txn, extra)
	operation, began := "update", s.now()
	if cond.Rev == 0 {
		operation = "create"
	}
	made, err := s.store.Commit(c.ctx(), txn)
	took := s.now().Sub(began)
	c.took.storage += took
	s.metrics.storage.wrote(operation, c.t.row, took, err)
	if err != nil {
		return nil, err
	}
	s.causes.note(made[0].Rev, c)
	return made[0], nil
}

// erase removes the object cur.
func (s *Server) erase(c *call, cur *store.Object, extra *store.Txn) (*store.Object, error) {
	txn := store.Txn{If: []store.Condition{{Key: cur.Key, Rev: cur.Rev}}, Delete: []string{cur.Key}}
	addTo(&txn, extra)
	began := s.now()
	made, err := s.store.Commit(c.ctx(), txn)
	took := s.now().Sub(began)
	c.took.storage += took
	s.metrics.storage.wrote("delete", c.t.row, took, err)
	if err != nil {
		return nil, err
	}
	// The results are those of the puts first, then those of the deletes.
	last := made[len(txn.Put)]
	if last == nil {
		last = cur
	}
	s.causes.note(last.Rev, c)
	return last, nil
}

func addTo(txn, extra *store.Txn) {
	if extra == nil {
		return
	}
	txn.If = append(txn.If, extra.If...)
	txn.Put = append(txn.Put, extra.Put...)
	txn.Delete = append(txn.Delete, extra.Delete...)
}

// edit is a change of one existing object: what it comes to, told apart from how often it has to be tried.
type edit struct {
	writeOptions
	op admission.Operation
	// sub is the subresource that is written, part its rules; both are empty for the object itself.
	sub  string
	part *resource.Status
	// next returns the wanted state. It may not change old.
	next func(old resource.Object) (resource.Object, error)
	// absent is called when there is no such object; nil means that this is an error.
	absent func() (outcome, error)
	// admitted writes have passed admission as something else (a binding), and no client's fields are in them.
	admitted bool
}

// change applies e to t's object. It reads the object from the image, without asking etcd whether that is the newest:
// if it is not, the commit's condition fails, or the error or the lack of a change is judged again with the newest.
func (s *Server) change(c *call, t *target, e *edit) (outcome, error) {
	at := store.ReadAt{Kind: store.Any}
	for {
		cur, err := s.store.Get(c.ctx(), t.key(), at)
		if errors.Is(err, store.ErrNotFound) {
			if at.Kind == store.Newest {
				return e.missing(t)
			}
			at = store.ReadAt{Kind: store.Newest}
			continue
		}
		if err != nil {
			return outcome{}, apiError(err, t, t.name)
		}
		out, err := s.attempt(c, t, e, cur)
		var conflict *store.ConflictError
		switch {
		case errors.Is(err, store.ErrUnknownOutcome):
			return out, err // it may have happened, and must not happen twice
		case errors.As(err, &conflict):
			// Of the object, or of something that was allocated for it.
			if _, err := s.allocateAgain(c.ctx(), err); err != nil {
				return out, err
			}
			at = store.ReadAt{Kind: store.Newest}
		case at.Kind == store.Any && (err != nil || out.stored == cur) && !s.isNewest(c.ctx(), cur):
			at = store.ReadAt{Kind: store.Newest}
		default:
			return out, err
		}
	}
}

func (e *edit) missing(t *target) (outcome, error) {
	if e.absent == nil {
		return outcome{}, apierrors.NewNotFound(t.gr(), t.name)
	}
	return e.absent()
}

func (s *Server) isNewest(ctx context.Context, cur *store.Object) bool {
	now, err := s.store.Get(ctx, cur.Key, store.ReadAt{Kind: store.Newest})
	return err == nil && now.Rev == cur.Rev
}

// attempt applies e to the state cur.
func (s *Server) attempt(c *call, t *target, e *edit, cur *store.Object) (outcome, error) {
	old, err := load(t.row, cur)
	if err != nil {
		return outcome{}, err
	}
	next, err := e.next(old)
	if err != nil {
		return outcome{}, err
	}
	if err := s.prepareUpdate(c, t, e, next, old); err != nil {
		return outcome{}, err
	}
	extra, err := s.allocate(c.ctx(), next, old, e.dryRun)
	if err != nil { // what is wrong with the change itself is told before what there is none left of
		a := s.attributes(c, t, e.op, e.sub, next, old, e.writeOptions)
		return outcome{}, cmp.Or(s.changeFaults(c, t, e, a, next, old), err)
	}
	a, err := s.validateUpdate(c, t, e, next, old)
	if err != nil {
		return outcome{}, err
	}
	if e.dryRun {
		next.SetResourceVersion(old.GetResourceVersion())
		return outcome{live: next}, nil
	}
	return s.replace(c, t, a, next, old, cur, extra)
}

// replace writes next over cur, which old is: not at all if nothing changes, and by removing it if it only waited for its
// last finalizer to go.
func (s *Server) replace(c *call, t *target, a *admission.Attributes, next, old resource.Object, cur *store.Object, extra *store.Txn) (outcome, error) {
	value, err := t.row.EncodeStorage(next)
	if err != nil {
		return outcome{}, err
	}
	if extra == nil && !cur.Stale() && sameButTimes(t, value, next, old, cur) {
		return outcome{stored: cur}, nil
	}
	d, err := s.encodedAs(c, t, next, value)
	if err != nil {
		return outcome{}, err
	}
	if removable(t.row, next) {
		return s.eraseFinal(c, t, d, next, cur)
	}
	made, err := s.commitCharged(c, a, d, store.Condition{Key: cur.Key, Rev: cur.Rev}, extra)
	return outcome{stored: made}, err
}

// sameButTimes tells whether next, which value encodes, would be stored as cur is, but for when its fields were set last: a client
// that says again what is so already has changed nothing.
func sameButTimes(t *target, value []byte, next, old resource.Object, cur *store.Object) bool {
	noted := next.GetManagedFields()
	if !sameOwners(noted, old.GetManagedFields()) {
		return false
	}
	if bytes.Equal(value, cur.Value) {
		return true
	}
	// The times are in the metadata. Nearly always something behind it has changed, and then there is no need to encode all again.
	rest, ok := resource.AfterMetadata(value)
	was, wasOk := resource.AfterMetadata(cur.Value)
	if ok && wasOk && !bytes.Equal(rest, was) {
		return false
	}
	next.SetManagedFields(old.GetManagedFields())
	again, err := t.row.EncodeStorage(next)
	if err == nil && bytes.Equal(again, cur.Value) {
		return true
	}
	next.SetManagedFields(noted)
	return false
}

// eraseFinal removes an object whose last update took its last finalizer. The answer is that last update.
func (s *Server) eraseFinal(c *call, t *target, d draft, next resource.Object, cur *store.Object) (outcome, error) {
	extra, err := s.allocate(c.ctx(), nil, next, false)
	if err != nil {
		return outcome{}, err
	}
	gone, err := s.erase(c, cur, extra)
	if err != nil {
		return outcome{}, err
	}
	last, err := t.row.DecodeStorage(d.put.Value, gone.Rev)
	return outcome{live: last, removed: true}, err
}

// removable tells whether obj has been deleted and nothing holds it any longer.
func removable(row *resource.Row, obj resource.Object) bool {
	grace := obj.GetDeletionGracePeriodSeconds()
	return obj.GetDeletionTimestamp() != nil && len(obj.GetFinalizers()) == 0 && (grace == nil || *grace == 0) &&
		(row.Held == nil || !row.Held(obj))
}

// load decodes o and names its type.
func load(row *resource.Row, o *store.Object) (resource.Object, error) {
	obj, err := decodeStored(row, o)
	if err != nil {
		return nil, err
	}
	obj.GetObjectKind().SetGroupVersionKind(row.GVK())
	return obj, nil
}

// seconds is now as objects hold it.
func (s *Server) seconds() metav1.Time { return metav1.NewTime(s.now().Truncate(time.Second)) }
