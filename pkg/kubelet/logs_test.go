package kubelet

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// errRefused stands for any failure of the other side.
var errRefused = errors.New("no")

func TestRotateLogKeepsTheNewest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 8 {
		require.NoError(t, os.WriteFile(path, []byte{byte('0' + i)}, 0o640))
		require.NoError(t, rotateLog(path, now.Add(time.Duration(i)*time.Minute), func() error { return os.WriteFile(path, nil, 0o640) }))
	}
	files, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.Len(t, files, maxLogFiles)
	last := files[len(files)-1]
	data, err := os.ReadFile(last)
	require.NoError(t, err)
	require.Equal(t, "7", string(data), "the one moved last is not compressed")
	require.Equal(t, 3, strings.Count(strings.Join(files, " "), ".gz"))
}

func TestRotateLogGoesBackWhenTheRuntimeRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o640))
	require.Error(t, rotateLog(path, time.Now(), func() error { return errRefused }))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "x", string(data))
}

func TestLogTail(t *testing.T) {
	log := strings.Repeat("2026-01-01T00:00:00Z stderr F old\n", 100) + "2026-01-01T00:00:00Z stdout F last words\n"
	got := logTail(log)
	require.True(t, strings.HasSuffix(got, "old\nlast words\n"))
	require.Equal(t, maxMessageLines, strings.Count(got, "\n"))
}
