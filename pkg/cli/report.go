package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bonsai/pkg/cluster"
)

// reporter is where a starting cluster tells of itself: the terminal, or the process that detached it.
type reporter interface {
	step(cluster.Step)
	ready(took time.Duration, kubeconfig string)
	failed(error)
}

func (o *upOptions) reporter() reporter {
	if o.reportTo > 0 {
		unix.CloseOnExec(o.reportTo) // or containerd would hold it as well, and its end would not tell of ours
		return newPipe(os.NewFile(uintptr(o.reportTo), "report"))
	}
	return &terminal{show: newShow(os.Stdout), o: o}
}

// terminal reports to the person in front of it.
type terminal struct {
	*show
	o *upOptions
}

func (t *terminal) ready(took time.Duration, kubeconfig string) {
	welcome(t.out, took, kubeconfig, kubectlFor(!t.o.noMerge, t.o.dataDir))
	if !t.o.detach {
		fmt.Fprintln(t.out, "Ctrl-C stops the cluster.")
	}
}

func (t *terminal) failed(error) {}

// report is one line on the pipe between a detached cluster and the process that waits for it to be Ready.
type report struct {
	Step       *cluster.Step `json:"step,omitempty"`
	Ready      bool          `json:"ready,omitempty"`
	Took       time.Duration `json:"took,omitempty"`
	Kubeconfig string        `json:"kubeconfig,omitempty"`
	Err        string        `json:"err,omitempty"`
}

// pipe reports to the process that detached this one, until Ready; nobody reads after that.
type pipe struct {
	f   *os.File
	enc *json.Encoder
	off bool
}

func newPipe(f *os.File) *pipe { return &pipe{f: f, enc: json.NewEncoder(f)} }

func (p *pipe) send(r report) {
	if !p.off {
		// If nobody reads any more, the cluster is none the worse.
		_ = p.enc.Encode(r)
	}
}

func (p *pipe) step(s cluster.Step) { p.send(report{Step: &s}) }

func (p *pipe) ready(took time.Duration, kubeconfig string) {
	p.send(report{Ready: true, Took: took, Kubeconfig: kubeconfig})
	p.off = true
	p.f.Close()
}

func (p *pipe) failed(err error) {
	if err != nil {
		p.send(report{Err: err.Error()})
	}
}

// runDetached starts the same command in the background and shows its steps until it is Ready.
func (o *upOptions) runDetached() error {
	dir, err := openDir(o.dataDir)
	if err != nil {
		return err
	}
	o.dataDir = string(dir) // a relative one would mean another directory there
	if err := os.MkdirAll(dir.Join("logs"), 0o755); err != nil {
		return fmt.Errorf("make the log directory: %w", err)
	}
	log, err := os.OpenFile(dir.Join("logs", "bonsai.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer log.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(program, o.detachedArgs()...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Dir = "/"
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the cluster's process: %w", err)
	}
	write.Close()
	return o.follow(read, log.Name())
}

// detachedArgs are this command's for the process in the background; its report goes to the first extra file.
func (o *upOptions) detachedArgs() []string {
	args := []string{"up", "--report-to=3", "--data-dir=" + o.dataDir, fmt.Sprintf("--v=%d", o.verbosity),
		fmt.Sprintf("--separate=%t", o.separate), fmt.Sprintf("--no-merge-kubeconfig=%t", o.noMerge), "--node-name=" + o.nodeName}
	for _, s := range o.etcdServers {
		args = append(args, "--etcd-servers="+s)
	}
	for _, s := range o.apiServer {
		args = append(args, "--apiserver-arg="+s)
	}
	return args
}

// follow shows reports until the last.
func (o *upOptions) follow(read io.Reader, log string) error {
	t := &terminal{show: newShow(os.Stdout), o: o}
	lines := bufio.NewScanner(read)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r report
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("the cluster's process said %q; see %s", lines.Text(), log)
		}
		switch {
		case r.Step != nil:
			t.step(*r.Step)
		case r.Ready:
			t.ready(r.Took, r.Kubeconfig)
			return nil
		case r.Err != "":
			_, _ = io.Copy(io.Discard, read) // until that process has ended: then nothing of it is left
			return errors.New(r.Err)
		}
	}
	return fmt.Errorf("the cluster's process ended before it was Ready; see %s", log)
}
