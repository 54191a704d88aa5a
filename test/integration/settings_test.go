package integration

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/rest"

	commands "bonsai/pkg/cli/component/apiserver"
	"bonsai/pkg/cluster/parts/apiserver"
)

// told is a server's options with settings as people write them.
func told(t *testing.T, args ...string) func(*apiserver.Options) {
	t.Helper()
	settings, _, err := commands.ParseSettings(args)
	require.NoError(t, err)
	return func(o *apiserver.Options) { o.Settings = settings }
}

// remote is a service over TLS that answers what people configure it to decide.
func remote(t *testing.T, answer func(path string, body []byte) any) (s *httptest.Server, ca string) {
	t.Helper()
	s = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		if r.Method == http.MethodPost && json.NewDecoder(r.Body).Decode(&body) != nil {
			http.Error(w, "no JSON", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer(r.URL.Path, body)) // fails if the server under test has gone
	}))
	t.Cleanup(s.Close)
	return s, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// kubeconfig is a file that names a service.
func kubeconfig(t *testing.T, url, ca string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": []any{map[string]any{"name": "s", "cluster": map[string]any{"server": url, "certificate-authority-data": []byte(ca)}}},
		"contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "s", "user": "u"}}},
		"users":    []any{map[string]any{"name": "u", "user": map[string]any{}}},
	})
	require.NoError(t, err)
	return written(t, string(text))
}

func (s *server) whoIs(c *rest.Config) (authenticationv1.UserInfo, error) {
	r, err := clientOf(s.T, c).AuthenticationV1().SelfSubjectReviews().Create(s.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	return r.Status.UserInfo, err
}

// issuer is one of OpenID Connect.
type issuer struct {
	*testing.T
	url, ca string
	signer  jose.Signer
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	var service *httptest.Server
	service, ca := remote(t, func(path string, _ []byte) any {
		if path == "/keys" {
			return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}}}
		}
		return map[string]string{"issuer": service.URL, "jwks_uri": service.URL + "/keys"}
	})
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	require.NoError(t, err)
	return &issuer{t, service.URL, ca, signer}
}

// token is one for the audience "bonsai".
func (i *issuer) token(claims map[string]any) string {
	claims["iss"], claims["aud"], claims["exp"] = i.url, "bonsai", time.Now().Add(time.Hour).Unix()
	token, err := jwt.Signed(i.signer).Claims(claims).Serialize()
	require.NoError(i, err)
	return token
}

// Who people are may be known by an issuer of tokens.
func TestOIDC(t *testing.T) {
	issuer := startIssuer(t)
	s := startServer(t, told(t, "oidc-issuer-url="+issuer.url, "oidc-client-id=bonsai", "oidc-ca-file="+written(t, issuer.ca),
		"oidc-username-claim=email", "oidc-groups-claim=groups", "oidc-groups-prefix=oidc:"))
	token := issuer.token(map[string]any{"sub": "1", "email": "jane@example.com", "groups": []string{"devs"}})
	var who authenticationv1.UserInfo
	var err error
	s.until("the issuer is known", func() bool {
		who, err = s.whoIs(s.bearer(token))
		return err == nil
	})
	require.Equal(t, authenticationv1.UserInfo{Username: "jane@example.com", Groups: []string{"oidc:devs", "system:authenticated"}}, who)
}

// Who they are and what they may may be for others to decide.
func TestWebhooks(t *testing.T) {
	service, ca := remote(t, func(path string, body []byte) any {
		if path == "/who" {
			var r authenticationv1.TokenReview
			_ = json.Unmarshal(body, &r) // a bad one is about no token
			r.Status.Authenticated, r.Status.User = r.Spec.Token == "opensesame", authenticationv1.UserInfo{Username: "ali"}
			return r
		}
		var r authorizationv1.SubjectAccessReview
		_ = json.Unmarshal(body, &r) // a bad one is about nothing
		a := r.Spec.ResourceAttributes
		r.Status = authorizationv1.SubjectAccessReviewStatus{Reason: "the cave is closed", Allowed: r.Spec.User == "ali" && a != nil && a.Resource == "configmaps"}
		if r.Status.Allowed {
			r.Status.Reason = "sesame"
		}
		return r
	})
	s := startServer(t, told(t, "--authentication-token-webhook-config-file="+kubeconfig(t, service.URL+"/who", ca),
		"--authorization-webhook-config-file="+kubeconfig(t, service.URL+"/may", ca)))
	ali := s.bearer("opensesame")
	client := clientOf(t, ali)
	_, err := client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	_, err = client.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{})
	require.EqualError(t, err, `secrets is forbidden: User "ali" cannot list resource "secrets" in API group "" in the namespace "default": default: the cave is closed`)
	_, err = s.whoIs(s.bearer("openbarley"))
	require.True(t, apierrors.IsUnauthorized(err), "%v", err)
	review, err := s.client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "ali", ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: "configmaps"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "sesame"}, review.Status)

	// Without an answer nobody knows whether it would have been allowed.
	service.Close()
	got := s.sendBy(httpOf(t, ali), "GET /api/v1/namespaces/default/pods?timeout=1s", nil)
	require.Equal(t, 500, got.code)
	require.Contains(t, string(got.body), `Internal Server Error: "/api/v1/namespaces/default/pods?timeout=1s": `)
}

