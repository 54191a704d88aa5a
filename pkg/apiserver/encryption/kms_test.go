package encryption

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"k8s.io/apiserver/pkg/storage/value"
	upstreamkms "k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2"
	kmsapi "k8s.io/kms/apis/v2"
	kmsservice "k8s.io/kms/pkg/service"
)

// vault is a KMS plugin. Its encryption is to write the key's id before what it was given, backwards.
type vault struct {
	kmsapi.UnimplementedKeyManagementServiceServer

	mu       sync.Mutex
	keyID    string
	healthz  string
	decrypts int
}

func (v *vault) set(keyID, healthz string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keyID, v.healthz = keyID, healthz
}

func (v *vault) Status(context.Context, *kmsapi.StatusRequest) (*kmsapi.StatusResponse, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return &kmsapi.StatusResponse{Version: "v2", Healthz: v.healthz, KeyId: v.keyID}, nil
}

func backwards(b []byte) []byte {
	out := bytes.Clone(b)
	for i := range b {
		out[len(b)-1-i] = b[i]
	}
	return out
}

func (v *vault) Encrypt(_ context.Context, r *kmsapi.EncryptRequest) (*kmsapi.EncryptResponse, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return &kmsapi.EncryptResponse{KeyId: v.keyID, Ciphertext: append([]byte(v.keyID), backwards(r.Plaintext)...),
		Annotations: map[string][]byte{"vault.example.com": []byte("1")}}, nil
}

func (v *vault) Decrypt(_ context.Context, r *kmsapi.DecryptRequest) (*kmsapi.DecryptResponse, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.decrypts++
	sealed, ok := bytes.CutPrefix(r.Ciphertext, []byte(r.KeyId))
	if !ok || string(r.Annotations["vault.example.com"]) != "1" {
		return nil, errors.New("not mine")
	}
	return &kmsapi.DecryptResponse{Plaintext: backwards(sealed)}, nil
}

// open serves the vault on a socket and returns its endpoint.
func (v *vault) open(t *testing.T) string {
	dir, err := os.MkdirTemp("", "kms") // short, as the path of a socket has to be
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	srv := grpc.NewServer()
	kmsapi.RegisterKeyManagementServiceServer(srv, v)
	go func() { _ = srv.Serve(l) }() // ends with Stop
	t.Cleanup(srv.Stop)
	return "unix://" + path
}

func vaulted(t *testing.T, v *vault) *Transformer {
	tr := mustLoad(t, entry("secrets", "kms: {apiVersion: v2, name: vault, endpoint: '"+v.open(t)+"'}", "identity: {}"))
	require.NoError(t, tr.Start(t.Context()))
	return tr
}

func TestKMS(t *testing.T) {
	v := &vault{keyID: "one", healthz: "ok"}
	tr := vaulted(t, v)
	stored, err := tr.ToStorage(t.Context(), secretKey, []byte(text))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(stored), "k8s:enc:kms:v2:vault:"))
	require.NotContains(t, string(stored), "nobody")
	reads := func(tr *Transformer, stored []byte, wantStale bool) {
		t.Helper()
		plain, stale, err := tr.FromStorage(t.Context(), secretKey, stored)
		require.NoError(t, err)
		require.Equal(t, text, string(plain))
		require.Equal(t, wantStale, stale)
	}
	reads(tr, stored, false)
	require.Zero(t, v.decrypts, "the plugin was asked for a seed of ours")
	_, _, err = tr.FromStorage(t.Context(), "/registry/secrets/default/other", stored)
	require.EqualError(t, err, "cipher: message authentication failed")
	reads(tr, []byte(text), true)

	// Another server asks the plugin once, however many values there are.
	other := vaulted(t, v)
	for range 3 {
		reads(other, stored, false)
	}
	require.Equal(t, 1, v.decrypts)

	v.set("two", "ok")
	require.NoError(t, tr.current.Load().plugins[0].refresh(t.Context()))
	reads(tr, stored, true)
	newer, err := tr.ToStorage(t.Context(), secretKey, []byte(text))
	require.NoError(t, err)
	reads(tr, newer, false)
}

