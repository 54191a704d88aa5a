package integration

import (
	"crypto/ecdsa"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/pki"
)

// Everyone who has a certificate of the cluster is who it says, and may do what that one may.
func TestCertificates(t *testing.T) {
	s := startServer(t)
	ctx := t.Context()
	for _, c := range []struct {
		kubeconfig, user, group string
		secrets                 bool // may list them all
	}{
		{s.options.PKI.Kubeconfig, "kubernetes-admin", "system:masters", true},
		{s.options.PKI.Component(pki.Scheduler), "system:kube-scheduler", "system:authenticated", false},
		{s.options.PKI.Component(pki.ControllerManager), "system:kube-controller-manager", "system:authenticated", true},
		{s.options.PKI.Component(pki.Kubelet), "system:node:n1", "system:nodes", false},
		{s.options.PKI.Component(pki.Proxy), "system:kube-proxy", "system:authenticated", false},
	} {
		t.Run(c.user, func(t *testing.T) {
			client := clientOf(t, s.as(c.kubeconfig))
			who, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
			require.NoError(t, err)
			require.Equal(t, c.user, who.Status.UserInfo.Username)
			require.Contains(t, who.Status.UserInfo.Groups, c.group)
			require.Contains(t, who.Status.UserInfo.Groups, "system:authenticated")
			_, err = client.CoreV1().Secrets("").List(ctx, metav1.ListOptions{})
			require.Equal(t, c.secrets, err == nil, "%v", err)
			if err != nil {
				require.True(t, apierrors.IsForbidden(err), "%v", err)
			}
		})
	}
}

// A service account's token is good for what its account may do, and for as long as it says and the account is there.
func TestToken(t *testing.T) {
	s := startServer(t)
	ctx, accounts := t.Context(), s.client.CoreV1().ServiceAccounts("default")
	_, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	issued, err := accounts.CreateToken(ctx, "robot", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(t, err)
	token := issued.Status.Token
	robot := clientOf(t, s.bearer(token))

	who, err := robot.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, "system:serviceaccount:default:robot", who.Status.UserInfo.Username)
	require.ElementsMatch(t, []string{"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"}, who.Status.UserInfo.Groups)

	groups, lists, err := robot.Discovery().ServerGroupsAndResources()
	require.NoError(t, err)
	require.NotEmpty(t, groups)
	require.NotEmpty(t, lists)
	_, err = robot.Discovery().ServerVersion()
	require.NoError(t, err)

	_, err = robot.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
	require.True(t, apierrors.IsForbidden(err))
	require.EqualError(t, err, `pods is forbidden: User "system:serviceaccount:default:robot" cannot list resource "pods" in API group "" in the namespace "default"`)

	refused := func(what, token string) {
		t.Helper()
		_, err := clientOf(t, s.bearer(token)).CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		require.True(t, apierrors.IsUnauthorized(err), "%s: %v", what, err)
		require.EqualError(t, err, "Unauthorized")
	}
	refused("no token at all", "x")
	parts := strings.Split(token, ".")
	refused("another's claims", parts[0]+"."+strings.ToUpper(parts[1])+"."+parts[2])
	refused("a cut signature", token[:len(token)-4])
	refused("an expired token", resigned(t, token, s.options.PKI.ServiceAccountKey, func(c map[string]any) {
		c["iat"], c["nbf"], c["exp"] = time.Now().Add(-2*time.Hour).Unix(), time.Now().Add(-2*time.Hour).Unix(), time.Now().Add(-time.Second).Unix()
	}))
	refused("a token for others", resigned(t, token, s.options.PKI.ServiceAccountKey, func(c map[string]any) { c["aud"] = []string{"vault"} }))
	refused("a token that is not signed", unsigned(token))
	other := otherPKI(t)
	refused("a token of another cluster", resigned(t, token, other.ServiceAccountKey, func(map[string]any) {}))

	require.NoError(t, accounts.Delete(ctx, "robot", metav1.DeleteOptions{}))
	refused("a token of an account that is gone", token)
}

// resigned is token with other claims, signed by key.
func resigned(t *testing.T, token string, key *ecdsa.PrivateKey, change func(map[string]any)) string {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	require.NoError(t, err)
	claims := map[string]any{}
	require.NoError(t, parsed.UnsafeClaimsWithoutVerification(&claims))
	change(claims)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: parsed.Headers[0].KeyID}}, nil)
	require.NoError(t, err)
	out, err := jwt.Signed(signer).Claims(claims).Serialize()
	require.NoError(t, err)
	return out
}

// unsigned is token by the algorithm that needs no key.
func unsigned(token string) string {
	parts := strings.Split(token, ".")
	return "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + parts[1] + "."
}

// otherPKI is that of another cluster.
func otherPKI(t *testing.T) *pki.PKI {
	p, err := pki.Ensure(t.TempDir(), pki.Options{Server: "https://127.0.0.1:1", NodeName: "n1", NodeIPs: []net.IP{net.IPv4(192, 0, 2, 1)},
		ServiceIP: parts.ServiceIP, ClusterDomain: parts.ClusterDomain, Now: time.Now()})
	require.NoError(t, err)
	return p
}

