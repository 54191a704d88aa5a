package apiserver

import "net/http"

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
	if err := s.reviews[c.t.row](c.ctx(), c.user, obj); err != nil {
		return err
	}
	return s.answerOther(c, http.StatusCreated, c.t.gvk(), obj)
}
