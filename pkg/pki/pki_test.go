package pki

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// options are for real time, because TLS reads the clock.
func options() Options {
	return Options{
		Server: "https://192.0.2.7:6443", NodeName: "bonsai", NodeIPs: []net.IP{net.ParseIP("192.0.2.7")},
		ServiceIP: net.ParseIP("10.96.0.1"), ClusterDomain: "cluster.local", Now: time.Now(),
	}
}

func TestEnsureTwiceDoesNothing(t *testing.T) {
	dir, o := t.TempDir(), options()
	first, err := Ensure(dir, o)
	require.NoError(t, err)
	require.Len(t, first.Done, 12)
	before := contents(t, dir)
	second, err := Ensure(dir, o)
	require.NoError(t, err)
	require.Empty(t, second.Done)
	require.Equal(t, before, contents(t, dir))
}

// contents reads all files, and holds them to mode 0600.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), path)
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	}))
	return all
}

func TestEnsureMends(t *testing.T) {
	const month = 30 * 24 * time.Hour
	leaves := []string{"apiserver", "kubelet-server", "apiserver-kubelet-client", "front-proxy-client", "admin", Scheduler, ControllerManager, Proxy, Kubelet}
	prefixed := func(prefix string, names []string, reason string) []string {
		var out []string
		if prefix != "" {
			out = append(out, prefix)
		}
		for _, n := range names {
			out = append(out, n+": "+reason)
		}
		return out
	}
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		change func(t *testing.T, dir string, o *Options)
		want   []string
	}{
		"nothing, 31 days before expiry": {
			change: func(_ *testing.T, _ string, o *Options) { o.Now = now.Add(leafLife - month - time.Hour) },
		},
		"29 days before expiry": {
			change: func(_ *testing.T, _ string, o *Options) { o.Now = now.Add(leafLife - month + 24*time.Hour) },
			want:   prefixed("", leaves, "renewed, it expires on 2027-11-22"),
		},
		"years after": {
			change: func(_ *testing.T, _ string, o *Options) { o.Now = now.Add(2 * leafLife) },
			want:   prefixed("", leaves, "renewed, it expired on 2027-11-22"),
		},
		"an authority that expires": {
			change: func(_ *testing.T, _ string, o *Options) { o.Now = now.Add(authorityLife - 24*time.Hour) },
			want:   prefixed("ca: renewed, it expires on 2036-11-19", leaves, "renewed, it expired on 2027-11-22"),
		},
		"another address": {
			change: func(_ *testing.T, _ string, o *Options) { o.NodeIPs = []net.IP{net.ParseIP("198.51.100.9")} },
			want: prefixed("", []string{"apiserver", "kubelet-server"},
				"made anew, its addresses changed: now also 198.51.100.9; no longer 192.0.2.7"),
		},
		"another node name": {
			change: func(_ *testing.T, _ string, o *Options) { o.NodeName = "oak" },
			want: []string{
				"apiserver: made anew, its addresses changed: now also oak; no longer bonsai",
				"kubelet-server: made anew, it was for CN=system:node:bonsai,O=system:nodes",
				"kubelet: made anew, it was for CN=system:node:bonsai,O=system:nodes",
			},
		},
		"a lost certificate": {
			change: func(t *testing.T, dir string, _ *Options) {
				require.NoError(t, os.Remove(filepath.Join(dir, "pki", "admin.crt")))
			},
			want: []string{"admin: made, there was only its key"},
		},
		"a crash between key and certificate": {
			change: func(t *testing.T, dir string, _ *Options) {
				b, err := os.ReadFile(filepath.Join(dir, "pki", "proxy.key"))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, "pki", "admin.key"), b, 0o600))
			},
			want: []string{"admin: made anew, certificate and key do not belong together"},
		},
		"an empty file after a power failure": {
			change: func(t *testing.T, dir string, _ *Options) {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "pki", "sa.key"), nil, 0o600))
			},
			want: []string{"sa: made, there was none"},
		},
		"a lost authority": {
			change: func(t *testing.T, dir string, _ *Options) {
				require.NoError(t, os.Remove(filepath.Join(dir, "pki", "ca.key")))
			},
			want: prefixed("ca: made anew, its key is missing", leaves, "made anew, it is of another authority"),
		},
		"a clock set back": {
			change: func(_ *testing.T, _ string, o *Options) { o.Now = now.Add(-time.Hour * 30) },
			want: prefixed("ca: made anew, it is not valid before 2026-11-22", leaves,
				"made anew, it is not valid before 2026-11-22"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, o := t.TempDir(), options()
			o.Now = now
			_, err := Ensure(dir, o)
			require.NoError(t, err)
			tc.change(t, dir, &o)
			p, err := Ensure(dir, o)
			require.NoError(t, err)
			require.Equal(t, tc.want, p.Done)
			again, err := Ensure(dir, o)
			require.NoError(t, err)
			require.Empty(t, again.Done)
		})
	}
}

// A renewed authority must not lock out who holds certificates of the old one.
func TestRenewedAuthorityTrustsOldLeaves(t *testing.T) {
	dir, o := t.TempDir(), options()
	old, err := Ensure(dir, o)
	require.NoError(t, err)
	o.Now = o.Now.Add(authorityLife - 24*time.Hour)
	renewed, err := Ensure(dir, o)
	require.NoError(t, err)
	require.NotEqual(t, old.CA, renewed.CA)
	ca, err := load(filepath.Join(dir, "pki"), "ca")
	require.NoError(t, err)
	require.NoError(t, old.APIServer.Leaf.CheckSignatureFrom(ca.cert))
}

// A client with the kubeconfig reaches a server with the serving certificate, and each sees who the other is.
func TestKubeconfigConnects(t *testing.T) {
	dir, o := t.TempDir(), options()
	p, err := Ensure(dir, o)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject := r.TLS.PeerCertificates[0].Subject
		w.Write([]byte(subject.String()))
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{p.APIServer}, ClientCAs: p.Pool, ClientAuth: tls.RequireAndVerifyClientCert}
	server.StartTLS()
	defer server.Close()
	o.Server = server.URL
	_, err = Ensure(dir, o)
	require.NoError(t, err)
	for path, want := range map[string]string{
		p.Kubeconfig:                   "CN=kubernetes-admin,O=system:masters",
		p.Component(Scheduler):         "CN=system:kube-scheduler",
		p.Component(ControllerManager): "CN=system:kube-controller-manager",
		p.Component(Proxy):             "CN=system:kube-proxy",
		p.Component(Kubelet):           "CN=system:node:bonsai,O=system:nodes",
	} {
		c, err := clientcmd.BuildConfigFromFlags("", path)
		require.NoError(t, err)
		client, err := rest.HTTPClientFor(c)
		require.NoError(t, err)
		resp, err := client.Get(server.URL)
		require.NoError(t, err)
		b := make([]byte, 100)
		n, _ := resp.Body.Read(b)
		resp.Body.Close()
		require.Equal(t, want, string(b[:n]))
	}
}

func TestEnsureRefusesBadServer(t *testing.T) {
	o := options()
	o.Server = "192.0.2.7:6443"
	_, err := Ensure(t.TempDir(), o)
	require.ErrorContains(t, err, "not the URL of an API server")
}