// Files and flags: users with tokens, no strangers, no bootstrap tokens.
func TestTokenFileAndNoStrangers(t *testing.T) {
	s := startServer(t, told(t, "token-auth-file="+written(t, "t0p,jane,1,\"system:masters,devs\"\n"), "anonymous-auth=false", "enable-bootstrap-token-auth=false"))
	who, err := s.whoIs(s.bearer("t0p"))
	require.NoError(t, err)
	require.Equal(t, authenticationv1.UserInfo{Username: "jane", UID: "1", Groups: []string{"system:masters", "devs", "system:authenticated"}}, who)
	require.Equal(t, 401, s.sendBy(httpOf(t, s.bearer("")), "GET /version", nil).code)
	_, err = s.client.CoreV1().Secrets("kube-system").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"},
		Type: corev1.SecretTypeBootstrapToken, StringData: map[string]string{"token-id": "abcdef", "token-secret": "0123456789abcdef",
			"usage-bootstrap-authentication": "true"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = s.whoIs(s.bearer("abcdef.0123456789abcdef"))
	require.True(t, apierrors.IsUnauthorized(err), "%v", err)
}

// Another authority may sign for clients.
func TestOtherAuthority(t *testing.T) {
	other := otherPKI(t)
	s := startServer(t, told(t, "client-ca-file="+written(t, string(other.CA))))
	c := s.as(other.Component("scheduler"))
	c.Host, c.CAData = s.config.Host, s.config.CAData
	who, err := s.whoIs(c)
	require.NoError(t, err)
	require.Equal(t, "system:kube-scheduler", who.Username)
	who, err = s.whoIs(s.config)
	require.NoError(t, err)
	require.Equal(t, "kubernetes-admin", who.Username)
}

// A proxy with a certificate of its authority says who asks.
func TestProxyInFront(t *testing.T) {
	proxies := otherPKI(t)
	ca := written(t, string(proxies.CA))
	s := startServer(t, told(t, "requestheader-client-ca-file="+ca, "requestheader-allowed-names=kubernetes-admin"))
	as := func(kubeconfig string) *http.Client {
		c := s.as(kubeconfig)
		c.Host, c.CAData = s.config.Host, s.config.CAData
		return httpOf(t, c)
	}
	ask := func(by *http.Client) answer {
		return s.sendBy(by, "POST /apis/authentication.k8s.io/v1/selfsubjectreviews", []byte(`{}`), "X-Remote-User: joe", "X-Remote-Group: devs", "X-Remote-Extra-K: v")
	}
	var review authenticationv1.SelfSubjectReview
	got := ask(as(proxies.Kubeconfig))
	require.Equal(t, 201, got.code, "%s", got.body)
	require.NoError(t, json.Unmarshal(got.body, &review))
	require.Equal(t, authenticationv1.UserInfo{Username: "joe", Groups: []string{"devs", "system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{"k": {"v"}}}, review.Status.UserInfo)
	require.Equal(t, 401, ask(as(proxies.Component("scheduler"))).code)
	// Who is not the proxy is who it is, whatever it says.
	got = ask(s.http)
	require.NoError(t, json.Unmarshal(got.body, &review))
	require.Equal(t, "kubernetes-admin", review.Status.UserInfo.Username)
}

const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, resources: [{resources: [secrets]}]}
- {level: RequestResponse, resources: [{resources: [configmaps]}], omitManagedFields: true, userGroups: ["system:masters"], namespaces: [default]}
- {level: None}
`

// What happens is in the audit log, in upstream's types, and at the webhook once the server has stopped.
func TestAudit(t *testing.T) {
	var sent auditv1.EventList
	archive, ca := remote(t, func(_ string, body []byte) any {
		var list auditv1.EventList
		if err := json.Unmarshal(body, &list); err != nil {
			return err.Error()
		}
		sent.Items = append(sent.Items, list.Items...)
		return "ok"
	})
	log := filepath.Join(t.TempDir(), "audit.log")
	s := startServer(t, told(t, "audit-policy-file="+written(t, auditPolicy), "audit-log-path="+log, "audit-webhook-config-file="+kubeconfig(t, archive.URL, ca)))
	_, err := s.client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}, Data: map[string]string{"a": "b"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = s.client.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, StringData: map[string]string{"a": "hidden"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = s.client.CoreV1().Secrets("default").Get(t.Context(), "none", metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err))
	s.stop()

	text, err := os.ReadFile(log)
	require.NoError(t, err)
	require.NotContains(t, string(text), "hidden")
	var lines []string
	for line := range strings.Lines(string(text)) {
		var e auditv1.Event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		require.NotZero(t, e.StageTimestamp)
		lines = append(lines, fmt.Sprintln(e.Level, e.Stage, e.Verb, e.ObjectRef.Resource, e.ObjectRef.Name, e.User.Username, e.ResponseStatus.Code,
			e.RequestObject != nil, e.ResponseObject != nil, e.Annotations["authorization.k8s.io/decision"]))
	}
	require.Equal(t, []string{
		"RequestResponse ResponseComplete create configmaps m kubernetes-admin 201 true true allow\n",
		"Metadata ResponseComplete create secrets s kubernetes-admin 201 false false allow\n",
		"Metadata ResponseComplete get secrets none kubernetes-admin 404 false false allow\n",
	}, lines)
	require.Len(t, sent.Items, 3)
	require.Equal(t, "configmaps", sent.Items[0].ObjectRef.Resource)
}