// TestKMSAndTime: writes need a plugin that was well lately; reads do not.
func TestKMSAndTime(t *testing.T) {
	v := &vault{keyID: "one", healthz: "ok"}
	tr := vaulted(t, v)
	e, now := tr.current.Load().plugins[0], time.Now()
	e.now = func() time.Time { return now }
	require.NoError(t, e.refresh(t.Context()))
	require.NoError(t, tr.Check(t.Context()))
	stored, err := tr.ToStorage(t.Context(), secretKey, []byte(text))
	require.NoError(t, err)

	v.set("", "on fire")
	require.ErrorContains(t, e.refresh(t.Context()), "kmsv2 Provider vault is not healthy, error: got unexpected healthz status: on fire")
	require.ErrorContains(t, tr.Check(t.Context()), "keyID is empty")
	now = now.Add(3 * time.Minute)
	_, err = tr.ToStorage(t.Context(), secretKey, []byte(text))
	require.NoError(t, err)
	now = now.Add(time.Second)
	_, err = tr.ToStorage(t.Context(), secretKey, []byte(text))
	require.ErrorContains(t, err, `encryptedDEKSource with keyID hash "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed" expired at `)
	_, _, err = tr.FromStorage(t.Context(), secretKey, stored)
	require.NoError(t, err)
	v.set("one", "ok")
	require.NoError(t, e.refresh(t.Context()))
	_, err = tr.ToStorage(t.Context(), secretKey, []byte(text))
	require.NoError(t, err)
}

// asUpstream is the vault as upstream's code calls it.
type asUpstream struct{ *vault }

func (u asUpstream) Status(context.Context) (*kmsservice.StatusResponse, error) {
	return nil, errors.New("not asked here")
}

func (u asUpstream) Encrypt(ctx context.Context, _ string, plain []byte) (*kmsservice.EncryptResponse, error) {
	r, err := u.vault.Encrypt(ctx, &kmsapi.EncryptRequest{Plaintext: plain})
	return &kmsservice.EncryptResponse{Ciphertext: r.Ciphertext, KeyID: r.KeyId, Annotations: r.Annotations}, err
}

func (u asUpstream) Decrypt(ctx context.Context, _ string, r *kmsservice.DecryptRequest) ([]byte, error) {
	got, err := u.vault.Decrypt(ctx, &kmsapi.DecryptRequest{Ciphertext: r.Ciphertext, KeyId: r.KeyID, Annotations: r.Annotations})
	if err != nil {
		return nil, err
	}
	return got.Plaintext, nil
}

// TestUpstreamReadsKMS has upstream's own code read what we write, and the other way round, by seeds and by plain keys.
func TestUpstreamReadsKMS(t *testing.T) {
	for _, useSeed := range []bool{true, false} {
		v := &vault{keyID: "one", healthz: "ok"}
		transformer, o, cacheKey, err := upstreamkms.GenerateTransformer(t.Context(), "1", asUpstream{v}, useSeed)
		require.NoError(t, err)
		state := upstreamkms.State{Transformer: transformer, EncryptedObjectKeyID: o.KeyID, EncryptedObjectEncryptedDEKSource: o.EncryptedDEKSource,
			EncryptedObjectAnnotations: o.Annotations, EncryptedObjectEncryptedDEKSourceType: o.EncryptedDEKSourceType,
			ExpirationTimestamp: time.Now().Add(time.Hour), CacheKey: cacheKey}
		theirs := upstreamkms.NewEnvelopeTransformer(asUpstream{v}, "vault", func() (upstreamkms.State, error) { return state, nil }, "id")
		ours := vaulted(t, v)

		stored, err := ours.ToStorage(t.Context(), secretKey, []byte(text))
		require.NoError(t, err)
		sealed, _ := bytes.CutPrefix(stored, []byte("k8s:enc:kms:v2:vault:"))
		plain, _, err := theirs.TransformFromStorage(t.Context(), sealed, value.DefaultContext(secretKey))
		require.NoError(t, err)
		require.Equal(t, text, string(plain))

		sealed, err = theirs.TransformToStorage(t.Context(), []byte(text), value.DefaultContext(secretKey))
		require.NoError(t, err)
		plain, stale, err := ours.FromStorage(t.Context(), secretKey, append([]byte("k8s:enc:kms:v2:vault:"), sealed...))
		require.NoError(t, err)
		require.Equal(t, text, string(plain))
		require.Equal(t, !useSeed, stale, "what a plain key wrote is to be written again by a seed")
	}
}
