package pki

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"
)

const others = `apiVersion: v1
kind: Config
preferences: {}
clusters:
- name: work
  cluster: {server: "https://work.example", certificate-authority: ca.crt}
contexts:
- name: work
  context: {cluster: work, user: me, namespace: team}
current-context: work
users:
- name: me
  user: {token: secret}
`

// merged makes a cluster and a user's kubeconfig with the given content ("": no file) in a directory not there yet.
func merged(t *testing.T, content string) (own, from string) {
	t.Helper()
	dir := t.TempDir()
	p, err := Ensure(dir, options())
	require.NoError(t, err)
	own = filepath.Join(dir, "home", ".kube", "config")
	if content != "" {
		require.NoError(t, os.MkdirAll(filepath.Dir(own), 0o700))
		require.NoError(t, os.WriteFile(own, []byte(content), 0o600))
	}
	return own, p.Kubeconfig
}

func TestMergeAndUnmergeLeaveTheRestAlone(t *testing.T) {
	own, from := merged(t, others)
	before, err := clientcmd.LoadFromFile(own)
	require.NoError(t, err)
	for range 2 { // a second `up` merges again
		require.NoError(t, MergeKubeconfig(own, "bonsai", from))
	}
	c, err := clientcmd.LoadFromFile(own)
	require.NoError(t, err)
	require.Equal(t, "bonsai", c.CurrentContext)
	require.Equal(t, "https://192.0.2.7:6443", c.Clusters["bonsai"].Server)
	require.NotEmpty(t, c.AuthInfos["bonsai"].ClientKeyData)
	require.Equal(t, "team", c.Contexts["work"].Namespace)
	require.Equal(t, "ca.crt", c.Clusters["work"].CertificateAuthority)

	require.NoError(t, UnmergeKubeconfig(own, "bonsai", from))
	after, err := clientcmd.LoadFromFile(own)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestUnmergeKeepsAContextChosenSince(t *testing.T) {
	own, from := merged(t, others)
	require.NoError(t, MergeKubeconfig(own, "bonsai", from))
	c, err := clientcmd.LoadFromFile(own)
	require.NoError(t, err)
	c.CurrentContext = "elsewhere"
	require.NoError(t, clientcmd.WriteToFile(*c, own))
	require.NoError(t, UnmergeKubeconfig(own, "bonsai", from))
	c, err = clientcmd.LoadFromFile(own)
	require.NoError(t, err)
	require.Equal(t, "elsewhere", c.CurrentContext)
}

func TestMergeIntoNothingAndBack(t *testing.T) {
	own, from := merged(t, "")
	require.NoError(t, MergeKubeconfig(own, "bonsai", from))
	require.FileExists(t, own)
	require.NoError(t, UnmergeKubeconfig(own, "bonsai", from))
	require.NoFileExists(t, own)
	require.NoError(t, UnmergeKubeconfig(own, "bonsai", from))
}

func TestMergeRefusesAForeignContext(t *testing.T) {
	own, from := merged(t, others)
	require.ErrorContains(t, MergeKubeconfig(own, "work", from), `has a context "work" that is not this cluster's`)
	require.NoError(t, UnmergeKubeconfig(own, "work", from))
	b, err := os.ReadFile(own)
	require.NoError(t, err)
	require.Equal(t, others, string(b))
}

func TestMergeFollowsSymbolicLink(t *testing.T) {
	own, from := merged(t, others)
	link := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.Symlink(own, link))
	require.NoError(t, MergeKubeconfig(link, "bonsai", from))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)
	c, err := clientcmd.LoadFromFile(own)
	require.NoError(t, err)
	require.Equal(t, "bonsai", c.CurrentContext)
}

// Two clusters on one machine share the context's name; the one that goes down leaves what the other has put there.
func TestUnmergeLeavesAnotherClustersContext(t *testing.T) {
	own, first := merged(t, others)
	_, second := merged(t, "")
	require.NoError(t, MergeKubeconfig(own, "bonsai", first))
	require.NoError(t, MergeKubeconfig(own, "bonsai", second))
	require.NoError(t, UnmergeKubeconfig(own, "bonsai", first))
	c, err := clientcmd.LoadFromFile(own)
	require.NoError(t, err)
	require.Contains(t, c.Contexts, "bonsai")
	require.NoError(t, UnmergeKubeconfig(own, "bonsai", second))
	c, err = clientcmd.LoadFromFile(own)
	require.NoError(t, err)
	require.NotContains(t, c.Contexts, "bonsai")
}
