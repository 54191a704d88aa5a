package volume

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// content is a volume's files by their path in it.
type content map[string]file

// file is one file. UID and GID of -1 leave the owner alone.
type file struct {
	data     []byte
	mode     os.FileMode
	uid, gid int
}

// digest names a content: two with the same digest are the same.
func (c content) digest() string {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(c)) {
		f := c[path]
		fmt.Fprintf(h, "%s\x00%o %d %d %d\x00", path, f.mode, f.uid, f.gid, len(f.data))
		h.Write(f.data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// dataLink is the link that is switched.
const dataLink = "..data"

// replace makes the files below dir those of c, at once for every reader.
func replace(dir string, c content) error {
	old, _ := os.Readlink(filepath.Join(dir, dataLink))
	fresh, err := os.MkdirTemp(dir, "..20*")
	if err != nil {
		return err
	}
	if err := fill(fresh, c); err != nil {
		os.RemoveAll(fresh)
		return err
	}
	next := filepath.Join(dir, "..data_tmp")
	os.Remove(next)
	if err := os.Symlink(filepath.Base(fresh), next); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(dir, dataLink)); err != nil {
		return err
	}
	if err := link(dir, c); err != nil {
		return err
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(dir, filepath.Base(old)))
	}
	return nil
}

func fill(dir string, c content) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	for path, f := range c {
		at := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, f.data, f.mode); err != nil {
			return err
		}
		if err := os.Chown(at, f.uid, f.gid); err != nil {
			return err
		}
		// The umask may have taken bits away.
		if err := os.Chmod(at, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// link makes the visible names, one per first path element, and removes those that are gone.
func link(dir string, c content) error {
	want := map[string]bool{}
	for path := range c {
		name, _, _ := strings.Cut(path, "/")
		want[name] = true
	}
	have, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range have {
		switch name := e.Name(); {
		case strings.HasPrefix(name, ".."):
		case want[name]:
			delete(want, name)
		default:
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	for name := range want {
		if err := os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
