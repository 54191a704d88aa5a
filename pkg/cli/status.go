package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/machine"
)

// notRunning is status's exit code when there is no cluster, as of other services.
const notRunning = exitCode(3)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "What runs, and how it is", Args: cobra.NoArgs}
	dir := dataDirFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d, err := openDir(*dir)
		if err != nil {
			return err
		}
		pid, up := machine.Running(d)
		if !up {
			fmt.Printf("No cluster runs from %s. Start it with: bonsai up\n", d)
			return notRunning
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
		defer cancel()
		return status(ctx, os.Stdout, d, pid)
	}
	return cmd
}

func status(ctx context.Context, out io.Writer, dir machine.Dir, pid int) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "DATA\t%s\n", dir)
	client, err := parts.Connect(dir.Join("kubeconfig"), "bonsai")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "API SERVER\t%s\n", apiServerState(ctx, client))
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		w.Flush()
		return fmt.Errorf("the API server of process %d does not answer: %w; see %s", pid, err, dir.Join("logs", "bonsai.log"))
	}
	for i := range nodes.Items {
		fmt.Fprintf(w, "NODE\t%s\t%s\n", nodes.Items[i].Name, nodeState(&nodes.Items[i]))
	}
	if pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{}); err == nil {
		fmt.Fprintf(w, "PODS\t%s\n", podStates(pods.Items))
	}
	fmt.Fprintln(w, "\nPROCESS\tPID\tMEMORY")
	for _, p := range processes(pid) {
		fmt.Fprintf(w, "%s\t%d\t%d MiB\n", p.name, p.pid, p.pss>>20)
	}
	return w.Flush()
}

func apiServerState(ctx context.Context, client kubernetes.Interface) string {
	if _, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return "not ready: " + err.Error()
	}
	return "ready"
}

func nodeState(n *v1.Node) string {
	for _, c := range n.Status.Conditions {
		if c.Type == v1.NodeReady {
			if c.Status == v1.ConditionTrue {
				return "Ready"
			}
			return "NotReady: " + c.Message
		}
	}
	return "NotReady: its kubelet has not said anything yet"
}

func podStates(pods []v1.Pod) string {
	count := map[v1.PodPhase]int{}
	for i := range pods {
		count[pods[i].Status.Phase]++
	}
	words := []string{fmt.Sprintf("%d", len(pods))}
	for _, phase := range []v1.PodPhase{v1.PodRunning, v1.PodPending, v1.PodSucceeded, v1.PodFailed, v1.PodUnknown} {
		if count[phase] > 0 {
			words = append(words, fmt.Sprintf("%d %s", count[phase], phase))
		}
	}
	return strings.Join(words, "  ")
}

// process is one process of the cluster. pss is its memory in bytes, where pages shared by n processes count one nth.
type process struct {
	name string
	pid  int
	pss  int64
}

// processes returns the cluster's process and its children: containerd, and with --separate the components.
func processes(pid int) []process {
	out := []process{describe(pid)}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				out = append(out, describe(child))
			}
		}
	}
	slices.SortFunc(out[1:], func(a, b process) int { return a.pid - b.pid })
	return out
}

func describe(pid int) process {
	p := process{name: "?", pid: pid}
	if cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil {
		args := strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")
		p.name = filepath.Base(args[0])
		if len(args) > 1 {
			p.name += " " + args[1]
		}
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return p
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if kib, ok := strings.CutPrefix(lines.Text(), "Pss:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(kib)[0], 10, 64)
			p.pss = n << 10
		}
	}
	return p
}
