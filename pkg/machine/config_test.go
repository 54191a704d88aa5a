package machine

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"bonsai/pkg/golden"
)

const testDir = Dir("/var/lib/bonsai")

var testNetwork = Network{PodCIDR: netip.MustParsePrefix("10.244.0.0/24"), ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16")}

func TestContainerdConfig(t *testing.T) {
	config := containerdSettings{Dir: testDir, PauseImage: PauseImage, Snapshotter: "overlayfs", Platform: "linux/amd64", RestrictOOMScoreAdj: true}.render()
	golden.Equal(t, "testdata/containerd.toml", string(config))
	assert.NoError(t, toml.Unmarshal(config, &map[string]any{}), "it must be TOML")
}

// A data directory may have any name.
func TestContainerdConfigQuotesPaths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir := Dir("/" + rapid.StringMatching(`[a-z '"\\\t\n]{1,20}`).Draw(t, "name"))
		config := containerdSettings{Dir: dir, Snapshotter: "overlayfs", Platform: "linux/amd64"}.render()
		var got struct{ Root string }
		require.NoError(t, toml.Unmarshal(config, &got))
		require.Equal(t, filepath.Join(string(dir), "containerd", "root"), got.Root)
	})
}

func TestCNIConfig(t *testing.T) {
	golden.Equal(t, "testdata/bonsai.conflist", string(cniConfig(testDir, testNetwork, 1450)))
}

func TestNodeRules(t *testing.T) {
	golden.Equal(t, "testdata/node.rules", nodeRules(testDir, testNetwork))
}

// Everything named after a directory fits where the kernel keeps it.
func TestDirNames(t *testing.T) {
	dir, err := NewDir("/var/lib/../lib/bonsai/")
	require.NoError(t, err)
	assert.Equal(t, testDir, dir)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink("/var/lib", link))
	linked, err := NewDir(filepath.Join(link, "bonsai"))
	require.NoError(t, err)
	assert.Equal(t, testDir, linked, "also where the directory does not exist yet")
	assert.LessOrEqual(t, len(dir.Bridge()), 15, "an interface name")
	assert.LessOrEqual(t, len(ownChain(dir)), 28, "an iptables chain")
	assert.LessOrEqual(t, len(dir.Run()+"/s"), 42, "what containerd allows for its sockets")
	assert.NotEqual(t, dir.ID(), Dir("/var/lib/bonsai2").ID())
	_, err = NewDir("/" + strings.Repeat("x", maxDir))
	assert.ErrorContains(t, err, "choose a shorter one")
}
