package customresource

import (
	"context"
	"errors"
	"slices"
	"time"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Server is the API server, as the controller of definitions uses it.
type Server interface {
	// Refresh has it serve Rows. It returns once it does.
	Refresh() error
	// Change applies change to an object, or to one of its subresources, the way a client's update would be applied.
	Change(ctx context.Context, r *resource.Row, name, sub string, change func(resource.Object) error) error
	// DeleteAll deletes all objects of a row, and returns how many there still are, since something holds them.
	DeleteAll(ctx context.Context, r *resource.Row) (left int, err error)
	// BuiltIn tells whether the server has r's objects or names itself.
	BuiltIn(r *resource.Row) bool
}

// retry is when what did not come about is tried again: it may wait for what no definition tells of, as objects with finalizers.
const retry = time.Second

// Run serves what is defined, and writes what has come of the definitions into their status, until ctx ends.
func (d *Definitions) Run(ctx context.Context, s Server) {
	for ctx.Err() == nil {
		err := d.follow(ctx, s)
		if ctx.Err() == nil {
			d.log.Warn("watch of definitions ended; beginning anew", "error", err)
			pause(ctx, retry)
		}
	}
}

// follow steps with every change of a definition, and after a while if a step left something to do.
func (d *Definitions) follow(ctx context.Context, s Server) error {
	row := d.row()
	w, err := d.src.Store.Watch(ctx, store.WatchOptions{Prefix: row.KeyPrefix(""), Initial: &store.ReadAt{Kind: store.Any}})
	if err != nil {
		return err
	}
	for {
		wait, cancel := ctx, func() {}
		if !d.step(ctx, s, row) {
			wait, cancel = context.WithTimeout(ctx, retry)
		}
		_, err := w.Next(wait)
		cancel()
		if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return err
		}
	}
}

func (d *Definitions) row() *resource.Row {
	for _, row := range d.src.Table.Rows() {
		if row.Resource == Resource.Resource && row.Group() == Resource.Group {
			return row
		}
	}
	return nil // New has found it
}

// step does what there is to do now, and reports whether that is all.
func (d *Definitions) step(ctx context.Context, s Server, row *resource.Row) (done bool) {
	if err := s.Refresh(); err != nil {
		d.log.Error("the definitions cannot be served", "error", err)
		return false
	}
	done = true
	for _, crd := range d.crds.All() {
		err := d.settle(ctx, s, row, crd)
		switch {
		case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err): // a change that the watch tells of
		case errors.Is(err, errHeld):
			done = false
		default:
			d.log.Warn("a definition could not be settled", "name", crd.Name, "error", err)
			done = false
		}
	}
	return done
}

// settle writes the status that was planned for crd and, if it is being deleted, has its objects go.
func (d *Definitions) settle(ctx context.Context, s Server, row *resource.Row, crd *apiextensionsv1.CustomResourceDefinition) error {
	d.mu.Lock()
	planned, e := d.plan[crd.Name], d.entries[crd.Name]
	d.mu.Unlock()
	if crd.DeletionTimestamp != nil {
		return d.terminate(ctx, s, row, crd, e)
	}
	if planned.Conditions == nil || equality.Semantic.DeepEqual(planned, crd.Status) {
		return nil
	}
	return s.Change(ctx, row, crd.Name, "status", func(obj resource.Object) error {
		next := obj.(*apiextensionsv1.CustomResourceDefinition)
		if next.ResourceVersion != crd.ResourceVersion {
			return apierrors.NewConflict(Resource, crd.Name, errors.New("planned from another state"))
		}
		next.Status = *planned.DeepCopy()
		return nil
	})
}

var errHeld = errors.New("objects of the kind are held by their finalizers")

// terminate deletes the objects of a definition that is being deleted, and lets go of it once there are none.
func (d *Definitions) terminate(ctx context.Context, s Server, row *resource.Row, crd *apiextensionsv1.CustomResourceDefinition, e *entry) error {
	if !slices.Contains(crd.Finalizers, apiextensionsv1.CustomResourceCleanupFinalizer) {
		return nil
	}
	condition := never
	switch established := apihelpers.IsCRDConditionTrue(crd, apiextensionsv1.Established); {
	case established && e != nil && e.inStorage != nil && s.BuiltIn(e.inStorage):
		condition = built
	case established && e != nil && e.inStorage != nil:
		condition = deleted
		if err := d.deleteObjects(ctx, s, row, crd, e); err != nil {
			return err
		}
	}
	return s.Change(ctx, row, crd.Name, "status", func(obj resource.Object) error {
		setCondition(obj.(*apiextensionsv1.CustomResourceDefinition), condition, d.now())
		obj.SetFinalizers(slices.DeleteFunc(slices.Clone(obj.GetFinalizers()), func(f string) bool {
			return f == apiextensionsv1.CustomResourceCleanupFinalizer
		}))
		return nil
	})
}

func (d *Definitions) deleteObjects(ctx context.Context, s Server, row *resource.Row, crd *apiextensionsv1.CustomResourceDefinition, e *entry) error {
	if err := d.setCondition(ctx, s, row, crd, deleting); err != nil {
		return err
	}
	left, err := s.DeleteAll(ctx, e.inStorage)
	if err != nil {
		failed := terminating(apiextensionsv1.ConditionTrue, "InstanceDeletionFailed", "could not issue all deletes: "+err.Error())
		return errors.Join(err, d.setCondition(ctx, s, row, crd, failed))
	}
	if left > 0 {
		return errHeld
	}
	return nil
}

// setCondition writes c, unless it is there already.
func (d *Definitions) setCondition(ctx context.Context, s Server, row *resource.Row, crd *apiextensionsv1.CustomResourceDefinition,
	c apiextensionsv1.CustomResourceDefinitionCondition) error {
	if apihelpers.IsCRDConditionEquivalent(apihelpers.FindCRDCondition(crd, c.Type), &c) {
		return nil
	}
	return s.Change(ctx, row, crd.Name, "status", func(obj resource.Object) error {
		setCondition(obj.(*apiextensionsv1.CustomResourceDefinition), c, d.now())
		return nil
	})
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
