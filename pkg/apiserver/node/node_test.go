package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/apiserver/meter/metertest"
	"bonsai/pkg/pki"
	"bonsai/pkg/resource"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	clientforward "k8s.io/client-go/tools/portforward"
	client "k8s.io/client-go/tools/remotecommand"
	clientspdy "k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// objects is a Getter; keys are "resource/namespace/name".
type objects map[string]resource.Object

func (o objects) Get(_ context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error) {
	if obj, ok := o[r.String()+"/"+namespace+"/"+name]; ok {
		return obj, nil
	}
	return nil, apierrors.NewNotFound(r, name)
}

func (o objects) List(_ context.Context, r schema.GroupResource, namespace string) (out []resource.Object, err error) {
	for key, obj := range o {
		if strings.HasPrefix(key, r.String()+"/"+namespace+"/") {
			out = append(out, obj)
		}
	}
	return out, nil
}

// house is an API server whose only ability is Connect, and a kubelet of which only the containers are not real.
type house struct {
	objects objects
	server  *httptest.Server
	kubelet *httptest.Server
	// asked is what the kubelet was asked last.
	asked *url.URL
	set   *meter.Set
}

func newHouse(t *testing.T) *house {
	t.Helper()
	p, err := pki.Ensure(t.TempDir(), pki.Options{
		Server: "https://127.0.0.1:6443", NodeName: "oak", NodeIPs: []net.IP{net.IPv4(127, 0, 0, 1)},
		ServiceIP: net.IPv4(10, 96, 0, 1), ClusterDomain: "cluster.local", Now: time.Now(),
	})
	require.NoError(t, err)
	h := &house{}
	h.kubelet = httptest.NewUnstartedServer(http.HandlerFunc(h.serveKubelet))
	h.kubelet.TLS = &tls.Config{Certificates: []tls.Certificate{p.Kubelet}, ClientCAs: p.Pool, ClientAuth: tls.RequireAndVerifyClientCert}
	h.kubelet.StartTLS()
	t.Cleanup(h.kubelet.Close)
	h.objects = cluster(portOf(t, h.kubelet.URL))
	h.set = meter.New()
	nodes := New(Config{Get: h.objects, Client: p.KubeletClient, Roots: p.Pool, Counts: NewMetrics(h.set)})
	h.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := nodes.Connect(w, r, parse(r.URL.Path)); err != nil {
			var status *apierrors.StatusError
			if !errors.As(err, &status) {
				status = apierrors.NewInternalError(err)
			}
			http.Error(w, status.ErrStatus.Message, int(status.ErrStatus.Code))
		}
	}))
	t.Cleanup(h.server.Close)
	return h
}

// parse reads /RESOURCE/NAMESPACE/NAME/SUBRESOURCE/PATH.
func parse(path string) Connection {
	f := strings.SplitN(path, "/", 6)
	c := Connection{Resource: f[1], Namespace: strings.Trim(f[2], "-"), Name: f[3], Subresource: f[4]}
	if len(f) > 5 {
		c.Path = f[5]
	}
	return c
}

func portOf(t *testing.T, address string) int32 {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	port, err := strconv.ParseInt(u.Port(), 10, 32)
	require.NoError(t, err)
	return int32(port)
}

func cluster(kubelet int32) objects {
	pod := func(name, node string, containers ...string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.PodSpec{NodeName: node}}
		for _, c := range containers {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c})
		}
		return p
	}
	two := pod("two", "oak", "a", "b")
	two.Spec.InitContainers = []corev1.Container{{Name: "init"}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "oak"}}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "oak"}, {Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = kubelet
	return objects{
		"nodes//oak":     node,
		"nodes//new":     &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "new"}},
		"pods/shop/web":  pod("web", "oak", "c"),
		"pods/shop/two":  two,
		"pods/shop/wait": pod("wait", "", "c"),
		"pods/shop/lost": pod("lost", "gone", "c"),
		"pods/shop/new":  pod("new", "new", "c"),
	}
}

