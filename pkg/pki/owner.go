package pki

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"k8s.io/apimachinery/pkg/runtime"
)

// makeParent makes the directory of a kubeconfig (~/.kube) for the owner of the directory above it.
func makeParent(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("make directory of kubeconfig: %w", err)
	}
	above, err := os.Stat(filepath.Dir(dir))
	if err != nil {
		return fmt.Errorf("make directory of kubeconfig: %w", err)
	}
	return chown(dir, above)
}

// chown gives path the owner of like, if it has another.
func chown(path string, like fs.FileInfo) error {
	st := like.Sys().(*syscall.Stat_t)
	if int(st.Uid) == os.Geteuid() && int(st.Gid) == os.Getegid() {
		return nil
	}
	if err := os.Chown(path, int(st.Uid), int(st.Gid)); err != nil {
		return fmt.Errorf("leave kubeconfig to its owner: %w", err)
	}
	return nil
}

// remembered reads the context of before out of our mark.
func remembered(ext runtime.Object) string {
	var m struct{ Previous string }
	if u, ok := ext.(*runtime.Unknown); ok && json.Unmarshal(u.Raw, &m) == nil {
		return m.Previous
	}
	return ""
}
