package apiserver

import (
	"net/http"
	"strconv"

	"bonsai/pkg/store"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// get answers with one object. Without resourceVersion it is the newest, with "0" what the image holds, and else a
// version at least as new as that.
func (s *Server) get(c *call) error {
	at := store.ReadAt{}
	if c.r.URL.RawQuery != "" {
		var err error
		if at, err = readAt(c.r.URL.Query().Get("resourceVersion")); err != nil {
			return err
		}
	}
	o, err := s.store.Get(c.ctx(), c.t.key(), at)
	if err != nil {
		return apiError(err, c.t, c.t.name)
	}
	return s.answer(c, http.StatusOK, o)
}

// readAt is what a resourceVersion without resourceVersionMatch means.
func readAt(version string) (store.ReadAt, error) {
	switch version {
	case "":
		return store.ReadAt{Kind: store.Newest}, nil
	case "0":
		return store.ReadAt{Kind: store.Any}, nil
	}
	rev, err := parseVersion(version)
	if err != nil {
		return store.ReadAt{}, err
	}
	return store.ReadAt{Kind: store.NotOlderThan, Rev: rev}, nil
}

// badVersion is what is wrong with a resourceVersion. Only lists take it for the client's mistake: elsewhere it is a 500.
type badVersion struct{ what *field.Error }

func (e *badVersion) Error() string { return e.what.Error() }

// parseVersion reads a client's resourceVersion, which is a revision that it has been given before.
func parseVersion(version string) (int64, error) {
	rev, err := strconv.ParseUint(version, 10, 63)
	if err != nil {
		return 0, &badVersion{field.Invalid(field.NewPath("resourceVersion"), version, err.Error())}
	}
	return int64(rev), nil
}
