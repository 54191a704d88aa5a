package apiserver

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// token is what the continue value of a page says: the state that the list is of, and where the next page begins.
// It looks like upstream's, so that a client's page survives a change of servers. Rev -1 means "whatever is newest",
// which is what a client gets when its own state is gone and it accepts an inconsistent rest.
type token struct {
	Version string `json:"v"`
	Rev     int64  `json:"rv"`
	Start   string `json:"start"`
}

const tokenVersion = "meta.k8s.io/v1"

// encodeContinue returns the token for the page after key, which lies below prefix.
func encodeContinue(rev int64, prefix, key string) string {
	start := "/" + strings.TrimPrefix(key, prefix) + "\x00"
	return base64.RawURLEncoding.EncodeToString(compactJSON(token{tokenVersion, rev, start}))
}

// decodeContinue returns the revision and the last key of the page before.
func decodeContinue(text, prefix string) (rev int64, after string, err error) {
	var t token
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return 0, "", badToken(err)
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return 0, "", badToken(err)
	}
	switch {
	case t.Version != tokenVersion:
		return 0, "", badToken(fmt.Errorf("server does not recognize this encoded version %s", t.Version))
	case t.Rev == 0:
		return 0, "", badToken(fmt.Errorf("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"))
	case t.Start == "":
		return 0, "", badToken(fmt.Errorf("encoded start key empty (version meta.k8s.io/v1)"))
	}
	start := t.Start
	if !strings.HasPrefix(start, "/") {
		start = "/" + start
	}
	if path.Clean(start) != start {
		return 0, "", badToken(errors.New(t.Start))
	}
	return t.Rev, prefix + strings.TrimSuffix(start[1:], "\x00"), nil
}

func badToken(err error) error {
	return apierrors.NewBadRequest(fmt.Sprintf("invalid continue token: continue key is not valid: %v", err))
}

// expiredPage is the 410 for a page of a state that is gone. Its token lets the client go on from where it is with
// the newest state, at the price of consistency.
func expiredPage(prefix, after string) error {
	err := apierrors.NewResourceExpired("The provided continue parameter is too old " +
		"to display a consistent list result. You can start a new list without the continue parameter, or use the continue " +
		"token in this response to retrieve the remainder of the results. Continuing with the provided token results in an " +
		"inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and " +
		"now may show up in the list.")
	err.ErrStatus.ListMeta = metav1.ListMeta{Continue: encodeContinue(-1, prefix, after)}
	return err
}

func badVersionWithContinue() error {
	return apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
}
