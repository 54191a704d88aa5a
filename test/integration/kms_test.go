package integration

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kmsapi "k8s.io/kms/apis/v2"
)

// vault is a KMS plugin whose keys are names: what it encrypts it writes backwards, behind the name of the key.
type vault struct {
	kmsapi.UnimplementedKeyManagementServiceServer
	key atomic.Value
}

func (v *vault) Status(context.Context, *kmsapi.StatusRequest) (*kmsapi.StatusResponse, error) {
	return &kmsapi.StatusResponse{Version: "v2", Healthz: "ok", KeyId: v.key.Load().(string)}, nil
}

func (v *vault) Encrypt(_ context.Context, r *kmsapi.EncryptRequest) (*kmsapi.EncryptResponse, error) {
	key := v.key.Load().(string)
	return &kmsapi.EncryptResponse{KeyId: key, Ciphertext: append([]byte(key), backwards(r.Plaintext)...)}, nil
}

func (v *vault) Decrypt(_ context.Context, r *kmsapi.DecryptRequest) (*kmsapi.DecryptResponse, error) {
	return &kmsapi.DecryptResponse{Plaintext: backwards(bytes.TrimPrefix(r.Ciphertext, []byte(r.KeyId)))}, nil
}

func backwards(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[len(b)-1-i] = b[i]
	}
	return out
}

// serve answers at a socket, which it returns the URL of.
func (v *vault) serve(t *testing.T) string {
	dir, err := os.MkdirTemp("", "kms") // short, as the path of a socket has to be
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	require.NoError(t, err)
	srv := grpc.NewServer()
	kmsapi.RegisterKeyManagementServiceServer(srv, v)
	go func() { _ = srv.Serve(l) }() // ends with Stop
	t.Cleanup(srv.Stop)
	return "unix://" + l.Addr().String()
}

// A plugin keeps the key: what it has sealed is read after a restart, and sealed anew when the plugin has another key.
func TestKMS(t *testing.T) {
	v := &vault{}
	v.key.Store("one")
	s := startServer(t, told(t, "encryption-provider-config="+written(t, `
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: ["*.*"]
  providers: [{kms: {apiVersion: v2, name: vault, endpoint: "`+v.serve(t)+`"}}]
`)))
	onDisk := func() string {
		t.Helper()
		etcd := s.etcd()
		defer etcd.Close()
		got, err := etcd.Get(t.Context(), "/registry/configmaps/default/m")
		require.NoError(t, err)
		require.Len(t, got.Kvs, 1)
		require.True(t, strings.HasPrefix(string(got.Kvs[0].Value), "k8s:enc:kms:v2:vault:"))
		require.NotContains(t, string(got.Kvs[0].Value), "opensesame")
		return string(got.Kvs[0].Value)
	}
	maps := s.client.CoreV1().ConfigMaps("default")
	made, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}, Data: map[string]string{"a": "opensesame"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Contains(t, onDisk(), "one")
	require.Contains(t, string(s.send("GET /readyz?verbose", nil).body), "[+]kms-providers ok")

	s.stop()
	v.key.Store("two")
	s.start()
	got, err := maps.Get(t.Context(), "m", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, made, got)
	require.Contains(t, onDisk(), "one")
	_, err = maps.Update(t.Context(), got, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Contains(t, onDisk(), "two")
}
