// Package cli is the commands of bonsai, and what people see of them in the terminal.
//
// Each command is a file. Flags become a Config here and nowhere below; what the commands do is in the packages they
// call. Every error that reaches Main says what failed, why, and, where somebody can do something about it, what.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"bonsai/pkg/cli/component"
	"bonsai/pkg/cli/component/apiserver"
	controllermanager "bonsai/pkg/cli/component/controllermanager"
	"bonsai/pkg/cli/component/kubelet"
	"bonsai/pkg/cli/component/proxy"
	"bonsai/pkg/cli/component/scheduler"
	"bonsai/pkg/machine"
	"bonsai/pkg/machine/containerd"
	"bonsai/pkg/version"
)

// dataDirEnv sets --data-dir for a whole shell session.
const dataDirEnv = "BONSAI_DATA_DIR"

// Main runs the command line args, the program's name first, and returns the exit code.
func Main(args []string) int {
	if len(args) > 1 && args[1] == "containerd" {
		return containerd.Main(context.Background(), args[2:], os.Stderr) // has a command line of its own
	}
	if filepath.Base(args[0]) == "kubectl" {
		return kubectlMain(args[1:], "")
	}
	if dir, rest, ok := splitKubectl(args[1:]); ok {
		return kubectlMain(rest, dir)
	}
	root := newRoot()
	root.SetArgs(args[1:])
	err := root.ExecuteContext(context.Background())
	var code exitCode
	if errors.As(err, &code) {
		return int(code)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bonsai: %v\n", err)
		return 1
	}
	return 0
}

// exitCode ends the program with a code and no further word.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "bonsai",
		Short: "Bonsai is a whole Kubernetes in one program",
		Long: `Bonsai is a whole Kubernetes in one program: real containers, the real kubectl.

  sudo bonsai up                                    start a cluster on this machine
  bonsai kubectl create deployment web --image=bonsai.local/web:1
  sudo bonsai down                                  stop it, and leave the machine as it was`,
		Version:       version.Kubernetes,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddGroup(
		&cobra.Group{ID: groupCluster, Title: "The cluster:"},
		&cobra.Group{ID: groupUse, Title: "Using it:"},
		&cobra.Group{ID: groupParts, Title: "Its parts, one at a time:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupCluster, upCommand(), downCommand(), statusCommand())
	add(groupUse, kubectlCommand(), imageCommand(), benchCommand())
	root.AddCommand(benchLimitCommand(), benchEtcdCommand())
	add(groupParts, apiserver.Command(), scheduler.Command(), controllermanager.Command(), kubelet.Command(), proxy.Command())
	return root
}

const (
	groupCluster = "cluster"
	groupUse     = "use"
	groupParts   = "parts"
)

// dataDirFlag adds --data-dir to a command.
func dataDirFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("data-dir", defaultDataDir(), "directory of the cluster's data")
}

func defaultDataDir() string {
	if dir := os.Getenv(dataDirEnv); dir != "" {
		return dir
	}
	return component.DefaultDataDir
}

// needRoot explains what cannot work otherwise.
func needRoot(what string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return fmt.Errorf("%s needs root, because it makes network interfaces, mounts and cgroups: run it with sudo", what)
}

// openDir is a command's data directory.
func openDir(path string) (machine.Dir, error) {
	dir, err := machine.NewDir(path)
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	return dir, nil
}
