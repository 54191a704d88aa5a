package machine

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"bonsai/pkg/machine/carried"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func archiveWith(t *testing.T, contents ...carried.Content) *carried.Archive {
	t.Helper()
	var buf bytes.Buffer
	require.NoError(t, carried.Write(&buf, "inputs", map[string]string{"img:1": "sha256:1"}, contents))
	archive, err := carried.Read(bytes.NewReader(buf.Bytes()))
	require.NoError(t, err)
	return archive
}

// Programs that are damaged, cut short or not executable are replaced; those that are right are left alone, and
// a running program keeps its old file.
func TestUnpack(t *testing.T) {
	runc := carried.Content{Name: "bin/runc", Executable: true, Data: bytes.Repeat([]byte("runc"), 1000)}
	archive := archiveWith(t, runc, carried.Content{Name: carried.Images, Data: []byte("not unpacked")})
	dir, err := NewDir(t.TempDir())
	require.NoError(t, err)
	target := filepath.Join(dir.Bin(), "runc")
	for _, tt := range []struct {
		name   string
		before func() error
		writes bool
	}{
		{"the first time", func() error { return nil }, true},
		{"all right", func() error { return nil }, false},
		{"cut short", func() error { return os.Truncate(target, 10) }, true},
		{"damaged, of the same size", func() error { return os.WriteFile(target, make([]byte, len(runc.Data)), 0o755) }, true},
		{"not executable", func() error { return os.Chmod(target, 0o600) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, tt.before())
			before, _ := os.Stat(target)
			require.NoError(t, Unpack(archive, dir))
			after, err := os.Stat(target)
			require.NoError(t, err)
			assert.Equal(t, tt.writes, before == nil || !os.SameFile(before, after))
			assert.Equal(t, os.FileMode(0o755), after.Mode())
			data, err := os.ReadFile(target)
			require.NoError(t, err)
			assert.Equal(t, runc.Data, data)
			files, err := os.ReadDir(dir.Bin())
			require.NoError(t, err)
			assert.Len(t, files, 1, "only programs, and no rest of them")
		})
	}
}

func TestUnpackRefusesDamagedContent(t *testing.T) {
	archive := archiveWith(t, carried.Content{Name: "bin/runc", Executable: true, Data: []byte("runc")})
	archive.Files[0].SHA256 = "0000"
	dir, err := NewDir(t.TempDir())
	require.NoError(t, err)
	err = Unpack(archive, dir)
	assert.ErrorContains(t, err, "this binary is damaged")
	files, _ := os.ReadDir(dir.Bin())
	assert.Empty(t, files)
}
