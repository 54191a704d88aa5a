package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"bonsai/pkg/bench"
	"bonsai/pkg/store"
)

func benchCommand() *cobra.Command {
	c := bench.Config{}
	var output string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure itself, each figure as a ratio to a limit of this machine",
		Long:  benchLong(),
		Args:  cobra.NoArgs,
	}
	f := cmd.Flags()
	dir := dataDirFlag(cmd)
	f.StringSliceVar(&c.Only, "only", nil, "measure only these rows")
	f.BoolVar(&c.Quick, "quick", false, "take fewer and smaller samples")
	f.StringVar(&c.ProfileDir, "profile-dir", "", "put profiles of the API server under load there")
	f.StringVarP(&output, "output", "o", "table", "table or json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if output != "table" && output != "json" {
			return fmt.Errorf("-o %s: it is table or json", output)
		}
		c.DataDir = *dir
		return runBench(cmd.Context(), c, output)
	}
	return cmd
}

func benchLong() string {
	var rows strings.Builder
	names, what := bench.Names()
	for _, n := range names {
		fmt.Fprintf(&rows, "  %-10s%s\n", n, what[n])
	}
	return `Measure itself, each figure as a ratio to a limit of this machine, which is measured in the same run.

It needs no cluster and touches none: what is measured runs beside, with data of its own, on loopback or in a network
namespace of its own, and is gone afterwards. The rows:

` + rows.String()
}

func runBench(ctx context.Context, c bench.Config, output string) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if c.Program, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	show, done := progressLine(os.Stderr)
	c.Progress = show
	report, err := bench.Run(ctx, c)
	done()
	if report != nil && len(report.Results) > 0 {
		write := report.WriteTable
		if output == "json" {
			write = report.WriteJSON
		}
		err = joinErrors(err, write(os.Stdout))
	}
	return err
}

// progressLine shows what is being done: on a terminal in one line that changes, elsewhere line by line.
func progressLine(out *os.File) (show func(string), done func()) {
	if !term.IsTerminal(int(out.Fd())) {
		return func(s string) { fmt.Fprintln(out, s) }, func() {}
	}
	return func(s string) { fmt.Fprint(out, clearLine+"… "+clip(s)) }, func() { fmt.Fprint(out, clearLine) }
}

// benchLimitCommand is the server that `bonsai bench` measures limits with; nobody else calls it.
func benchLimitCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bench-limit", Short: "Serve what bench measures limits with", Hidden: true, Args: cobra.NoArgs}
	dir := dataDirFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return bench.LimitServer(ctx, *dir, os.Stdout)
	}
	return cmd
}

// benchEtcdCommand is the etcd that `bonsai bench` puts beside an API server to measure that alone; nobody else calls it.
func benchEtcdCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bench-etcd", Short: "Serve etcd for what bench measures", Hidden: true, Args: cobra.NoArgs}
	dir := dataDirFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return serveEtcd(ctx, *dir, os.Stdout)
	}
	return cmd
}

// serveEtcd serves until ctx ends, and says on out where. It keeps no image of what others store, and leaves compaction to them.
func serveEtcd(ctx context.Context, dir string, out io.Writer) error {
	address := "unix://" + filepath.Join(dir, "etcd.sock")
	s, err := store.Open(ctx, store.Config{Dir: dir, ClientURL: address, Prefix: "/nothing/", CompactEvery: -1})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, address)
	<-ctx.Done()
	return s.Close()
}
