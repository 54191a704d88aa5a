// Package component is the command line that all components share when they run as programs of their own: where their
// data and kubeconfig are, how loud they log, and that they end when asked to. Each component's own package below adds
// what only that one needs.
//
// The same commands are subcommands of bonsai, so that `bonsai up --separate` starts exactly the programs of cmd/.
package component

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"bonsai/pkg/heap"
	"bonsai/pkg/version"
)

// DefaultDataDir is where a cluster keeps its data unless --data-dir says otherwise.
const DefaultDataDir = "/var/lib/bonsai"

// Options are what every component can be told.
type Options struct {
	Name       string
	DataDir    string
	Kubeconfig string
	Verbosity  int
	Logger     *slog.Logger
}

// Command returns the command of a component. run is called with the options complete, and a context that ends on
// SIGINT and SIGTERM.
func Command(name, short string, run func(ctx context.Context, o *Options) error) *cobra.Command {
	o := &Options{Name: name}
	cmd := &cobra.Command{
		Use:           name,
		Short:         short,
		Args:          cobra.NoArgs,
		Version:       version.Kubernetes,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.complete()
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			heap.Tend(ctx)
			err := run(ctx, o)
			if errors.Is(err, context.Canceled) && ctx.Err() != nil {
				return nil
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.DataDir, "data-dir", DefaultDataDir, "directory of the cluster's data")
	f.StringVar(&o.Kubeconfig, "kubeconfig", "", "kubeconfig to reach the API server by (default DATA-DIR/kubeconfigs/"+name+".kubeconfig)")
	f.IntVarP(&o.Verbosity, "v", "v", 0, "log level: 0 for what matters, 4 for every decision")
	return cmd
}

func (o *Options) complete() {
	if o.Kubeconfig == "" {
		o.Kubeconfig = filepath.Join(o.DataDir, "kubeconfigs", o.Name+".kubeconfig")
	}
	o.Logger = Logger(os.Stderr, o.Verbosity)
}

// Logger logs to w, and makes client-go's own messages go there as well. From verbosity 4 it tells every decision.
func Logger(w io.Writer, verbosity int) *slog.Logger {
	level := slog.LevelInfo
	if verbosity >= 4 {
		level = slog.LevelDebug
	}
	h := slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
	klog.SetSlogLogger(slog.New(quiet{h}))
	return slog.New(h)
}

// quiet passes on only what libraries say at warning level or above.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Main runs a component's command as a program, and does not return.
func Main(cmd *cobra.Command) {
	if err := cmd.ExecuteContext(context.Background()); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", cmd.Name(), err)
		os.Exit(1)
	}
	os.Exit(0)
}
