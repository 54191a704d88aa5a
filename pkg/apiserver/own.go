package apiserver

import (
	"context"
	"path"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the server does on its own account goes the way of a client's request from admission on, so that quotas, policies and the
// owners of fields hold for it too. The client is system:apiserver.

// targetOf is what a request for one object of r would be about.
func targetOf(r *resource.Row, verb, namespace, name, sub string) *target {
	v := &r.Versions[0]
	return &target{isResource: true, verb: verb, group: v.Group, version: v.Version, resource: r.Resource, sub: sub,
		namespace: namespace, name: name, row: r, ver: v}
}

// Change applies change to an object without a namespace, or to one of its subresources.
func (s *Server) Change(ctx context.Context, r *resource.Row, name, sub string, change func(resource.Object) error) error {
	c, err := s.callOn(ctx, targetOf(r, "update", "", name, sub))
	if err != nil {
		return err
	}
	e := s.edit(c, writeOptions{options: &metav1.UpdateOptions{}, manager: "kube-apiserver"})
	e.next = func(old resource.Object) (resource.Object, error) {
		next := old.DeepCopyObject().(resource.Object)
		return next, change(next)
	}
	_, err = s.change(c, c.t, e)
	return err
}

// DeleteAll deletes all objects of r, and returns how many there still are, since something holds them.
func (s *Server) DeleteAll(ctx context.Context, r *resource.Row) (left int, err error) {
	objs, err := s.store.List(ctx, r.KeyPrefix(""), store.ReadAt{}, store.ListOptions{})
	if err != nil {
		return 0, err
	}
	for _, o := range objs.Objects {
		namespace := ""
		if r.Namespaced {
			namespace = path.Base(path.Dir(o.Key))
		}
		c, err := s.callOn(ctx, targetOf(r, "delete", namespace, path.Base(o.Key), ""))
		if err != nil {
			return 0, err
		}
		switch out, err := s.remove(c, c.t, &metav1.DeleteOptions{}); {
		case apierrors.IsNotFound(err):
		case err != nil:
			return len(objs.Objects), err
		case !out.removed:
			left++
		}
	}
	return left, nil
}

// BuiltIn tells whether the server has r's objects or names itself, so that they are not what r's definition has made.
func (s *Server) BuiltIn(r *resource.Row) bool {
	for _, row := range s.rows {
		if row.Prefix == r.Prefix || row.Resource == r.Resource && row.Group() == r.Group() {
			return true
		}
	}
	return false
}
