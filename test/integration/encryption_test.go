package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/cluster/parts/apiserver"
)

// written writes a file of the test's and returns its path.
func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

const inPlain = `
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers: [{identity: {}}]
`

// On the disk secrets are encrypted, from the first start on; those of a time before that can be read, and are encrypted when they are
// next written, even if that changes nothing.
func TestSecretsAreEncrypted(t *testing.T) {
	s := startServer(t, func(o *apiserver.Options) { o.EncryptionConfig = written(t, inPlain) })
	ctx, etcd, secrets := t.Context(), s.etcd(), s.client.CoreV1().Secrets("default")
	onDisk := func(key string) string {
		t.Helper()
		got, err := etcd.Get(ctx, key)
		require.NoError(t, err)
		require.Len(t, got.Kvs, 1, key)
		return string(got.Kvs[0].Value)
	}
	make := func(name string) *corev1.Secret {
		t.Helper()
		made, err := secrets.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"of": name}},
			StringData: map[string]string{"password": "opensesame"}}, metav1.CreateOptions{})
		require.NoError(t, err)
		return made
	}
	make("old")
	require.Contains(t, onDisk("/registry/secrets/default/old"), "opensesame")
	etcd.Close()
	s.stop()
	s.options.EncryptionConfig = ""
	s.start()

	etcd = s.etcd()
	made := make("new")
	require.True(t, strings.HasPrefix(onDisk("/registry/secrets/default/new"), "k8s:enc:secretbox:v1:key1:"))
	require.NotContains(t, onDisk("/registry/secrets/default/new"), "opensesame")
	old, err := secrets.Get(ctx, "old", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "opensesame", string(old.Data["password"]))
	require.Contains(t, onDisk("/registry/secrets/default/old"), "opensesame")
	again, err := secrets.Update(ctx, old, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.NotEqual(t, old.ResourceVersion, again.ResourceVersion)
	require.True(t, strings.HasPrefix(onDisk("/registry/secrets/default/old"), "k8s:enc:secretbox:v1:key1:"))
	third, err := secrets.Update(ctx, again, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Equal(t, again.ResourceVersion, third.ResourceVersion, "what is encrypted already was written again")
	_, err = s.client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"},
		Data: map[string]string{"password": "opensesame"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Contains(t, onDisk("/registry/configmaps/default/m"), "opensesame")
	etcd.Close()
	s.stop()
	s.start()

	kept, err := secrets.List(ctx, metav1.ListOptions{LabelSelector: "of in (old,new)"})
	require.NoError(t, err)
	require.Len(t, kept.Items, 2)
	require.Equal(t, *made, kept.Items[0])

	// Without the key they are there, and unreadable.
	s.stop()
	s.options.EncryptionConfig = written(t, inPlain)
	s.start()
	_, err = secrets.Get(ctx, "new", metav1.GetOptions{})
	require.EqualError(t, err, `Internal error occurred: unable to transform key "/registry/secrets/default/new": no matching prefix found`)
	info, err := os.Stat(s.options.PKI.EncryptionConfig)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
