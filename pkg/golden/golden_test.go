package golden

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// failed is a test that ends when it fails, and says why.
type failed struct {
	testing.TB
	why string
}

func (*failed) Helper() {}

func (f *failed) Fatalf(format string, args ...any) {
	f.why = format
	panic(f)
}

func why(file, got string) (text string) {
	f := &failed{}
	defer func() {
		_ = recover()
		text = f.why
	}()
	Equal(f, file, got)
	return ""
}

func TestEqual(t *testing.T) {
	if *update {
		t.Skip("nothing fails while files are written")
	}
	file := filepath.Join(t.TempDir(), "it.txt")
	require.Contains(t, why(file, "a"), "run the test with -update")
	require.NoError(t, os.WriteFile(file, []byte("a"), 0o600))
	require.Empty(t, why(file, "a"))
	require.Contains(t, why(file, "b"), "differs")

	*update = true
	defer func() { *update = false }()
	require.Empty(t, why(file, "b"))
	*update = false
	require.Empty(t, why(file, "b"))
}

func TestEach(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.in": "x", "a.out": "X", "b.in": "y", "b.out": "Y"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	played := 0
	Each(t, filepath.Join(dir, "*.in"), ".out", func(_ *testing.T, input string) string {
		played++
		return strings.ToUpper(input)
	})
	require.Equal(t, 2, played)
}
