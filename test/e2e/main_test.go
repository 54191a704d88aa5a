package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bonsai/pkg/machine/containerd"
)

// The test binary stands in for the one binary: the processes that a test starts are this same file with a
// role as its first argument, as containerd is for bonsai. Lesson scripts call it by other names, see commands.
func TestMain(m *testing.M) {
	// containerd calls itself bonsai in the process list, and so do scripts the program under test.
	if name := filepath.Base(os.Args[0]); len(os.Args) > 1 && (commands[name] == nil || name == "bonsai") {
		switch os.Args[1] {
		case "containerd":
			os.Exit(containerd.Main(context.Background(), os.Args[2:], os.Stderr))
		case "get":
			os.Exit(getMain(os.Args[2]))
		case "node":
			os.Exit(nodeMain(os.Args[2]))
		}
	}
	testscript.Main(m, commands)
}
