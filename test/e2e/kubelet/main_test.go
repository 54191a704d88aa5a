// Package kubelet_test runs pods on a real kubelet: with a real containerd below it and a real API server above it, and
// nothing else, so that what a pod shows was the kubelet's doing.
//
// The API server and the kubelet are in the test process; containerd is its child. All of it is in a network
// namespace of its own. One node serves all cases, which run side by side: a case is a pod or two, most of its time is
// waiting, and pods must not disturb each other anyway. What needs the node for itself comes after them.
package kubelet_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"bonsai/pkg/machine"
	"bonsai/pkg/machine/containerd"
	"bonsai/pkg/machine/netns"
)

// dataDir is the node's data directory, once inside the namespace.
var dataDir machine.Dir

// The test binary is several programs, told apart by the first argument: containerd, a server that probes ask, the tests
// inside their namespace, and without any of these the one that makes the namespace and cleans up afterwards, also
// when the tests inside did not come to their end.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "containerd":
			os.Exit(containerd.Main(context.Background(), os.Args[2:], os.Stderr))
		case "health":
			os.Exit(healthMain(os.Args[2]))
		case "inside":
			dataDir = machine.Dir(os.Args[2])
			os.Args = append(os.Args[:1:1], os.Args[3:]...)
			os.Exit(m.Run())
		}
	}
	if err := outside(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// outside makes a namespace and a data directory, runs the tests in them, and proves that nothing is left.
func outside() error {
	path, err := os.MkdirTemp("", "bonsai-kubelet-")
	if err != nil {
		return err
	}
	dir, err := machine.NewDir(path)
	if err != nil {
		return err
	}
	ns, err := netns.New(filepath.Base(path), netip.MustParsePrefix(nodeIP+"/24"))
	if err != nil {
		return err
	}
	failed := inside(ns, dir)
	ctx := context.Background()
	cleaned := machine.Cleanup(ctx, dir, func(string) {})
	left, err := machine.Prove(ctx, dir)
	if len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("left on the machine: %v", left))
	}
	return errors.Join(failed, cleaned, err, purge(dir), ns.Delete())
}

// purge removes the data directory, and with it what cases put there: Purge leaves what it does not know.
func purge(dir machine.Dir) error {
	if err := machine.Purge(dir); err != nil {
		return err
	}
	return os.RemoveAll(string(dir))
}

// parallelCases is how many cases run at once: they wait more than they work.
const parallelCases = "-test.parallel=24"

func inside(ns netns.Namespace, dir machine.Dir) error {
	cmd := exec.Command(os.Args[0], append([]string{"inside", string(dir), parallelCases}, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	return ns.Do(cmd.Run)
}