// serveKubelet has upstream's paths and the real streaming servers.
func (h *house) serveKubelet(w http.ResponseWriter, r *http.Request) {
	h.asked = r.URL
	f := strings.Split(r.URL.Path, "/")
	q := r.URL.Query()
	o := &remotecommand.Options{Stdin: q.Get("input") == "1", Stdout: q.Get("output") == "1", Stderr: q.Get("error") == "1", TTY: q.Get("tty") == "1"}
	switch f[1] {
	case "containerLogs":
		switch {
		case q.Get("previous") == "true":
			http.Error(w, `previous terminated container "c" in pod "web" not found`, http.StatusBadRequest)
		case q.Get("follow") == "true":
			fmt.Fprintln(w, "first")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			fmt.Fprintln(w, "hello")
		}
	case "exec":
		remotecommand.ServeExec(w, r, containers{}, f[3], "", f[4], q["command"], o, time.Minute, time.Minute, remotecommand.SupportedStreamingProtocols)
	case "attach":
		remotecommand.ServeAttach(w, r, containers{}, f[3], "", f[4], o, time.Minute, time.Minute, remotecommand.SupportedStreamingProtocols)
	case "portForward":
		forward := &portforward.V4Options{}
		portforward.ServePortForward(w, r, containers{}, f[3], "", forward, time.Minute, time.Minute, portforward.SupportedProtocols)
	default:
		fmt.Fprintf(w, "kubelet %s for %s", r.URL.RequestURI(), r.TLS.PeerCertificates[0].Subject)
	}
}

// containers are the simplest ones that show that all streams arrive.
type containers struct{}

func (containers) ExecInContainer(_ context.Context, _, _, _ string, cmd []string, in io.Reader, out, errs io.WriteCloser, tty bool, sizes <-chan remotecommand.TerminalSize, _ time.Duration) error {
	switch cmd[0] {
	case "cat":
		_, err := io.Copy(out, in)
		fmt.Fprint(errs, "cat ends")
		return err
	case "size":
		s := <-sizes
		_, err := fmt.Fprintf(out, "%dx%d tty=%t", s.Width, s.Height, tty)
		return err
	case "exit":
		return utilexec.CodeExitError{Err: errors.New("exit 3"), Code: 3}
	}
	return errors.New("no such command")
}

func (c containers) AttachContainer(ctx context.Context, name, uid, container string, in io.Reader, out, errs io.WriteCloser, tty bool, sizes <-chan remotecommand.TerminalSize) error {
	return c.ExecInContainer(ctx, name, uid, container, []string{"cat"}, in, out, errs, tty, sizes, 0)
}

func (containers) PortForward(_ context.Context, _, _ string, port int32, s io.ReadWriteCloser) error {
	defer s.Close()
	b := make([]byte, 4)
	if _, err := io.ReadFull(s, b); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s, "%d says %s", port, bytes.ToUpper(b))
	return err
}

func (h *house) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := http.Get(h.server.URL + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, strings.TrimSpace(string(b))
}

func TestRefusals(t *testing.T) {
	h := newHouse(t)
	for path, want := range map[string]string{
		"/pods/shop/web/log":                                "200 hello",
		"/pods/shop/two/log?container=init":                 "200 hello",
		"/pods/shop/ghost/log":                              `404 pods "ghost" not found`,
		"/pods/shop/two/log":                                `400 a container name must be specified for pod two, choose one of: [init a b]`,
		"/pods/shop/web/log?container=x":                    `400 container x is not valid for pod web`,
		"/pods/shop/web/log?previous=true":                  `400 previous terminated container "c" in pod "web" not found`,
		"/pods/shop/wait/log":                               "204 ",
		"/pods/shop/lost/log":                               `404 pods "gone" not found`,
		"/pods/shop/new/log":                                `500 Internal error occurred: no preferred addresses found; known addresses: []`,
		"/pods/shop/web/log?tailLines=-1":                   `422 PodLogOptions "web" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0`,
		"/pods/shop/web/log?limitBytes=0":                   `422 PodLogOptions "web" is invalid: limitBytes: Invalid value: 0: must be greater than 0`,
		"/pods/shop/web/log?sinceSeconds=0":                 `422 PodLogOptions "web" is invalid: sinceSeconds: Invalid value: 0: must be greater than 0`,
		"/pods/shop/web/exec?command=x&stdout=1":            `400 Upgrade request required`,
		"/pods/shop/wait/exec?command=x&stdout=1":           `400 pod wait does not have a host assigned`,
		"/pods/shop/wait/portforward":                       `400 pod wait does not have a host assigned`,
		"/pods/shop/two/attach":                             `400 a container name must be specified for pod two, choose one of: [init a b]`,
		"/pods/shop/web/proxy":                              `400 address not allowed`,
		"/services/shop/ghost/proxy":                        `503 no endpoints available for service "ghost"`,
		"/nodes/-/oak/proxy/pods?x=y":                       `200 kubelet /pods?x=y for CN=kube-apiserver-kubelet-client,O=system:masters`,
		"/nodes/-/oak:1/proxy/":                             `400 address not allowed`,
		"/nodes/-/ghost/proxy/":                             `404 nodes "ghost" not found`,
		"/pods/shop/web/log?tailLines=many":                 `400 strconv.ParseInt: parsing "many": invalid syntax`,
		"/pods/shop/web/log?sinceTime=2026-11-22T10:00:00Z": "200 hello",
	} {
		code, body := h.get(t, path)
		require.Equal(t, want, fmt.Sprint(code, " ", body), path)
	}
}

