package apiserver

import (
	"net/http"

	"bonsai/pkg/apiserver/auth"
)

// review answers a question: it is created, filled in, and sent back, but never stored.
func (s *Server) review(c *call) error {
	o, err := createOptions(c)
	if err != nil {
		return err
	}
	obj, err := s.decode(c, o.FieldValidation)
	if err != nil {
		return err
	}
	if err := matchNamespace(c.t, obj); err != nil {
		return err
	}
	if err := s.reviews[c.t.row](auth.HearRemarks(c.ctx(), c.remark), c.user, obj); err != nil {
		return err
	}
	return s.answerOther(c, http.StatusCreated, c.t.gvk(), obj)
}

// remark tells the client and the audit log what there is to say about credentials that it has asked about.
func (c *call) remark(r *auth.Remarks) {
	for _, w := range r.Warnings {
		c.warn(w)
	}
	for key, value := range r.Audit {
		c.record.Annotate(key, value)
	}
}
