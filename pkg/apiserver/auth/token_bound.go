package auth

import (
	"context"
	"errors"
	"time"

	"bonsai/pkg/resource"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// deletionLeeway is for how long after the deletion of an object the tokens bound to it still count: long enough for
// a pod to say goodbye, short enough that a stolen token is of no use.
const deletionLeeway = time.Minute

var errInvalidated = errors.New("service account token has been invalidated")

// alive says whether all objects that a token depends on are there. The node of a pod's token is information only: the
// pod is what the token is bound to.
func (t *Tokens) alive(ctx context.Context, b *bound, now time.Time) error {
	type dependency struct {
		resource, namespace string
		ref                 *ref
	}
	needs := []dependency{
		{"serviceaccounts", b.Namespace, &b.ServiceAccount},
		{"secrets", b.Namespace, b.Secret},
		{"pods", b.Namespace, b.Pod},
	}
	if b.Pod == nil {
		needs = append(needs, dependency{"nodes", "", b.Node})
	}
	for _, d := range needs {
		if d.ref == nil {
			continue
		}
		o, err := t.get.Get(ctx, schema.GroupResource{Resource: d.resource}, d.namespace, d.ref.Name)
		if apierrors.IsNotFound(err) {
			return errInvalidated
		}
		if err != nil {
			return err
		}
		if string(o.GetUID()) != d.ref.UID || deleted(o, now) {
			return errInvalidated
		}
	}
	return nil
}

func deleted(o resource.Object, now time.Time) bool {
	at := o.GetDeletionTimestamp()
	return at != nil && now.After(at.Add(deletionLeeway))
}