// Who shows nothing is let in at the doors that say whether it is one, and may nothing else; who shows a certificate of another
// authority is not let in.
func TestStrangers(t *testing.T) {
	s := startServer(t)
	stranger := s.as(otherPKI(t).Kubeconfig)
	stranger.Host, stranger.CAData = s.config.Host, s.config.CAData
	anonymous, other := httpOf(t, s.bearer("")), httpOf(t, stranger)
	for _, path := range []string{"/api", "/apis", "/openapi/v2", "/openapi/v3", "/metrics", "/debug/pprof/", "/nonsense"} {
		got := s.sendBy(anonymous, "GET "+path, nil)
		require.Equal(t, 403, got.code, path)
		require.JSONEq(t, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"Forbidden","details":{},"code":403,
			"message":"forbidden: User \"system:anonymous\" cannot get path \"`+path+`\""}`, string(got.body))
		got = s.sendBy(other, "GET "+path, nil)
		require.Equal(t, 401, got.code, path)
		require.JSONEq(t, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`,
			string(got.body))
	}
	_, err := clientOf(t, s.bearer("")).CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{})
	require.EqualError(t, err, `secrets is forbidden: User "system:anonymous" cannot list resource "secrets" in API group "" in the namespace "default"`)
	for _, path := range []string{"/healthz", "/livez", "/readyz", "/version"} {
		require.Equal(t, 200, s.sendBy(anonymous, "GET "+path, nil).code, path)
		require.Equal(t, 401, s.sendBy(other, "GET "+path, nil).code, path)
	}
}

// A machine that knows a bootstrap token is let in by it for as long as the token's secret says so.
func TestBootstrapToken(t *testing.T) {
	s := startServer(t)
	ctx, secrets := t.Context(), s.client.CoreV1().Secrets("kube-system")
	secret, err := secrets.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"}, Type: corev1.SecretTypeBootstrapToken,
		StringData: map[string]string{"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
			"auth-extra-groups": "system:bootstrappers:workers"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	whoAmI := func() (*authenticationv1.SelfSubjectReview, error) {
		return clientOf(t, s.bearer("abcdef.0123456789abcdef")).AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	}
	who, err := whoAmI()
	require.NoError(t, err)
	require.Equal(t, authenticationv1.UserInfo{Username: "system:bootstrap:abcdef",
		Groups: []string{"system:bootstrappers", "system:bootstrappers:workers", "system:authenticated"}}, who.Status.UserInfo)

	review, err := s.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: "abcdef.0123456789abcdef"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.True(t, review.Status.Authenticated)
	require.Equal(t, "system:bootstrap:abcdef", review.Status.User.Username)

	secret.StringData = map[string]string{"expiration": time.Now().Add(-time.Second).Format(time.RFC3339)}
	_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
	require.NoError(t, err)
	_, err = whoAmI()
	require.True(t, apierrors.IsUnauthorized(err), "%v", err)
}

// The administrator can be anyone; others only if they may.
func TestImpersonation(t *testing.T) {
	s := startServer(t)
	acting := func(c *rest.Config, who rest.ImpersonationConfig) (*authenticationv1.SelfSubjectReview, error) {
		c = rest.CopyConfig(c)
		c.Impersonate = who
		return clientOf(t, c).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	}
	got, err := acting(s.config, rest.ImpersonationConfig{UserName: "jane", UID: "7", Groups: []string{"devs"}, Extra: map[string][]string{"team/a": {"b"}}})
	require.NoError(t, err)
	require.Equal(t, authenticationv1.UserInfo{Username: "jane", UID: "7", Groups: []string{"devs", "system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{"team/a": {"b"}}}, got.Status.UserInfo)

	got, err = acting(s.config, rest.ImpersonationConfig{UserName: "system:serviceaccount:default:robot"})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"}, got.Status.UserInfo.Groups)

	_, err = acting(s.as(s.options.PKI.Component(pki.Scheduler)), rest.ImpersonationConfig{UserName: "jane"})
	require.EqualError(t, err, `selfsubjectreviews.authentication.k8s.io is forbidden: User "system:kube-scheduler" cannot impersonate-on:user-info:create `+
		`resource "selfsubjectreviews" in API group "authentication.k8s.io" at the cluster scope`)
	require.True(t, apierrors.IsForbidden(err))

	jane := rest.CopyConfig(s.config)
	jane.Impersonate = rest.ImpersonationConfig{UserName: "jane"}
	_, err = clientOf(t, jane).CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
	require.EqualError(t, err, `nodes "n1" is forbidden: User "jane" cannot get resource "nodes" in API group "" at the cluster scope`)
}

// Where everybody may do everything, who brings no credentials is nobody.
func TestNoStrangersWhereAllIsAllowed(t *testing.T) {
	s := startServer(t, told(t, "authorization-mode=RBAC,AlwaysAllow"))
	require.Equal(t, 401, s.sendBy(httpOf(t, s.bearer("")), "GET /api/v1/namespaces", nil).code)
	require.Equal(t, 200, s.sendBy(s.http, "GET /api/v1/namespaces", nil).code)
}
