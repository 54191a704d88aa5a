package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"bonsai/pkg/machine/carried"

	"golang.org/x/sync/errgroup"
)

// Unpack puts the carried programs into the data directory. Each file is checked by its content and replaced
// only if it differs, so the usual start writes nothing, and a file that a power loss cut short is found. A
// program that runs is not disturbed: its name gets a new file.
func Unpack(archive *carried.Archive, dir Dir) error {
	if err := os.MkdirAll(dir.Bin(), 0o755); err != nil {
		return fmt.Errorf("unpack programs: %w", err)
	}
	var g errgroup.Group
	for _, f := range archive.Files {
		if f.Executable {
			g.Go(func() error { return unpackFile(archive, f, dir.Join(f.Name)) })
		}
	}
	return g.Wait()
}

func unpackFile(archive *carried.Archive, f carried.File, target string) error {
	if same(f, target) {
		return nil
	}
	packed, err := archive.Open(f.Name)
	if err != nil {
		return err
	}
	defer packed.Close()
	if err := writeProgram(packed, f.SHA256, target); err != nil {
		return fmt.Errorf("unpack %s: %w", f.Name, err)
	}
	return nil
}

// same says whether target is f already.
func same(f carried.File, target string) bool {
	file, err := os.Open(target)
	if err != nil {
		return false
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() != f.Size || info.Mode().Perm() != 0o755 {
		return false
	}
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	return err == nil && hex.EncodeToString(sum.Sum(nil)) == f.SHA256
}

// writeProgram writes an executable file that appears under its name only when it is whole.
func writeProgram(content io.Reader, want, target string) error {
	next, err := os.CreateTemp(filepath.Dir(target), ".next-*")
	if err != nil {
		return err
	}
	defer os.Remove(next.Name())
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(next, sum), content)
	if err == nil {
		err = next.Chmod(0o755)
	}
	if closeErr := next.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("content has hash %s, not %s: this binary is damaged, build or copy it again", got, want)
	}
	return os.Rename(next.Name(), target)
}
