package encryption

import (
	"bytes"
	"context"
	"crypto/aes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/apiserver/meter/metertest"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage/value"
	upstreamaes "k8s.io/apiserver/pkg/storage/value/encrypt/aes"
	upstreambox "k8s.io/apiserver/pkg/storage/value/encrypt/secretbox"
	"pgregory.net/rapid"
)

const (
	key1 = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	key2 = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
)

func keyBytes() []byte { return []byte("0123456789abcdef0123456789abcdef") }

// load returns the transformer of a configuration whose resources are as written.
func load(t testing.TB, resources string) (*Transformer, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n" + resources
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return Load(path, ResourceOf("/registry/", builtIn), slog.New(slog.DiscardHandler))
}

func mustLoad(t testing.TB, resources string) *Transformer {
	t.Helper()
	tr, err := load(t, resources)
	require.NoError(t, err)
	return tr
}

// builtIn knows secrets, config maps and deployments.
func builtIn(key string) (schema.GroupResource, bool) {
	for prefix, r := range map[string]schema.GroupResource{
		"/registry/secrets/": {Resource: "secrets"}, "/registry/configmaps/": {Resource: "configmaps"},
		"/registry/deployments/": {Group: "apps", Resource: "deployments"},
	} {
		if strings.HasPrefix(key, prefix) {
			return r, true
		}
	}
	return schema.GroupResource{}, false
}

func entry(resources string, providers ...string) string {
	return "- resources: [" + resources + "]\n  providers:\n  - " + strings.Join(providers, "\n  - ") + "\n"
}

func withKey(provider, name, key string) string {
	return provider + ": {keys: [{name: '" + name + "', secret: " + key + "}]}"
}

const (
	secretKey = "/registry/secrets/default/db"
	text      = "k8s\x00 what nobody is to read"
)

// TestUpstreamReads has upstream's own code read what we write, and the other way round.
func TestUpstreamReads(t *testing.T) {
	block, err := aes.NewCipher(keyBytes())
	require.NoError(t, err)
	upstreamGCM, err := upstreamaes.NewGCMTransformer(block)
	require.NoError(t, err)
	theirs := map[string]value.Transformer{"aescbc": upstreamaes.NewCBCTransformer(block), "aesgcm": upstreamGCM,
		"secretbox": upstreambox.NewSecretboxTransformer([32]byte(keyBytes()))}
	for provider, their := range theirs {
		t.Run(provider, func(t *testing.T) {
			ours := mustLoad(t, entry("secrets", withKey(provider, "key1", key1)))
			prefix := "k8s:enc:" + provider + ":v1:key1:"
			their := value.NewPrefixTransformers(nil, value.PrefixTransformer{Prefix: []byte(prefix), Transformer: their})
			where := value.DefaultContext(secretKey)
			rapid.Check(t, func(t *rapid.T) {
				plain := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "plain")
				stored, err := ours.ToStorage(context.Background(), secretKey, plain)
				require.NoError(t, err)
				require.True(t, strings.HasPrefix(string(stored), prefix))
				got, stale, err := their.TransformFromStorage(context.Background(), stored, where)
				require.NoError(t, err)
				require.False(t, stale)
				require.True(t, bytes.Equal(plain, got))

				stored, err = their.TransformToStorage(context.Background(), plain, where)
				require.NoError(t, err)
				got, stale, err = ours.FromStorage(context.Background(), secretKey, stored)
				require.NoError(t, err)
				require.False(t, stale)
				require.True(t, bytes.Equal(plain, got))
			})
		})
	}
}

// TestResources says which provider writes what.
func TestResources(t *testing.T) {
	tr := mustLoad(t, entry("secrets, pandas.example.com", withKey("secretbox", "a", key1))+
		entry("configmaps", "identity: {}")+
		entry("'*.apps'", withKey("secretbox", "b", key1))+
		entry("'*.'", withKey("secretbox", "c", key1))+
		entry("'*.*'", withKey("secretbox", "d", key1)))
	for key, want := range map[string]string{
		secretKey:                              "k8s:enc:secretbox:v1:a:",
		"/registry/example.com/pandas/ns/p":    "k8s:enc:secretbox:v1:a:",
		"/registry/configmaps/ns/c":            text,
		"/registry/deployments/ns/d":           "k8s:enc:secretbox:v1:b:",
		"/registry/example.com/bamboos/b":      "k8s:enc:secretbox:v1:d:",
		"/registry/ranges/serviceips":          text,
		"/registry/serviceips/10.96.0.1":       text,
		"/registry/example.com":                text,
		"/somewhere/else/example.com/pandas/p": text,
	} {
		stored, err := tr.ToStorage(t.Context(), key, []byte(text))
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(string(stored), want), "%s: %q", key, stored)
		plain, stale, err := tr.FromStorage(t.Context(), key, stored)
		require.NoError(t, err)
		require.False(t, stale)
		require.Equal(t, text, string(plain))
	}
}

