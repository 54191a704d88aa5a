package kubelet_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/utils/ptr"
)

func execAndLogs(t *testing.T, c *kase) {
	c.create(`
metadata: {name: talk}
spec:
  containers: [{name: main, command: [sh, -c, "for i in 1 2 3 4 5; do echo line $i; done; exec sleep 1000"]}]
`)
	c.ready("talk")
	c.eventually("talk to have a tail", func() bool {
		return c.log("talk", "main", corev1.PodLogOptions{TailLines: ptr.To[int64](2)}) == "line 4\nline 5\n"
	})
	out, err := c.exec("talk", "through and back", "cat")
	require.NoError(t, err)
	require.Equal(t, "through and back", out)
	_, err = c.exec("talk", "", "sh", "-c", "exit 7")
	require.ErrorContains(t, err, "exit code 7")
	c.delete("talk", 1)
}

// attach speaks with a container's own process: first one that ends with its input, then one on a terminal.
func attach(t *testing.T, c *kase) {
	c.create(`
metadata: {name: attached}
spec:
  restartPolicy: Never
  containers: [{name: main, stdin: true, stdinOnce: true, command: [sh, -c, "while read l; do echo got $l; done"]}]
`)
	c.ready("attached")
	out, err := c.stream("attached", "attach", &corev1.PodAttachOptions{Stdin: true, Stdout: true, Stderr: true}, "one\ntwo\n")
	require.NoError(t, err)
	require.Equal(t, "got one\ngot two\n", out)
	c.phase("attached", corev1.PodSucceeded)
	require.Equal(t, "got one\ngot two\n", c.log("attached", "main", corev1.PodLogOptions{}))

	c.create(`
metadata: {name: terminal}
spec:
  restartPolicy: Never
  containers: [{name: main, stdin: true, tty: true, command: [sh]}]
`)
	c.ready("terminal")
	out, err = c.stream("terminal", "attach", &corev1.PodAttachOptions{Stdin: true, Stdout: true, TTY: true}, "tty; exit\n")
	require.NoError(t, err)
	require.Contains(t, out, "/dev/pts/0")
	c.phase("terminal", corev1.PodSucceeded)
}

// portForward carries connections side by side, and refuses where nobody listens.
func portForward(t *testing.T, c *kase) {
	c.create(`
metadata: {name: forwarded}
spec:
  containers:
  - name: main
    command: [nc, -ll, -p, "7002", -e, cat]
    readinessProbe: {tcpSocket: {port: 7002}, periodSeconds: 1}
`)
	c.ready("forwarded")
	url := c.client.CoreV1().RESTClient().Post().Resource("pods").Namespace("default").Name("forwarded").SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(c.config)
	require.NoError(t, err)
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", url)
	stop, ready := make(chan struct{}), make(chan struct{})
	defer close(stop)
	forwarder, err := portforward.New(dialer, []string{"0:7002", "0:7003"}, stop, ready, io.Discard, io.Discard)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-done:
		require.NoError(t, err)
	}
	ports, err := forwarder.GetPorts()
	require.NoError(t, err)
	var open [3]net.Conn
	for i := range open {
		open[i] = dial(t, ports[0].Local)
		defer open[i].Close()
	}
	for i, conn := range open {
		want := strings.Repeat(fmt.Sprint(i), 1<<16)
		go io.WriteString(conn, want)
		got := make([]byte, len(want))
		_, err := io.ReadFull(conn, got)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	silent := dial(t, ports[1].Local)
	defer silent.Close()
	_, err = silent.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.ErrorIs(t, <-done, portforward.ErrLostConnectionToPod, "kubectl ends at the first refusal")
	c.delete("forwarded", 1)
}

func dial(t *testing.T, port uint16) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// whoMayAsk: the kubelet's server answers nobody but the API server.
func whoMayAsk(t *testing.T, _ *kase) {
	anonymous := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := anonymous.Get("https://" + nodeIP + ":10250/pods")
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
}

// logRotation follows a log that is rotated twice meanwhile, so that the older part is compressed below the reader: no line
// may be lost or doubled.
func logRotation(t *testing.T, c *kase) {
	pod := c.create(`
metadata: {name: chatty}
spec:
  containers:
  - name: main
    command: [sh, -c, "p=$(head -c 990 /dev/zero | tr '\\0' x); i=0; while true; do n=0; while test $n -lt 300; do echo $i $p; i=$((i+1)); n=$((n+1)); done; sleep 0.1; done"]
`)
	c.ready("chatty")
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	stream, err := c.client.CoreV1().Pods("default").GetLogs("chatty", &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	require.NoError(t, err)
	defer stream.Close()
	pattern := c.dir.Join("logs", "pods", "default_chatty_"+string(pod.UID), "main", "0.log*")
	lines := bufio.NewReader(stream)
	rotated := map[string]bool{}
	for i := 0; len(rotated) < 2; i++ {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		number, _, _ := strings.Cut(line, " ")
		require.Equal(t, fmt.Sprint(i), number, "after %v", rotated)
		if i%1000 == 0 {
			for _, path := range glob(t, pattern+".*") {
				rotated[strings.TrimSuffix(strings.TrimSuffix(path, ".gz"), ".tmp")] = true
			}
		}
	}
	c.eventually("chatty's first log to be compressed", func() bool { return len(glob(t, pattern+".gz")) == 1 })
	c.delete("chatty", 1)
	c.gone("chatty")
	c.eventually("chatty's logs to go with it", func() bool { return len(glob(t, pattern)) == 0 })
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	require.NoError(t, err)
	return found
}
