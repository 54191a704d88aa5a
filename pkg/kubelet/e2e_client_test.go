//go:build e2e

package kubelet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
)

// logs gets a container's log from the kubelet's server.
func (c *cluster) logs(path string) string {
	resp, err := c.http().Get("https://127.0.0.1:10250/containerLogs/default/" + path)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return string(text)
}

func (c *cluster) http() *http.Client {
	pair, err := tls.LoadX509KeyPair(c.h.dir+"/cert.pem", c.h.dir+"/key.pem")
	require.NoError(c.t, err)
	ca, err := os.ReadFile(c.h.dir + "/cert.pem")
	require.NoError(c.t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool}}}
}

// exec runs a command through the kubelet's server.
func (c *cluster) exec(path, query, stdin string) (string, error) {
	conf := &rest.Config{Host: "https://127.0.0.1:10250", TLSClientConfig: rest.TLSClientConfig{
		CertFile: c.h.dir + "/cert.pem", KeyFile: c.h.dir + "/key.pem", CAFile: c.h.dir + "/cert.pem"}}
	req, err := http.NewRequest("POST", "https://127.0.0.1:10250/exec/default/"+path+"?"+query, nil)
	require.NoError(c.t, err)
	e, err := remotecommand.NewSPDYExecutor(conf, "POST", req.URL)
	require.NoError(c.t, err)
	var out strings.Builder
	o := remotecommand.StreamOptions{Stdout: &out, Stderr: &out}
	if stdin != "" {
		o.Stdin = strings.NewReader(stdin)
	}
	err = e.StreamWithContext(context.Background(), o)
	return out.String(), err
}

// events returns "REASON MESSAGE" of a pod's events.
func (c *cluster) events(pod string) (out []string) {
	list, err := c.CoreV1().Events("default").List(context.Background(), metav1.ListOptions{})
	require.NoError(c.t, err)
	for _, e := range list.Items {
		if e.InvolvedObject.Name == pod {
			out = append(out, e.Reason+" "+e.Message)
		}
	}
	return out
}

func (c *cluster) event(pod, want string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		return slices.ContainsFunc(c.events(pod), func(e string) bool { return strings.HasPrefix(e, want) })
	}, 20*time.Second, 20*time.Millisecond, "an event %q", want)
}

func (c *cluster) phase(name string, want corev1.PodPhase) *corev1.Pod {
	c.t.Helper()
	c.eventually(func() bool { return c.get(name).Status.Phase == want }, name+" to be "+string(want))
	return c.get(name)
}

// state waits for a container's state.
func (c *cluster) state(name string, ok func(*corev1.ContainerStatus) bool) corev1.ContainerStatus {
	c.t.Helper()
	var s corev1.ContainerStatus
	done := func() bool {
		p := c.get(name)
		if p == nil || len(p.Status.ContainerStatuses) == 0 {
			return false
		}
		s = p.Status.ContainerStatuses[0]
		return ok(&s)
	}
	if !waitUntil(40*time.Second, done) {
		require.FailNow(c.t, "state not reached", "%s: %+v\n%v", name, s, c.events(name))
	}
	return s
}

// waitUntil polls a condition that the test wants to describe itself when it does not come true.
func waitUntil(d time.Duration, ok func() bool) bool {
	late := time.After(d)
	for tick := time.Tick(10 * time.Millisecond); !ok(); {
		select {
		case <-tick:
		case <-late:
			return false
		}
	}
	return true
}