// TestRotation reads what an earlier configuration wrote by a later one.
func TestRotation(t *testing.T) {
	none := entry("configmaps", "identity: {}")
	for name, tc := range map[string]struct {
		before, after string
		stale         bool
		err           string
	}{
		"the same":                 {withKey("aescbc", "1", key1), withKey("aescbc", "1", key1), false, ""},
		"encryption begins":        {"identity: {}", withKey("aescbc", "1", key1) + "\n  - identity: {}", true, ""},
		"begins without identity":  {"identity: {}", withKey("aescbc", "1", key1), false, "no matching prefix found"},
		"encryption ends":          {withKey("aescbc", "1", key1), "identity: {}\n  - " + withKey("aescbc", "1", key1), true, ""},
		"ends without the key":     {withKey("aescbc", "1", key1), "identity: {}", false, "no matching prefix found"},
		"a new key before the old": {withKey("aescbc", "1", key1), "aescbc: {keys: [{name: '2', secret: " + key2 + "}, {name: '1', secret: " + key1 + "}]}", true, ""},
		"a new provider":           {withKey("aescbc", "1", key1), withKey("secretbox", "1", key2) + "\n  - " + withKey("aescbc", "1", key1), true, ""},
		"the old key is gone":      {withKey("aescbc", "1", key1), withKey("aescbc", "2", key2) + "\n  - identity: {}", false, "no matching key was found for the provided AES transformer"},
		"of the same name":         {withKey("secretbox", "1", key1), withKey("secretbox", "1", key2), false, "output array was not large enough for encryption"},
		"not configured any more":  {withKey("aesgcm", "1", key1), "", false, "identity transformer tried to read encrypted data"},
	} {
		t.Run(name, func(t *testing.T) {
			stored, err := mustLoad(t, entry("secrets", tc.before)).ToStorage(t.Context(), secretKey, []byte(text))
			require.NoError(t, err)
			after := none
			if tc.after != "" {
				after = entry("secrets", tc.after)
			}
			plain, stale, err := mustLoad(t, after).FromStorage(t.Context(), secretKey, stored)
			if tc.err != "" {
				require.EqualError(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, text, string(plain))
			require.Equal(t, tc.stale, stale)
		})
	}
}

// TestTampered changes what is on the disk.
func TestTampered(t *testing.T) {
	for _, provider := range []string{"aescbc", "aesgcm", "secretbox"} {
		tr := mustLoad(t, entry("secrets", withKey(provider, "1", key1)))
		stored, err := tr.ToStorage(t.Context(), secretKey, []byte(text))
		require.NoError(t, err)
		for n := range len(stored) {
			got, _, err := tr.FromStorage(t.Context(), secretKey, stored[:n])
			require.True(t, err != nil || string(got) != text, "%s: cut to %d bytes it is %q", provider, n, got)
		}
		if provider == "aesgcm" {
			_, _, err = tr.FromStorage(t.Context(), "/registry/secrets/default/other", stored)
			require.EqualError(t, err, "cipher: message authentication failed")
		}
		stored[len(stored)-1] ^= 1
		got, _, err := tr.FromStorage(t.Context(), secretKey, stored)
		require.True(t, err != nil || string(got) != text, provider)
	}
}

func TestBadConfigurations(t *testing.T) {
	for name, tc := range map[string]struct{ config, want string }{
		"a short key":       {entry("secrets", "secretbox: {keys: [{name: a, secret: c2hvcnQ=}]}"), "secret is not of the expected length, got 5, expected one of [32]"},
		"a masked resource": {entry("'*.'", "identity: {}") + entry("secrets", "identity: {}"), `resource "secrets" is masked by earlier rule "*."`},
		"an unknown field":  {entry("secrets", "secretbax: {}"), `unknown field "resources[0].providers[0].secretbax"`},
		"kms v1":            {entry("secrets", "kms: {name: a, endpoint: 'unix:///x'}"), "KMSv1 is deprecated"},
		"kms over TCP":      {entry("secrets", "kms: {apiVersion: v2, name: a, endpoint: 'tcp://x'}"), `unsupported scheme "tcp" for KMS provider, only unix is supported`},
		"no providers":      {"- resources: [secrets]\n", "at least one resources[0].providers is required"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, tc.config)
			require.ErrorContains(t, err, tc.want)
		})
	}
	_, err := Load(filepath.Join(t.TempDir(), "none"), nil, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestMetrics: what is encrypted and decrypted counts, by whom, and what failed; what nobody configures does not.
func TestMetrics(t *testing.T) {
	set := meter.New()
	tr := mustLoad(t, entry("secrets", withKey("secretbox", "a", key1)+"\n  - identity: {}"))
	tr.Counts = NewMetrics(set, "apiserver-x")
	stored, err := tr.ToStorage(t.Context(), secretKey, []byte(text))
	require.NoError(t, err)
	for _, value := range []string{string(stored), text, "k8s:enc:secretbox:v1:a:bad"} {
		_, _, _ = tr.FromStorage(t.Context(), secretKey, []byte(value))
	}
	_, err = tr.ToStorage(t.Context(), "/registry/configmaps/ns/c", []byte(text))
	require.NoError(t, err)
	const prefix = "k8s:enc:secretbox:v1:a:"
	require.Equal(t, map[string]float64{
		"secrets OK from_storage identity": 1, "secrets OK from_storage " + prefix: 1, "secrets OK to_storage " + prefix: 1,
		"secrets unknown-non-grpc from_storage " + prefix: 1,
	}, metertest.Counted(t, set, "apiserver_storage_transformation_operations_total"))
	require.Equal(t, map[string]float64{"from_storage identity": 1, "from_storage " + prefix: 1, "to_storage " + prefix: 1},
		metertest.Counted(t, set, "apiserver_storage_transformation_duration_seconds"))
}
