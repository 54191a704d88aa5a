package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"bonsai/pkg/version"
)

// maxOutput is how much of an answer an event shows.
const maxOutput = 10 << 10

// userAgent is what probes call themselves.
const userAgent = "kube-probe/" + version.Major + "." + version.Minor

// Runner does single probes, and the HTTP requests of lifecycle hooks.
type Runner struct {
	// Exec runs a command in a container.
	Exec func(ctx context.Context, id string, cmd []string, timeout time.Duration) (output []byte, code int32, err error)
}

// Run does one probe. The output is what an Unhealthy event shows.
func (r *Runner) Run(ctx context.Context, t Target, p *corev1.Probe) (ok bool, output string) {
	timeout := time.Duration(max(1, p.TimeoutSeconds)) * time.Second
	switch {
	case p.Exec != nil:
		return r.exec(ctx, t, p.Exec.Command, timeout)
	case p.HTTPGet != nil:
		return r.http(ctx, t, p.HTTPGet, timeout)
	case p.TCPSocket != nil:
		return r.tcp(t, p.TCPSocket, timeout)
	case p.GRPC != nil:
		return r.grpc(ctx, t, p.GRPC, timeout)
	}
	return false, "the probe has no handler"
}

func (r *Runner) exec(ctx context.Context, t Target, cmd []string, timeout time.Duration) (bool, string) {
	out, code, err := r.Exec(ctx, t.ID, cmd, timeout)
	switch {
	case status.Code(err) == codes.DeadlineExceeded:
		return false, fmt.Sprintf("command timed out: %q timed out after %s", strings.Join(cmd, " "), timeout)
	case err != nil:
		return false, status.Convert(err).Message()
	}
	return code == 0, string(out[:min(len(out), maxOutput)])
}

func (r *Runner) http(ctx context.Context, t Target, h *corev1.HTTPGetAction, timeout time.Duration) (bool, string) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, body, err := Get(ctx, t, h)
	switch {
	case errors.Is(err, errOtherHost):
		return true, ""
	case err != nil:
		return false, err.Error()
	case resp.StatusCode >= 200 && resp.StatusCode < 400:
		return true, body
	}
	return false, fmt.Sprintf("HTTP probe failed with statuscode: %d", resp.StatusCode)
}

// errOtherHost ends a redirect that leads to another host: whoever sent it is alive.
var errOtherHost = errors.New("redirect to another host")

// Get does the request of a probe or a hook.
func Get(ctx context.Context, t Target, h *corev1.HTTPGetAction) (*http.Response, string, error) {
	req, err := request(ctx, t, h)
	if err != nil {
		return nil, "", err
	}
	client := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if next.URL.Hostname() != via[0].URL.Hostname() {
				return errOtherHost
			}
			if len(via) >= 10 {
				return errors.New("stopped after 10 redirects")
			}
			return nil
		},
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxOutput))
	return resp, string(bytes.ToValidUTF8(body, nil)), err
}

func request(ctx context.Context, t Target, h *corev1.HTTPGetAction) (*http.Request, error) {
	port, err := Port(t.Container, h.Port)
	if err != nil {
		return nil, err
	}
	host := h.Host
	if host == "" {
		host = t.IP
	}
	u, err := url.Parse(h.Path)
	if err != nil {
		u = &url.URL{Path: h.Path}
	}
	u.Scheme = strings.ToLower(string(h.Scheme))
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	u.Host = net.JoinHostPort(host, strconv.Itoa(port))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "*/*")
	for i, x := range h.HTTPHeaders {
		if i == 0 || !strings.EqualFold(h.HTTPHeaders[i-1].Name, x.Name) {
			req.Header.Del(x.Name)
		}
		req.Header.Add(x.Name, x.Value)
		if strings.EqualFold(x.Name, "Host") {
			req.Host = x.Value
		}
	}
	return req, nil
}

// Port is the number of a port given by number or by the name of one of the container's ports.
func Port(c *corev1.Container, p intstr.IntOrString) (int, error) {
	if p.Type == intstr.Int {
		return p.IntValue(), nil
	}
	for _, have := range c.Ports {
		if have.Name == p.StrVal {
			return int(have.ContainerPort), nil
		}
	}
	if n, err := strconv.Atoi(p.StrVal); err == nil {
		return n, nil
	}
	return 0, fmt.Errorf("couldn't find port: %q in container %s", p.StrVal, c.Name)
}

func (r *Runner) tcp(t Target, a *corev1.TCPSocketAction, timeout time.Duration) (bool, string) {
	port, err := Port(t.Container, a.Port)
	if err != nil {
		return false, err.Error()
	}
	host := a.Host
	if host == "" {
		host = t.IP
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(port)), timeout)
	if err != nil {
		return false, err.Error()
	}
	conn.Close()
	return true, ""
}

func (r *Runner) grpc(ctx context.Context, t Target, a *corev1.GRPCAction, timeout time.Duration) (bool, string) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addr := net.JoinHostPort(t.IP, strconv.Itoa(int(a.Port)))
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithUserAgent(userAgent), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return false, fmt.Sprintf("error: failed to connect service at %s: %v", addr, err)
	}
	defer conn.Close()
	service := ""
	if a.Service != nil {
		service = *a.Service
	}
	resp, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
	switch status.Code(err) {
	case codes.OK:
	case codes.Unimplemented:
		return false, fmt.Sprintf("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): %s", status.Convert(err).Message())
	case codes.DeadlineExceeded:
		return false, fmt.Sprintf("timeout: failed to connect service %q within %s: context deadline exceeded", addr, timeout)
	default:
		return false, fmt.Sprintf("error: health rpc probe failed: %v", err)
	}
	if resp.Status != healthv1.HealthCheckResponse_SERVING {
		return false, fmt.Sprintf("service unhealthy (responded with %q)", resp.Status)
	}
	return true, ""
}
