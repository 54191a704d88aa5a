package auth

import (
	"context"
	"crypto/subtle"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// bootstrapTokens recognises the tokens by which a machine that knows nothing else joins a cluster: ID.SECRET, kept in the secret
// kube-system/bootstrap-token-ID. Such a token is short and told by mouth, so it is good for what the secret says and no more: until
// its expiration, for authentication only if the secret says so, and for the groups below system:bootstrappers.
type bootstrapTokens struct {
	get Getter
	now func() time.Time
}

// NewBootstrapTokens returns the recogniser of bootstrap tokens, which are for the API server's audiences.
func NewBootstrapTokens(g Getter, audiences []string, now func() time.Time) Recogniser {
	return forServer{audiences, bootstrapTokens{g, now}.userOf}
}

const (
	bootstrapUser  = "system:bootstrap:"
	bootstrapGroup = "system:bootstrappers"
)

var (
	bootstrapForm      = regexp.MustCompile(`^([a-z0-9]{6})\.([a-z0-9]{16})$`)
	bootstrapGroupForm = regexp.MustCompile(`\Asystem:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]\z`)
)

func (b bootstrapTokens) userOf(ctx context.Context, token string) (*User, error) {
	parts := bootstrapForm.FindStringSubmatch(token)
	if parts == nil {
		return nil, nil
	}
	id := parts[1]
	o, err := b.get.Get(ctx, schema.GroupResource{Resource: "secrets"}, metav1.NamespaceSystem, "bootstrap-token-"+id)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	secret, ok := o.(*corev1.Secret)
	if !ok || !b.good(secret, id, parts[2]) {
		return nil, nil
	}
	groups, ok := bootstrapGroups(secret)
	if !ok {
		return nil, nil
	}
	return &User{Name: bootstrapUser + id, Groups: groups}, nil
}

// good says whether the secret lets who knows id and key in now.
func (b bootstrapTokens) good(s *corev1.Secret, id, key string) bool {
	text := func(name string) string { return string(s.Data[name]) }
	return s.DeletionTimestamp == nil && s.Type == corev1.SecretTypeBootstrapToken &&
		subtle.ConstantTimeCompare(s.Data["token-secret"], []byte(key)) == 1 &&
		text("token-id") == id && text("usage-bootstrap-authentication") == "true" && b.unexpired(text("expiration"))
}

// unexpired reads an expiration. One that cannot be read has passed.
func (b bootstrapTokens) unexpired(expiration string) bool {
	if expiration == "" {
		return true
	}
	at, err := time.Parse(time.RFC3339, expiration)
	return err == nil && at.After(b.now())
}

// bootstrapGroups are the groups of a token. One that is not below system:bootstrappers spoils the token: it must not be a way to
// become a member of another.
func bootstrapGroups(s *corev1.Secret) ([]string, bool) {
	groups := []string{bootstrapGroup}
	if extra := string(s.Data["auth-extra-groups"]); extra != "" {
		for g := range strings.SplitSeq(extra, ",") {
			if !bootstrapGroupForm.MatchString(g) {
				return nil, false
			}
			groups = append(groups, g)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), true
}
