package admission

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
)

// is says whether a is about the resource or subresource ("pods", "pods/status", "leases.coordination.k8s.io"). Every plugin asks this
// of every request, so nothing is put together for it.
func (a *Attributes) is(what string) bool {
	what, ok := strings.CutPrefix(what, a.Row.Resource)
	if group := a.Row.Group(); ok && group != "" {
		if what, ok = strings.CutPrefix(what, "."); ok {
			what, ok = strings.CutPrefix(what, group)
		}
	}
	if ok && a.Subresource != "" {
		what, ok = strings.CutPrefix(what, "/")
	}
	return ok && what == a.Subresource
}

// isAny is is for the resource with any subresource or none.
func (a *Attributes) isAny(what string) bool {
	name, group, _ := strings.Cut(what, ".")
	return name == a.Row.Resource && group == a.Row.Group()
}

func (a *Attributes) resource() schema.GroupResource {
	return schema.GroupResource{Group: a.Row.Group(), Resource: a.Row.Resource}
}

// forbidden refuses a.
func (a *Attributes) forbidden(format string, args ...any) *apierrors.StatusError {
	return apierrors.NewForbidden(a.resource(), a.displayName(), fmt.Errorf(format, args...))
}

// Forbid refuses a for a reason in words.
func (a *Attributes) Forbid(reason string) *apierrors.StatusError { return a.forbidden("%s", reason) }

// displayName is the object's; before its random end is made, what it begins with.
func (a *Attributes) displayName() string {
	if a.Name != "" {
		return a.Name
	}
	if o, err := meta.Accessor(a.Object); err == nil {
		switch {
		case o.GetName() != "":
			return o.GetName()
		case o.GetGenerateName() != "":
			return o.GetGenerateName()
		}
	}
	return "Unknown"
}

// writes says whether a creates or changes the resource or subresource.
func (a *Attributes) writes(what string) bool {
	return (a.Operation == Create || a.Operation == Update) && a.is(what)
}

// changeOf is both sides of an update.
func changeOf[T runtime.Object](a *Attributes, plugin string) (next, old T, err error) {
	next, ok := a.Object.(T)
	old, okOld := a.Old.(T)
	if !ok || !okOld {
		err = a.wrongType(plugin)
	}
	return next, old, err
}

// wrongType is for an object that is not what its row says.
func (a *Attributes) wrongType(plugin string) error {
	return apierrors.NewInternalError(errors.New(plugin + ": unexpected type of " + a.Row.Kind))
}

// nameOf is where upstream draws lots: the pods of one template then have one shape, which need not be judged and encoded for each.
func nameOf(prefix, of string) string {
	h := fnv.New64a()
	_, _ = io.WriteString(h, of)                      // a hash takes everything
	digits := strconv.FormatUint(h.Sum64()|1<<63, 36) // thirteen of them
	return prefix + utilrand.SafeEncodeString(digits[len(digits)-5:])
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
