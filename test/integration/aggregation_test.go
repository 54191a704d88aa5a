package integration

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kubectl/pkg/util/openapi"
)

// extension is a small API server of its own: it believes the headers of whoever proves to be the front proxy, as the ConfigMap
// says, and serves one kind, of which it makes objects up.
type extension struct {
	*httptest.Server
	ca   []byte
	port int32
}

func startExtension(s *server) *extension {
	s.Helper()
	trust, err := s.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(context.Background(), "extension-apiserver-authentication", metav1.GetOptions{})
	require.NoError(s, err)
	clients := x509.NewCertPool()
	require.True(s, clients.AppendCertsFromPEM([]byte(trust.Data["requestheader-client-ca-file"])))
	var names []string
	require.NoError(s, json.Unmarshal([]byte(trust.Data["requestheader-allowed-names"]), &names))
	e := &extension{}
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 || !slices.Contains(names, r.TLS.PeerCertificates[0].Subject.CommonName) {
			http.Error(w, "not the front proxy", http.StatusUnauthorized)
			return
		}
		serveMood(w, r)
	}))
	cert, ca := selfSigned(s, "moods.default.svc")
	e.ca = ca
	e.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients}
	e.StartTLS()
	s.Cleanup(e.Close)
	_, port, err := net.SplitHostPort(e.Listener.Addr().String())
	require.NoError(s, err)
	number, err := strconv.ParseInt(port, 10, 32)
	require.NoError(s, err)
	e.port = int32(number)
	return e
}

func serveMood(w http.ResponseWriter, r *http.Request) {
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	const root = "/apis/mood.example.com/v1beta1"
	switch {
	case r.URL.Path == root:
		answer(metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "mood.example.com/v1beta1",
			APIResources: []metav1.APIResource{{Name: "moods", SingularName: "mood", Kind: "Mood", ShortNames: []string{"mo"}, Verbs: metav1.Verbs{"get", "list"}}}})
	case r.URL.Path == "/openapi/v3":
		answer(map[string]any{"paths": map[string]any{root[1:]: map[string]any{"serverRelativeURL": "/openapi/v3" + root + "?hash=1"}}})
	case r.URL.Path == "/openapi/v3"+root:
		answer(map[string]any{"openapi": "3.0.0", "info": map[string]any{"title": "moods"}})
	case r.URL.Path == "/openapi/v2":
		answer(map[string]any{"swagger": "2.0", "info": map[string]any{"title": "moods", "version": "1"},
			"paths": map[string]any{root + "/moods": map[string]any{"get": map[string]any{"operationId": "listMoods", "responses": map[string]any{
				"200": map[string]any{"description": "OK", "schema": map[string]any{"$ref": "#/definitions/com.example.mood.v1beta1.Mood"}}}}}},
			"definitions": map[string]any{"com.example.mood.v1beta1.Mood": map[string]any{"type": "object",
				"x-kubernetes-group-version-kind": []any{map[string]any{"group": "mood.example.com", "version": "v1beta1", "kind": "Mood"}}}}})
	case r.URL.Path == root+"/moods/stream" && r.Header.Get("Upgrade") == "echo":
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n%s\n", r.Header.Get("X-Remote-User"))
		_, _ = io.Copy(conn, buffered)
	case strings.HasPrefix(r.URL.Path, root+"/moods/"):
		answer(map[string]any{"kind": "Mood", "apiVersion": "mood.example.com/v1beta1", "metadata": map[string]any{"name": "mine"},
			"user": r.Header["X-Remote-User"], "groups": r.Header["X-Remote-Group"], "query": r.URL.RawQuery,
			"authorization": r.Header["Authorization"]})
	default:
		http.NotFound(w, r)
	}
}