// Without a slash at the end relative links would lead beside the proxy; who sends something is not sent elsewhere.
func TestProxyOfTheTop(t *testing.T) {
	h := newHouse(t)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for ask, want := range map[string]string{
		"GET /nodes/-/oak/proxy?x=y":  "301 /nodes/-/oak/proxy/?x=y",
		"HEAD /nodes/-/oak/proxy":     "301 /nodes/-/oak/proxy/",
		"GET /nodes/-/oak/proxy/":     "200 ",
		"POST /nodes/-/oak/proxy":     "200 ",
		"OPTIONS /nodes/-/oak/proxy":  "200 ",
		"GET /nodes/-/oak/proxy/pods": "200 ",
	} {
		method, path, _ := strings.Cut(ask, " ")
		req, err := http.NewRequestWithContext(t.Context(), method, h.server.URL+path, nil)
		require.NoError(t, err)
		resp, err := client.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, want, fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Location")), ask)
	}
}

func TestLogOptionsReachTheKubelet(t *testing.T) {
	h := newHouse(t)
	h.get(t, "/pods/shop/web/log?container=c&timestamps=true&tailLines=0&limitBytes=9&sinceSeconds=7")
	require.Equal(t, "/containerLogs/shop/web/c?limitBytes=9&sinceSeconds=7&tailLines=0&timestamps=true", h.asked.RequestURI())
}

// A line of a followed log must not wait for the next.
func TestFollowedLogComesAtOnce(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.server.URL+"/pods/shop/web/log?follow=true", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	b := make([]byte, 100)
	n, err := resp.Body.Read(b)
	require.NoError(t, err)
	require.Equal(t, "first\n", string(b[:n]))
	cancel() // and the kubelet's handler ends, or the test would hang
	resp.Body.Close()
}

// The protocol decides how the pieces of a log are told; the first message is empty.
func TestLogOverWebSocket(t *testing.T) {
	h := newHouse(t)
	at := "ws" + strings.TrimPrefix(h.server.URL, "http") + "/pods/shop/web/log"
	for offered, want := range map[string]string{
		"":                             "2 ;2 hello\n;end",
		"binary.k8s.io":                "2 ;2 hello\n;end",
		"base64.binary.k8s.io":         "1 ;1 aGVsbG8K;end",
		"other.k8s.io, binary.k8s.io":  "2 ;2 hello\n;end",
		"other.k8s.io, another.k8s.io": "403",
		"v4.channel.k8s.io":            "403",

		"base64.binary.k8s.io, binary.k8s.io": "1 ;1 aGVsbG8K;end",
		"binary.k8s.io?previous=true":         "400",
		"binary.k8s.io?sinceSeconds=-1":       "422",
	} {
		protocol, query, _ := strings.Cut(offered, "?")
		header := http.Header{}
		if protocol != "" {
			header.Set("Sec-WebSocket-Protocol", protocol)
		}
		conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), at+"?"+query, header)
		if err != nil {
			require.Equal(t, want, fmt.Sprint(resp.StatusCode), offered)
			continue
		}
		var got strings.Builder
		for {
			kind, message, err := conn.ReadMessage()
			if err != nil {
				require.True(t, websocket.IsCloseError(err, websocket.CloseNormalClosure), err)
				break
			}
			fmt.Fprintf(&got, "%d %s;", kind, message)
		}
		require.Equal(t, want, got.String()+"end", offered)
		require.NoError(t, conn.Close())
	}
}

// A client that closes its WebSocket is told no more, and the kubelet need not tell it.
func TestLogOverWebSocketIsLeft(t *testing.T) {
	h := newHouse(t)
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(h.server.URL, "http")+"/pods/shop/web/log?follow=true", nil)
	require.NoError(t, err)
	for _, want := range []string{"", "first\n"} {
		_, message, err := conn.ReadMessage()
		require.NoError(t, err)
		require.Equal(t, want, string(message))
	}
	require.NoError(t, conn.Close()) // and the kubelet's handler ends, or the test would hang
}

