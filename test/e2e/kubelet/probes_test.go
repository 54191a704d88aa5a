package kubelet_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
)

func probes(t *testing.T, c *kase) {
	c.create(`
metadata: {name: probed}
spec:
  containers:
  - name: main
    command: [sh, -c, "mkdir /tmp/w; echo ok > /tmp/w/index.html; httpd -p 8080 -h /tmp/w; exec sleep 1000"]
    ports: [{name: http, containerPort: 8080}]
    readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1, failureThreshold: 1}
    livenessProbe: {exec: {command: [test, "!", -e, /tmp/sick]}, periodSeconds: 1, failureThreshold: 1, terminationGracePeriodSeconds: 1}
`)
	c.ready("probed")
	_, err := c.exec("probed", "", "touch", "/tmp/sick")
	require.NoError(t, err)
	c.restarted("probed", 1)
	c.event("probed", "Unhealthy Liveness probe failed: ")
	c.event("probed", "Killing Container main failed liveness probe, will be restarted")
	_, err = c.exec("probed", "", "rm", "/tmp/w/index.html")
	require.NoError(t, err)
	c.status("probed", "to be unready", func(p *corev1.Pod) bool { return !isReady(p) })
	c.event("probed", "Unhealthy Readiness probe failed: HTTP probe failed with statuscode: 404")
	c.delete("probed", 1)
}

func tcpProbe(t *testing.T, c *kase) {
	c.create(`
metadata: {name: dialed}
spec:
  containers:
  - name: main
    command: [sh, -c, "while ! test -e /tmp/open; do sleep 0.1; done; exec nc -ll -p 7000 -e cat"]
    readinessProbe: {tcpSocket: {port: 7000}, periodSeconds: 1}
`)
	c.event("dialed", "Unhealthy Readiness probe failed: dial tcp ")
	require.False(t, isReady(c.get("dialed")))
	_, err := c.exec("dialed", "", "touch", "/tmp/open")
	require.NoError(t, err)
	c.ready("dialed")
	c.delete("dialed", 1)
}

// grpcProbe mounts this test's program into a container: it is a gRPC server that is well until /tmp/sick exists.
func grpcProbe(t *testing.T, c *kase) {
	self, err := os.Executable()
	require.NoError(t, err)
	c.create(`
metadata: {name: called}
spec:
  volumes: [{name: program, hostPath: {path: ` + self + `, type: File}}]
  containers:
  - name: main
    command: [/health, health, ":7001"]
    readinessProbe: {grpc: {port: 7001, service: it}, periodSeconds: 1}
    livenessProbe: {grpc: {port: 7001}, periodSeconds: 1, failureThreshold: 1, terminationGracePeriodSeconds: 1}
    startupProbe: {grpc: {port: 7001}, periodSeconds: 1, failureThreshold: 30}
    volumeMounts: [{name: program, mountPath: /health}]
`)
	c.ready("called")
	_, err = c.exec("called", "", "touch", "/tmp/sick")
	require.NoError(t, err)
	c.event("called", `Unhealthy Liveness probe failed: service unhealthy (responded with "NOT_SERVING")`)
	c.restarted("called", 1)
	c.delete("called", 1)
}

// healthMain is the server that grpcProbe runs in a container.
func healthMain(address string) int {
	listener, err := net.Listen("tcp", address)
	if err == nil {
		s := grpc.NewServer()
		grpc_health_v1.RegisterHealthServer(s, health{})
		err = s.Serve(listener)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

type health struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (health) Check(_ context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	status := grpc_health_v1.HealthCheckResponse_SERVING
	if _, err := os.Stat("/tmp/sick"); err == nil || r.Service != "" && r.Service != "it" {
		status = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	return &grpc_health_v1.HealthCheckResponse{Status: status}, nil
}
