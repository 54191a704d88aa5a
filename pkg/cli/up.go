package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"gopkg.in/natefinch/lumberjack.v2"
	"k8s.io/client-go/tools/clientcmd"

	"bonsai/pkg/cli/component"
	"bonsai/pkg/cli/component/apiserver"
	"bonsai/pkg/cluster"
	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/heap"
	"bonsai/pkg/machine"
	"bonsai/pkg/pki"
)

// contextName is what `bonsai up` calls the cluster in the user's own kubeconfig.
const contextName = "bonsai"

type upOptions struct {
	dataDir     string
	nodeName    string
	etcdServers []string
	apiServer   []string
	detach      bool
	separate    bool
	noMerge     bool
	verbosity   int
	// reportTo is the file descriptor on which a detached cluster tells its steps; 0 if it is not detached.
	reportTo int
}

func upCommand() *cobra.Command {
	o := &upOptions{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster on this machine",
		Long: `Start a cluster on this machine, or go on with the one in the data directory.

In the foreground, Ctrl-C stops the cluster and removes what it made on the machine; with --detach, 'bonsai down'
does. Objects are kept, and the next 'bonsai up' runs their pods again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needRoot("bonsai up"); err != nil {
				return err
			}
			if o.detach {
				return o.runDetached()
			}
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	dir := dataDirFlag(cmd)
	cmd.PreRun = func(*cobra.Command, []string) { o.dataDir = *dir }
	f.StringVar(&o.nodeName, "node-name", "", "name of this machine's node (default the host's name)")
	f.StringSliceVar(&o.etcdServers, "etcd-servers", nil, "use the etcd at these URLs instead of one inside")
	f.StringArrayVar(&o.apiServer, "apiserver-arg", nil, "setting of the API server, as in oidc-issuer-url=https://…; may be repeated ('bonsai apiserver --help' lists them)")
	f.BoolVarP(&o.detach, "detach", "d", false, "return when the cluster is Ready, and leave it running")
	f.BoolVar(&o.separate, "separate", false, "run apiserver, scheduler, controller-manager, kubelet and proxy as five processes")
	f.BoolVar(&o.noMerge, "no-merge-kubeconfig", false, "leave the user's own kubeconfig alone")
	f.IntVarP(&o.verbosity, "v", "v", 0, "log level: 0 for what matters, 4 for every decision")
	f.IntVar(&o.reportTo, "report-to", 0, "file descriptor to report steps on")
	_ = f.MarkHidden("report-to")
	return cmd
}

// run runs the cluster in this process until a signal, and then cleans up. Whoever waits for it to be Ready learns what went wrong.
func (o *upOptions) run(ctx context.Context) error {
	rep := o.reporter()
	err := o.runCluster(ctx, rep)
	rep.failed(err)
	return err
}

func (o *upOptions) runCluster(ctx context.Context, rep reporter) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once, whatever the first is waiting for
	settings, flags, err := apiserver.ParseSettings(o.apiServer)
	if err != nil {
		return err
	}
	dir, err := openDir(o.dataDir)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	start := time.Now()
	steps := cluster.NewSteps(rep.step)
	logger := o.logger(dir)
	slog.SetDefault(logger)
	name := o.nodeName
	if name == "" {
		if name, err = parts.NodeName(); err != nil {
			return err
		}
	}
	heap.Tend(ctx)
	err = cluster.Run(ctx, cluster.Config{
		Dir: dir, NodeName: name, EtcdServers: o.etcdServers, Separate: o.separate, APIServer: settings, APIServerFlags: flags,
		Program: program, Steps: steps, Logger: logger,
		Ready: func() { rep.ready(time.Since(start), o.mergeKubeconfig(dir)) },
	})
	if stillOurs := err == nil || ctx.Err() != nil || !isLocked(err); stillOurs {
		stop()
		err = joinErrors(err, cleanup(context.WithoutCancel(ctx), dir, steps))
	}
	return err
}

// logger writes to the log file, so that the terminal shows the steps and nothing else.
func (o *upOptions) logger(dir machine.Dir) *slog.Logger {
	if err := os.MkdirAll(dir.Join("logs"), 0o755); err != nil {
		return component.Logger(os.Stderr, o.verbosity)
	}
	// A cluster that runs for months must not fill the disk with what it has to say.
	log := &lumberjack.Logger{Filename: dir.Join("logs", "bonsai.log"), MaxSize: 10, MaxBackups: 2}
	return component.Logger(log, o.verbosity)
}

// mergeKubeconfig adds the cluster to the user's own kubeconfig; it returns what to tell about that.
func (o *upOptions) mergeKubeconfig(dir machine.Dir) string {
	if o.noMerge {
		return ""
	}
	if err := pki.MergeKubeconfig(userKubeconfig(), contextName, dir.Join("kubeconfig")); err != nil {
		return fmt.Sprintf(" Your kubeconfig was left alone (%v).", err)
	}
	return fmt.Sprintf(" kubectl's context is now %q.", contextName)
}

// userKubeconfig is the kubeconfig of the person at the keyboard: KUBECONFIG, or the one in their home, which under sudo
// is not root's.
func userKubeconfig() string {
	if os.Getenv(clientcmd.RecommendedConfigPathEnvVar) == "" {
		if u, err := user.LookupId(os.Getenv("SUDO_UID")); err == nil {
			return filepath.Join(u.HomeDir, clientcmd.RecommendedHomeDir, clientcmd.RecommendedFileName)
		}
	}
	return clientcmd.NewDefaultPathOptions().GetDefaultFilename()
}

// kubectlFor is how people call kubectl for this cluster.
func kubectlFor(merged bool, dir string) string {
	if _, err := exec.LookPath("kubectl"); err == nil && merged {
		return "kubectl"
	}
	self := "bonsai"
	if len(os.Args) > 0 {
		self = os.Args[0]
	}
	if dir != defaultDataDir() {
		return self + " --data-dir " + dir + " kubectl"
	}
	return self + " kubectl"
}