// A kubelet that is not of the cluster's authority is not asked anything.
func TestForeignKubelet(t *testing.T) {
	h, other := newHouse(t), newHouse(t)
	h.objects["nodes//oak"] = other.objects["nodes//oak"]
	code, body := h.get(t, "/pods/shop/web/log")
	require.Equal(t, 500, code)
	require.Contains(t, body, "certificate")
	require.Nil(t, other.asked)
	const prefix = "kube_apiserver_pod_logs_"
	failures := func() float64 { return metertest.Counted(t, h.set, prefix+"backend_tls_failure_total")[""] }
	require.Equal(t, 1.0, failures())
	h.get(t, "/pods/shop/web/log?insecureSkipTLSVerifyBackend=true") // which then does not trust us
	require.Equal(t, 1.0, failures())
	require.Equal(t, map[string]float64{"enforce_tls": 1, "skip_tls_allowed": 1}, metertest.Counted(t, h.set, prefix+"insecure_backend_total"))
}

// executors are all ways in which clients run commands.
func (h *house) executors(t *testing.T, path string) map[string]client.Executor {
	t.Helper()
	u, err := url.Parse(h.server.URL + path)
	require.NoError(t, err)
	config := &rest.Config{Host: h.server.URL}
	all := map[string]client.Executor{}
	all["SPDY"], err = client.NewSPDYExecutor(config, http.MethodPost, u)
	require.NoError(t, err)
	for _, version := range []string{"v5.channel.k8s.io", "v4.channel.k8s.io"} {
		all["WebSocket "+version], err = client.NewWebSocketExecutorForProtocols(config, http.MethodGet, u.String(), version)
		require.NoError(t, err)
	}
	return all
}

func TestExec(t *testing.T) {
	h := newHouse(t)
	for way, run := range h.executors(t, "/pods/shop/web/exec?command=cat&stdin=true&stdout=true&stderr=true") {
		if strings.Contains(way, "v4") {
			continue // cannot say that stdin has ended
		}
		t.Run(way, func(t *testing.T) {
			var out, errs bytes.Buffer
			in := strings.Repeat("all of it\n", 20000)
			require.NoError(t, run.StreamWithContext(context.Background(), client.StreamOptions{Stdin: strings.NewReader(in), Stdout: &out, Stderr: &errs}))
			require.Equal(t, in, out.String())
			require.Equal(t, "cat ends", errs.String())
		})
	}
	for way, run := range h.executors(t, "/pods/shop/web/exec?command=size&stdin=true&stdout=true&tty=true") {
		t.Run("size "+way, func(t *testing.T) {
			var out bytes.Buffer
			in, hold := io.Pipe()
			defer hold.Close()
			size := make(once, 1)
			size <- &client.TerminalSize{Width: 80, Height: 25}
			require.NoError(t, run.StreamWithContext(context.Background(), client.StreamOptions{Stdin: in, Stdout: &out, Tty: true, TerminalSizeQueue: size}))
			require.Equal(t, "80x25 tty=true", out.String())
			close(size)
		})
	}
	for way, run := range h.executors(t, "/pods/shop/web/exec?command=exit&stdout=true") {
		t.Run("exit "+way, func(t *testing.T) {
			err := run.StreamWithContext(context.Background(), client.StreamOptions{Stdout: io.Discard})
			var code utilexec.CodeExitError
			require.ErrorAs(t, err, &code)
			require.Equal(t, 3, code.Code)
		})
	}
	for way, run := range h.executors(t, "/pods/shop/web/exec?command=ghost&stdout=true") {
		t.Run("error "+way, func(t *testing.T) {
			err := run.StreamWithContext(context.Background(), client.StreamOptions{Stdout: io.Discard})
			require.ErrorContains(t, err, "no such command")
		})
	}
}

// once is a queue of terminal sizes.
type once chan *client.TerminalSize

func (o once) Next() *client.TerminalSize { return <-o }

func TestAttach(t *testing.T) {
	h := newHouse(t)
	for way, run := range h.executors(t, "/pods/shop/two/attach?container=b&stdin=true&stdout=true&stderr=true") {
		if strings.Contains(way, "v4") {
			continue // cannot say that stdin has ended
		}
		t.Run(way, func(t *testing.T) {
			var out bytes.Buffer
			require.NoError(t, run.StreamWithContext(context.Background(), client.StreamOptions{Stdin: strings.NewReader("hi"), Stdout: &out, Stderr: io.Discard}))
			require.Equal(t, "hi", out.String())
			require.Equal(t, "/attach/shop/two/b", h.asked.Path)
		})
	}
}

