package images

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The same files give the same bytes, so a node that has an image of an earlier build need not load it again.
func TestLayoutIsReproducible(t *testing.T) {
	write := func() (string, Digests) {
		var out bytes.Buffer
		digests, err := WriteLayout(&out, Pause([]byte("pause")), Web([]byte("the server"), "1"), Web([]byte("the server"), "2"))
		require.NoError(t, err)
		return out.String(), digests
	}
	first, digests := write()
	second, again := write()
	assert.Equal(t, digests, again)
	assert.True(t, first == second, "the archives differ")
	assert.NotEqual(t, digests["bonsai.local/web:1"], digests["bonsai.local/web:2"], "versions are different images")
	assert.Equal(t, 1, bytes.Count([]byte(first), []byte("the server")), "versions share their layer")
}

func TestBusyboxSaysWhatToInstall(t *testing.T) {
	_, err := busybox("busybox:1", filepath.Join(t.TempDir(), "busybox"))
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "apt-get install busybox-static")
}
