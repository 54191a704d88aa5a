package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
)

// Identity is whose a token is, and for which of the audiences asked about it is good.
type Identity struct {
	User      User
	Audiences []string
}

// Recogniser knows tokens of one kind. It returns nil, and no error, for a token that is none of its kind: another may know it. An
// error says that the token is of its kind and bad, or that nobody can tell.
type Recogniser interface {
	Recognise(ctx context.Context, token string, audiences []string) (*Identity, error)
}

// Bearer authenticates by the token of the Authorization header, which it shows to its recognisers in turn.
type Bearer struct {
	// Audiences are those of the API server: what a token must be for if nobody says otherwise.
	Audiences   []string
	Recognisers []Recogniser
}

var errNotRecognised = errors.New("invalid bearer token")

// Recognise says whose a token is; audiences may be empty. There is an error if it is nobody's.
func (b *Bearer) Recognise(ctx context.Context, token string, audiences []string) (*Identity, error) {
	if len(audiences) == 0 {
		audiences = b.Audiences
	}
	var bad []error
	for _, r := range b.Recognisers {
		id, err := r.Recognise(ctx, token, audiences)
		if id != nil && err == nil {
			return id, nil
		}
		if err != nil {
			bad = append(bad, err)
		}
	}
	if bad == nil {
		return nil, errNotRecognised
	}
	return nil, utilerrors.NewAggregate(bad)
}

// Authenticate implements Authenticator. A token that nobody recognises is a bad one.
func (b *Bearer) Authenticate(r *http.Request) (User, bool, error) {
	token, rest := bearerToken(r)
	if token == "" {
		return User{}, false, nil
	}
	id, err := b.Recognise(r.Context(), token, nil)
	if err != nil {
		return User{}, false, err
	}
	if rest != nil { // whoever is on the other end of the WebSocket is not to see the token
		r.Header["Sec-Websocket-Protocol"] = rest
	}
	return id.User, true, nil
}

// bearerToken reads the token of a request. Browsers cannot set headers of WebSockets, so there it may come as the name of a protocol;
// then rest are the others.
func bearerToken(r *http.Request) (token string, rest []string) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if token = strings.TrimSpace(token); strings.EqualFold(scheme, "Bearer") && token != "" {
		return token, nil
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return "", nil
	}
	const prefix = "base64url.bearer.authorization.k8s.io."
	for name := range strings.SplitSeq(strings.Join(r.Header.Values("Sec-Websocket-Protocol"), ","), ",") {
		name = strings.TrimSpace(name)
		encoded, ok := strings.CutPrefix(name, prefix)
		if !ok {
			rest = append(rest, name)
			continue
		}
		decoded, err := base64.RawURLEncoding.DecodeString(encoded)
		if err != nil || !utf8.Valid(decoded) || token != "" {
			return "", nil
		}
		token = string(decoded)
	}
	if len(rest) == 0 { // a server has to choose a protocol, and must not choose this one
		return "", nil
	}
	return token, rest
}

// forServer makes a Recogniser of tokens that name no audience: they are for the API server.
type forServer struct {
	audiences []string
	userOf    func(ctx context.Context, token string) (*User, error)
}

func (f forServer) Recognise(ctx context.Context, token string, audiences []string) (*Identity, error) {
	good := common(audiences, f.audiences)
	if len(good) == 0 {
		return nil, nil
	}
	u, err := f.userOf(ctx, token)
	if u == nil || err != nil {
		return nil, err
	}
	return &Identity{*u, good}, nil
}

// ForServer makes a Recogniser of what knows tokens that name none of the audiences, which are the API server's own. Recognising takes
// effort, so the answer is remembered for a little while.
func ForServer(audiences []string, userOf func(ctx context.Context, token string) (*User, error), now func() time.Time) Recogniser {
	return remember(forServer{audiences, userOf}, now)
}

// rememberFor is how long a token that was recognised with effort is taken to be good still, as upstream.
const rememberFor = 10 * time.Second

// remembering asks r about a token once in a while only.
type remembering struct {
	Recogniser
	known *cache[*Identity]
}

// tokenCacheLimit bounds the tokens remembered; an entry is some 300 bytes.
const tokenCacheLimit = 4096

func remember(r Recogniser, now func() time.Time) Recogniser {
	return remembering{r, newCache[*Identity](tokenCacheLimit, now)}
}

func (m remembering) Recognise(ctx context.Context, token string, audiences []string) (*Identity, error) {
	key := fingerprintOf(append([]string{token}, audiences...)...)
	if id, ok := m.known.get(key); ok {
		return id, nil
	}
	id, err := m.Recogniser.Recognise(ctx, token, audiences)
	if id != nil && err == nil {
		m.known.put(key, id, rememberFor)
	}
	return id, err
}

// common returns those of asked that are in ours.
func common(asked, ours []string) []string {
	return slices.DeleteFunc(slices.Clone(asked), func(a string) bool { return !slices.Contains(ours, a) })
}