func TestPortForward(t *testing.T) {
	h := newHouse(t)
	u, err := url.Parse(h.server.URL + "/pods/shop/web/portforward")
	require.NoError(t, err)
	config := &rest.Config{Host: h.server.URL}
	trip, upgrade, err := clientspdy.RoundTripperFor(config)
	require.NoError(t, err)
	tunnel, err := clientforward.NewSPDYOverWebsocketDialer(u, config)
	require.NoError(t, err)
	dialSPDY := clientspdy.NewDialer(upgrade, &http.Client{Transport: trip}, http.MethodPost, u)
	for way, start := range map[string]func(stop, ready chan struct{}) (*clientforward.PortForwarder, error){
		"SPDY": func(stop, ready chan struct{}) (*clientforward.PortForwarder, error) {
			return clientforward.New(dialSPDY, []string{"0:8080"}, stop, ready, io.Discard, io.Discard)
		},
		"SPDY inside WebSocket": func(stop, ready chan struct{}) (*clientforward.PortForwarder, error) {
			return clientforward.New(tunnel, []string{"0:8080"}, stop, ready, io.Discard, io.Discard)
		},
	} {
		t.Run(way, func(t *testing.T) {
			stop, ready, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			f, err := start(stop, ready)
			require.NoError(t, err)
			go func() { ended <- f.ForwardPorts() }()
			select {
			case <-ready:
			case err := <-ended:
				t.Fatalf("ended before it began: %v", err)
			}
			ports, err := f.GetPorts()
			require.NoError(t, err)
			for range 2 { // one connection after the other, in the same tunnel
				c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(ports[0].Local))))
				require.NoError(t, err)
				_, err = c.Write([]byte("ping"))
				require.NoError(t, err)
				b, err := io.ReadAll(c)
				require.NoError(t, err)
				require.Equal(t, "8080 says PING", string(b))
				c.Close()
			}
			close(stop)
			require.NoError(t, <-ended)
		})
	}
}

// A service leads to its own pods only, whatever somebody wrote into its endpoints.
func TestServiceEndpoints(t *testing.T) {
	pod := func(namespace, name, ip string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Status: corev1.PodStatus{PodIP: ip}}
	}
	address := func(namespace, name, ip string) corev1.EndpointAddress {
		return corev1.EndpointAddress{IP: ip, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: name}}
	}
	n := New(Config{Get: objects{
		"pods/shop/web": pod("shop", "web", "10.244.0.5"), "pods/other/web": pod("other", "web", "10.244.0.6"),
		"services/shop/web": &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}},
		"endpoints/shop/web": &corev1.Endpoints{Subsets: []corev1.EndpointSubset{{
			Ports: []corev1.EndpointPort{{Name: "http", Port: 8080}, {Name: "https", Port: 8443}},
			Addresses: []corev1.EndpointAddress{
				address("shop", "web", "10.244.0.5"),
				address("other", "web", "10.244.0.6"),  // of another namespace
				address("shop", "web", "10.244.0.99"),  // not the pod's
				address("shop", "ghost", "10.244.0.7"), // no such pod
				{IP: "192.0.2.1"},                      // nobody's
				address("shop", "web", "127.0.0.1"),
			}}}},
	}})
	for range 20 {
		host, err := n.endpoint(context.Background(), "shop", "web", "80")
		require.NoError(t, err)
		require.Equal(t, "10.244.0.5:8080", host)
	}
	host, err := n.endpoint(context.Background(), "shop", "web", "https")
	require.NoError(t, err)
	require.Equal(t, "10.244.0.5:8443", host)
	_, err = n.endpoint(context.Background(), "shop", "web", "81")
	require.EqualError(t, err, `no service port 81 found for service "web"`)
	_, err = n.endpoint(context.Background(), "shop", "web", "")
	require.EqualError(t, err, `no endpoints available for service "web"`)
}

func TestProxyable(t *testing.T) {
	for host, want := range map[string]bool{
		"10.244.0.5": true, "192.0.2.1": true, "2001:db8::1": true,
		"127.0.0.1": false, "::1": false, "169.254.169.254": false, "fe80::1": false, "0.0.0.0": false, "::": false, "224.0.0.1": false, "localhost": false, "": false,
	} {
		require.Equal(t, want, proxyable(host) == nil, host)
	}
}
