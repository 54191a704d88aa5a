package machine

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openTemp(t *testing.T, dir Dir) *Machine {
	t.Helper()
	m, err := Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

func tempDir(t *testing.T) Dir {
	t.Helper()
	dir, err := NewDir(t.TempDir())
	require.NoError(t, err)
	return dir
}

// What a machine is about to make is in the ledger when Open returns, and is not written twice.
func TestOpenRecordsTheFamilies(t *testing.T) {
	dir := tempDir(t)
	first := openTemp(t, dir)
	recorded := first.ledger.entries
	for _, kind := range []Kind{KindProcess, KindMount, KindLink, KindChains, KindCgroup, KindPath} {
		assert.NotEmpty(t, first.ledger.Entries(kind), kind)
	}
	require.NoError(t, first.Close())
	assert.Equal(t, recorded, openTemp(t, dir).ledger.entries)
}

// A reboot undid everything, so the ledger starts anew, and what containerd remembers of mounts and processes goes.
func TestOpenAfterReboot(t *testing.T) {
	dir := tempDir(t)
	write(t, dir.Join("ledger"), []Entry{{Kind: kindBoot, Name: "an earlier boot"}, {Kind: KindSysctl, Name: "net/ipv4/ip_forward", Old: "0", New: "1"}})
	for _, d := range append(volatile(dir), dir.Join("containerd", "root")) {
		require.NoError(t, os.MkdirAll(d, 0o700))
	}
	m := openTemp(t, dir)
	assert.Empty(t, m.ledger.Entries(KindSysctl))
	assert.NotEqual(t, "an earlier boot", m.ledger.Entries(kindBoot)[0].Name)
	for _, d := range volatile(dir) {
		assert.NoDirExists(t, d)
	}
	assert.DirExists(t, dir.Join("containerd", "root"), "images stay")
}

// A cluster that was killed in one network namespace must not go on in another: half of it would be there.
func TestOpenInAnotherNamespace(t *testing.T) {
	dir := tempDir(t)
	boot, err := bootID()
	require.NoError(t, err)
	write(t, dir.Join("ledger"), []Entry{{Kind: kindBoot, Name: boot}, {Kind: kindNetns, Name: "1"}})
	_, err = Open(dir)
	assert.ErrorContains(t, err, "run `bonsai down` first")
	_, running := Running(dir)
	assert.False(t, running, "the directory is given back")
}
