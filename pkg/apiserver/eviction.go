package apiserver

import (
	"net/http"

	"bonsai/pkg/apiserver/admission"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// evict deletes a pod on behalf of somebody who can wait, such as kubectl drain.
func (s *Server) evict(c *call) error {
	o, err := createOptions(c)
	if err != nil {
		return err
	}
	ev := &policyv1.Eviction{}
	if err := s.decodeInto(c, ev, policyv1.SchemeGroupVersion.WithKind("Eviction"), o.FieldValidation); err != nil {
		return err
	}
	if ev.Name != "" && ev.Name != c.t.name {
		return apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	w := writeOptions{options: o, dryRun: len(o.DryRun) > 0}
	if err := s.admit(c, s.attributes(c, c.t, admission.Create, "eviction", ev, nil, w)); err != nil {
		return err
	}
	deletion := &metav1.DeleteOptions{}
	if ev.DeleteOptions != nil {
		deletion = ev.DeleteOptions.DeepCopy()
	}
	if w.dryRun {
		deletion.DryRun = o.DryRun
	}
	if _, err := s.remove(c, c.t, deletion); err != nil {
		return err
	}
	return s.answerOther(c, http.StatusCreated, statusGVK, &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusCreated})
}
