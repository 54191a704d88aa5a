package apiserver

import (
	"net/http"

	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/store"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// issueToken makes a token for a service account. Nothing is stored.
func (s *Server) issueToken(c *call) error {
	o, err := createOptions(c)
	if err != nil {
		return err
	}
	gvk := authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
	req := &authenticationv1.TokenRequest{}
	if err := s.decodeInto(c, req, gvk, o.FieldValidation); err != nil {
		return err
	}
	if err := matchNamespace(c.t, req); err != nil {
		return err
	}
	a := s.attributes(c, c.t, admission.Create, "token", req, nil, writeOptions{options: o, dryRun: len(o.DryRun) > 0})
	if err := s.cfg.Admission.Admit(c.ctx(), a); err != nil {
		return err
	}
	if req.Name != "" && req.Name != c.t.name {
		return apierrors.NewInvalid(gvk.GroupKind(), c.t.name, field.ErrorList{
			field.Invalid(field.NewPath("metadata", "name"), req.Name, "must match the service account name if specified")})
	}
	stored, err := s.store.Get(c.ctx(), c.t.key(), store.ReadAt{})
	if err != nil {
		return apiError(err, c.t, c.t.name)
	}
	obj, err := load(c.t.row, stored)
	if err != nil {
		return err
	}
	if err := s.cfg.Admission.Validate(c.ctx(), a); err != nil {
		return err
	}
	credential, err := s.cfg.Tokens.Issue(c.ctx(), obj.(*corev1.ServiceAccount), req)
	if err != nil {
		return err
	}
	c.record.Annotate("authentication.kubernetes.io/issued-credential-id", credential)
	return s.answerOther(c, http.StatusCreated, gvk, req)
}
