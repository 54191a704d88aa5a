package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"

	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/machine"
	"bonsai/pkg/machine/carried"
	"bonsai/pkg/machine/netns"
)

// missingForNode says why no node can be started here.
func missingForNode() string {
	if os.Geteuid() != 0 {
		return "a node needs root: run it with sudo"
	}
	if _, err := carried.Open(); err != nil {
		return err.Error()
	}
	return ""
}

// wholeNode measures a cluster of one node, in a network namespace of its own: how long it takes to start, what it takes when it has nothing to
// do, and how fast pods come. Their limit is the container runtime alone; that of the rest, this program doing nothing.
func wholeNode(ctx context.Context, b *bench) (results []Result, err error) {
	n, err := b.newNode()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.clean(context.WithoutCancel(ctx))) }()
	idle, err := b.startLimit(ctx, "node-limit")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, idle.stop()) }()
	floor, err := b.emptyStart(ctx)
	if err != nil {
		return nil, err
	}
	cold, err := n.up(ctx)
	if err != nil {
		return nil, err
	}
	results = append(results, started("cold start", cold, floor).aiming(Aim{OfFigure: true, AtMost: 5}))
	for _, measure := range []func(context.Context, *server) ([]Result, error){n.idle, n.pods, n.deployment} {
		got, err := measure(ctx, idle)
		if err != nil {
			return nil, err
		}
		results = append(results, got...)
	}
	if err := n.down(); err != nil {
		return nil, err
	}
	warm, err := n.up(ctx)
	if err != nil {
		return nil, err
	}
	return append(results, started("warm start", warm, floor)), n.down()
}

func started(name string, took, floor time.Duration) Result {
	return Result{Row: name, Figure: Quantity{took.Seconds(), "s"}}.
		against(Quantity{floor.Seconds(), "s"}, "empty server", 0).detailed("until the node is Ready")
}

// emptyStart is how long this program takes until it serves TLS and nothing else.
func (b *bench) emptyStart(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	s, err := b.startLimit(ctx, "node-empty")
	if err != nil {
		return 0, err
	}
	return time.Since(start), s.stop()
}

// node is a cluster of one node that is measured.
type node struct {
	*bench
	ns     netns.Namespace
	dir    machine.Dir
	child  *child
	client kubernetes.Interface
}

// address is the node's in its namespace, which has no way out.
var address = netip.MustParsePrefix("10.88.0.2/24")

func (b *bench) newNode() (*node, error) {
	dir, err := machine.NewDir(filepath.Join(b.dir, "node"))
	if err != nil {
		return nil, err
	}
	ns, err := netns.New(fmt.Sprintf("bonsai-bench-%d", os.Getpid()), address)
	return &node{bench: b, ns: ns, dir: dir}, err
}

// upPatience bounds a start.
const upPatience = 2 * time.Minute

// up starts the cluster and returns how long it took until the node was Ready.
func (n *node) up(ctx context.Context) (time.Duration, error) {
	n.progress("node: starting")
	read, write, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer read.Close()
	start := time.Now()
	n.child, err = n.launch("node", n.ns.Do, func(cmd *exec.Cmd) { cmd.ExtraFiles = []*os.File{write} },
		"up", "--data-dir="+string(n.dir), "--no-merge-kubeconfig", "--report-to=3")
	write.Close()
	if err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, func() { read.Close() })()
	if err := read.SetReadDeadline(start.Add(upPatience)); err != nil {
		return 0, err
	}
	if err := awaitReport(json.NewDecoder(read), n.progress); err != nil {
		return 0, errors.Join(fmt.Errorf("start a node: %w", err), ctx.Err())
	}
	took := time.Since(start)
	n.client, err = n.connect()
	return took, err
}

// reported is a line of what `bonsai up --report-to` says.
type reported struct {
	Step *struct {
		Name string
		Took time.Duration
		Done bool
	} `json:"step"`
	Ready bool   `json:"ready"`
	Err   string `json:"err"`
}

// awaitReport reads until the cluster says that it is Ready.
func awaitReport(from *json.Decoder, progress func(string, ...any)) error {
	for {
		var r reported
		if err := from.Decode(&r); err != nil {
			return fmt.Errorf("it ended before it was Ready: %w", err)
		}
		switch {
		case r.Ready:
			return nil
		case r.Err != "":
			return errors.New(r.Err)
		case r.Step != nil && r.Step.Done:
			progress("node: %s %.2fs", r.Step.Name, r.Step.Took.Seconds())
		}
	}
}

// connect makes a client that dials from inside the namespace.
func (n *node) connect() (kubernetes.Interface, error) {
	cfg, err := parts.ClientConfig(n.dir.Join("kubeconfig"), "bonsai-bench")
	if err != nil {
		return nil, err
	}
	cfg.Dial = func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = n.ns.Do(func() error {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
	return kubernetes.NewForConfig(cfg)
}

// down stops the cluster in order.
func (n *node) down() error {
	if n.child == nil {
		return nil
	}
	n.progress("node: stopping")
	err := n.child.stop()
	if err == nil && n.child.err != nil {
		err = n.child.died()
	}
	n.child = nil
	return err
}

// clean stops what runs, removes what was made, and proves it.
func (n *node) clean(ctx context.Context) error {
	err := n.down()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	inside := n.ns.Do(func() error {
		if err := machine.Cleanup(ctx, n.dir, func(string) {}); err != nil {
			return err
		}
		left, err := machine.Prove(ctx, n.dir)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("the measured node left %d things behind, such as %s", len(left), left[0])
		}
		return err
	})
	err = errors.Join(err, inside)
	if inside == nil {
		err = errors.Join(err, machine.Purge(n.dir))
	}
	return errors.Join(err, n.ns.Delete())
}

// idle measures what the node takes when nothing happens.
func (n *node) idle(ctx context.Context, empty *server) ([]Result, error) {
	n.progress("node: idle")
	if err := pause(ctx, time.Duration(n.scaled(10, 3))*time.Second); err != nil { // the start's own garbage
		return nil, err
	}
	pids := tree(n.child.pid())
	before, err := usageOfAll(pids)
	if err != nil {
		return nil, err
	}
	span := time.Duration(n.scaled(10, 5)) * time.Second
	if err := pause(ctx, span); err != nil {
		return nil, err
	}
	after, err := usageOfAll(pids)
	if err != nil {
		return nil, err
	}
	nothing, err := usageOf(empty.pid())
	if err != nil {
		return nil, err
	}
	others, err := usageOfAll(pids[1:])
	if err != nil {
		return nil, err
	}
	mib := func(bytes int64) Quantity { return Quantity{mebibytes(bytes), "MiB"} }
	floor := nothing.plus(others)
	return []Result{
		Result{Row: "idle memory, PSS", Figure: mib(after.pss)}.against(mib(floor.pss), "containerd + empty server", 0).
			aiming(Aim{OfFigure: true, AtMost: 250}).
			detailed("bonsai %s MiB, containerd %s MiB", digits(mebibytes(after.pss-others.pss)), digits(mebibytes(others.pss))),
		Result{Row: "idle memory, RSS", Figure: mib(after.rss)}.against(mib(floor.rss), "containerd + empty server", 0).
			detailed("anonymous %s MiB", digits(mebibytes(after.anonymous))),
		Result{Row: "idle CPU", Figure: Quantity{100 * float64(after.cpu-before.cpu) / float64(span), "% of a core"}}.
			detailed("over %s", span),
	}, nil
}
