package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
	kubecli "k8s.io/component-base/cli"
	kubecmd "k8s.io/kubectl/pkg/cmd"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

// kubectlCommand is for the help only: Main takes what begins with kubectl before cobra sees it, because kubectl's flags
// are kubectl's.
func kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl ...",
		Short: "The matching kubectl, for this cluster",
		Long:  "The kubectl of the cluster's own version, with the cluster's kubeconfig unless --kubeconfig or KUBECONFIG name another.",
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// splitKubectl recognises `[--data-dir DIR] kubectl ARGS`.
func splitKubectl(args []string) (dir string, rest []string, ok bool) {
	switch {
	case len(args) > 0 && args[0] == "kubectl":
		args = args[1:]
	case len(args) > 2 && args[0] == "--data-dir" && args[2] == "kubectl":
		dir, args = args[1], args[3:]
	case len(args) > 1 && strings.HasPrefix(args[0], "--data-dir=") && args[1] == "kubectl":
		dir, args = strings.TrimPrefix(args[0], "--data-dir="), args[2:]
	default:
		return "", nil, false
	}
	// Every command takes --data-dir, so it may stand behind kubectl as well, if it stands first.
	if len(args) > 1 && args[0] == "--data-dir" {
		return args[1], args[2:], true
	}
	if len(args) > 0 && strings.HasPrefix(args[0], "--data-dir=") {
		return strings.TrimPrefix(args[0], "--data-dir="), args[1:], true
	}
	return dir, args, true
}

// kubectlMain becomes kubectl. dir is the cluster's data directory; empty takes the default, and leaves an explicit
// KUBECONFIG alone.
func kubectlMain(args []string, dir string) int {
	if dir != "" || os.Getenv(clientcmd.RecommendedConfigPathEnvVar) == "" {
		if dir == "" {
			dir = defaultDataDir()
		}
		config := filepath.Join(dir, "kubeconfig")
		if _, err := os.Stat(config); err == nil {
			os.Setenv(clientcmd.RecommendedConfigPathEnvVar, config)
		} else if os.IsPermission(err) {
			fmt.Fprintf(os.Stderr, "bonsai: %s is readable by root only: use sudo, or the context bonsai in your own kubeconfig\n", config)
			return 1
		}
	}
	os.Args = append([]string{"kubectl"}, args...)
	if err := kubecli.RunNoErrOutput(kubecmd.NewDefaultKubectlCommand()); err != nil {
		cmdutil.CheckErr(err) // says why in kubectl's way, and ends the program with kubectl's code
	}
	return 0
}