// selfSigned is a certificate for name, and the same as its own authority.
func selfSigned(t require.TestingT, name string) (tls.Certificate, []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// The groups that this server serves itself are API services too, in upstream's order.
func TestLocalAPIServices(t *testing.T) {
	s := startServer(t)
	local, err := s.dynamic.Resource(apiregistrationv1.SchemeGroupVersion.WithResource("apiservices")).List(t.Context(),
		metav1.ListOptions{LabelSelector: "kube-aggregator.kubernetes.io/automanaged=onstart"})
	require.NoError(t, err)
	priorities := map[string][2]int32{}
	for i := range local.Items {
		a := apiService(t, &local.Items[i])
		priorities[a.Name] = [2]int32{a.Spec.GroupPriorityMinimum, a.Spec.VersionPriority}
		require.Equal(t, "Local", a.Status.Conditions[0].Reason, a.Name)
	}
	require.Equal(t, [2]int32{18000, 1}, priorities["v1."])
	require.Equal(t, [2]int32{17800, 15}, priorities["v1.apps"])
	require.Equal(t, [2]int32{16100, 21}, priorities["v1.flowcontrol.apiserver.k8s.io"])
}

// Requests for an APIService's group go to the server behind it, as who asked; it is in discovery and OpenAPI while it is there.
func TestAggregatedAPI(t *testing.T) {
	s := startServer(t)
	ctx := context.Background()
	agg := s.dynamic.Resource(apiregistrationv1.SchemeGroupVersion.WithResource("apiservices"))
	e := startExtension(s)
	mood := &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1beta1.mood.example.com"}, Spec: apiregistrationv1.APIServiceSpec{
		Group: "mood.example.com", Version: "v1beta1", GroupPriorityMinimum: 1000, VersionPriority: 15, CABundle: e.ca,
		Service: &apiregistrationv1.ServiceReference{Namespace: "default", Name: "moods", Port: &e.port},
	}}
	mood.SetGroupVersionKind(apiregistrationv1.SchemeGroupVersion.WithKind("APIService"))
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(mood)
	require.NoError(t, err)
	_, err = agg.Create(ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{})
	require.NoError(t, err)
	condition := func() (c apiregistrationv1.APIServiceCondition) {
		u, err := agg.Get(ctx, mood.Name, metav1.GetOptions{})
		require.NoError(t, err)
		a := apiService(t, u)
		if len(a.Status.Conditions) > 0 {
			c = a.Status.Conditions[0]
		}
		return c
	}
	s.until("it is known that there is no service", func() bool { return condition().Reason == "ServiceNotFound" })
	require.Equal(t, `service/moods in "default" is not present`, condition().Message)
	get := func(path string, headers ...string) (int, string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.config.Host+path, nil)
		require.NoError(t, err)
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Add(name, value)
		}
		resp, err := s.http.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	code, body := get("/apis/mood.example.com/v1beta1/moods/mine")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "service unavailable\n", body)

	_, err = s.client.CoreV1().Services("default").Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "moods"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	s.until("it is available", func() bool { return condition().Status == apiregistrationv1.ConditionTrue })
	require.Equal(t, "Passed: all checks passed", condition().Reason+": "+condition().Message)
	s.until("requests get through", func() bool {
		code, body = get("/apis/mood.example.com/v1beta1/moods/mine?a=b", "X-Remote-User: mallory", "X-Remote-Group: system:masters")
		return code == http.StatusOK
	})
	var said struct {
		User, Groups, Authorization []string
		Query                       string
	}
	require.NoError(t, json.Unmarshal([]byte(body), &said), body)
	require.Equal(t, []string{"kubernetes-admin"}, said.User)
	require.ElementsMatch(t, []string{"system:masters", "system:authenticated"}, said.Groups)
	require.Equal(t, "a=b", said.Query)
	require.Empty(t, said.Authorization)
	checkAggregatedDiscovery(t, s, get)
	checkUpgrade(t, s)
	checkHopByHop(t, s)

	e.Close()
	require.NoError(t, agg.Delete(ctx, mood.Name, metav1.DeleteOptions{}))
	s.until("the group is gone", func() bool {
		code, _ := get("/apis/mood.example.com")
		return code == http.StatusNotFound
	})
}

func apiService(t *testing.T, u *unstructured.Unstructured) *apiregistrationv1.APIService {
	var a apiregistrationv1.APIService
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &a))
	return &a
}

func checkAggregatedDiscovery(t *testing.T, s *server, get func(string, ...string) (int, string)) {
	moods := schema.GroupVersion{Group: "mood.example.com", Version: "v1beta1"}
	for _, legacy := range []bool{false, true} {
		d := discovery.NewDiscoveryClientForConfigOrDie(s.config)
		d.UseLegacyDiscovery = legacy
		s.until("discovery lists the kind", func() bool {
			_, lists, err := d.ServerGroupsAndResources()
			return err == nil && slices.ContainsFunc(lists, func(l *metav1.APIResourceList) bool {
				return l.GroupVersion == moods.String() && len(l.APIResources) == 1 && l.APIResources[0].Kind == "Mood"
			})
		})
	}
	code, body := get("/openapi/v3")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, `"apis/mood.example.com/v1beta1":{"serverRelativeURL":"/openapi/v3/apis/mood.example.com/v1beta1?hash=1"}`)
	_, body = get("/openapi/v3/apis/mood.example.com/v1beta1?hash=1")
	require.Contains(t, body, `"title":"moods"`)

	// There is but one v2 document, in which kubectl finds the kinds of all servers.
	v2, err := s.client.Discovery().OpenAPISchema()
	require.NoError(t, err)
	schemas, err := openapi.NewOpenAPIData(v2)
	require.NoError(t, err)
	require.NotNil(t, schemas.LookupResource(moods.WithKind("Mood")))
	require.NotNil(t, schemas.LookupResource(corev1.SchemeGroupVersion.WithKind("Pod")))
}

// raw is a connection on which one can say what net/http's client would not.
func raw(t *testing.T, s *server) (net.Conn, *bufio.Reader) {
	c, err := rest.TLSConfigFor(s.config)
	require.NoError(t, err)
	c.NextProtos = []string{"http/1.1"}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.config.Host, "https://"), c)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(inTime)))
	return conn, bufio.NewReader(conn)
}

// checkUpgrade makes a stream of a request to the other server, as exec does.
func checkUpgrade(t *testing.T, s *server) {
	conn, in := raw(t, s)
	_, err := fmt.Fprintf(conn, "GET /apis/mood.example.com/v1beta1/moods/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	who, err := in.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "kubernetes-admin\n", who)
	_, err = conn.Write([]byte("hello\n"))
	require.NoError(t, err)
	echo, err := in.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "hello\n", echo)
}

// checkHopByHop names the proxy's headers as ones that are for the next hop only: they must not be taken out.
func checkHopByHop(t *testing.T, s *server) {
	conn, in := raw(t, s)
	_, err := fmt.Fprintf(conn, "GET /apis/mood.example.com/v1beta1/moods/mine HTTP/1.1\r\nHost: x\r\nConnection: X-Remote-User, X-Remote-Group\r\n\r\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), `"user":["kubernetes-admin"]`)
}
