package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"bonsai/pkg/cluster"
	"bonsai/pkg/machine"
	"bonsai/pkg/pki"
)

// patience is how long a cluster may take to end after it was asked to, before it is killed.
const patience = 60 * time.Second

func downCommand() *cobra.Command {
	var purge, prove bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the cluster and remove everything it made on this machine",
		Long: `Stop the cluster and remove everything it made on this machine: processes, network, mounts, cgroups, rules.
Objects stay in the data directory for the next 'bonsai up'. It works as well after a crash or a kill -9.`,
		Args: cobra.NoArgs,
	}
	dir := dataDirFlag(cmd)
	cmd.Flags().BoolVar(&purge, "purge", false, "remove the data directory as well")
	cmd.Flags().BoolVar(&prove, "prove", false, "look at the machine afterwards, and list what is left")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := needRoot("bonsai down"); err != nil {
			return err
		}
		d, err := openDir(*dir)
		if err != nil {
			return err
		}
		return down(cmd.Context(), d, purge, prove)
	}
	return cmd
}

func down(ctx context.Context, dir machine.Dir, purge, prove bool) error {
	if _, err := os.Stat(string(dir)); errors.Is(err, os.ErrNotExist) {
		fmt.Printf("There is no cluster in %s.\n", dir)
		return nil
	}
	steps := cluster.NewSteps(newShow(os.Stdout).step)
	if pid, ok := machine.Running(dir); ok {
		err := steps.Do("stop the cluster", func() (string, error) { return fmt.Sprintf("process %d", pid), end(pid) })
		if err != nil {
			return err
		}
	}
	if err := cleanup(ctx, dir, steps); err != nil {
		return err
	}
	_ = pki.UnmergeKubeconfig(userKubeconfig(), contextName, dir.Join("kubeconfig"))
	if prove {
		if err := proveClean(ctx, dir, steps); err != nil {
			return err
		}
	}
	if purge {
		return steps.Do("remove the data", func() (string, error) { return string(dir), machine.Purge(dir) })
	}
	return nil
}

// end asks a process to end, waits, and in the end kills it. A pidfd cannot come to mean another process.
func end(pid int) error {
	if pid == 0 {
		return errors.New("the process that runs it is not to be seen from here; run bonsai down in the container that bonsai up was run in")
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
		if ended(fd, patience) {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end, not even by SIGKILL", pid)
}

// ended waits until the process of a pidfd has ended.
func ended(fd int, most time.Duration) bool {
	deadline := time.Now().Add(most)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err == nil && n > 0 {
			return true
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
	}
}

// cleanup undoes what the ledger names.
func cleanup(ctx context.Context, dir machine.Dir, steps *cluster.Steps) error {
	return steps.Do("clean the machine", func() (string, error) {
		var undone []string
		err := machine.Cleanup(ctx, dir, func(what string) { undone = append(undone, what) })
		return fmt.Sprintf("%d things undone", len(undone)), err
	})
}

func proveClean(ctx context.Context, dir machine.Dir, steps *cluster.Steps) error {
	return steps.Do("prove it", func() (string, error) {
		left, err := machine.Prove(ctx, dir)
		if err != nil {
			return "", err
		}
		if len(left) == 0 {
			return "nothing is left", nil
		}
		lines := make([]string, 0, len(left))
		for _, l := range left {
			lines = append(lines, "  "+l.String())
		}
		return "", fmt.Errorf("this is left on the machine:\n%s", strings.Join(lines, "\n"))
	})
}

func isLocked(err error) bool { return errors.Is(err, machine.ErrLocked) }

func joinErrors(a, b error) error {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return fmt.Errorf("%w; and then: %w", a, b)
}
