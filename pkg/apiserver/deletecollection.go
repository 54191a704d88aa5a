package apiserver

import (
	"path"

	"bonsai/pkg/store"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// deleteCollection deletes what a list with the same selectors shows, and answers with that list. An object that is gone by
// the time its turn comes is what was asked for; any other failure ends the work.
func (s *Server) deleteCollection(c *call) error {
	o, err := s.deleteOptions(c)
	if err != nil {
		return err
	}
	l, err := listOptions(c)
	if err != nil {
		return err
	}
	page, meta, err := s.page(c, l)
	if err != nil {
		return err
	}
	for _, obj := range page.Objects {
		if err := s.removeListed(c, obj, o); err != nil {
			return err
		}
	}
	return s.answerList(c, page, meta)
}

func (s *Server) removeListed(c *call, obj *store.Object, o *metav1.DeleteOptions) error {
	each := *c.t
	each.name = path.Base(obj.Key)
	if each.row.Namespaced {
		each.namespace = path.Base(path.Dir(obj.Key))
	}
	_, err := s.remove(c, &each, o.DeepCopy())
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
