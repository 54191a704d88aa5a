// Package cluster runs a whole one-node cluster: it puts the parts together, in one process or in one for each component,
// and stops them again.
//
// # The flow
//
//	machine: take the data directory, look at the host           (nothing is made that the ledger does not know)
//	certificates: make or renew them
//	  ├── container runtime: unpack, start containerd, load the carried images ──┐  side by side:
//	  └── API server: open etcd, load the image, serve ──────────────────────────┤  neither needs the other
//	controllers, scheduler                                                       │
//	kubelet, proxy ◀─────────────────────────────────────────────────────────────┘
//	network: when the node has its pod range, lay the bridge and the CNI configuration
//	Ready: the node says so
//
// Stopping goes the same way back (see stack). Parts meet only at the API server; what is here hands each its
// client, its informers and its place in the data directory, and nothing of another part.
//
// # The guarantees
//
//   - Run returns nil only after ctx has ended and everything was stopped; an error says which part failed.
//   - A part that ends by itself stops the cluster: half a cluster confuses more than none.
//   - With Separate every component is a process of its own, the same program as in cmd/. Nothing else differs.
package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"bonsai/pkg/cluster/parts/apiserver"
	"bonsai/pkg/machine"
)

// Config says what cluster to run.
type Config struct {
	Dir machine.Dir
	// NodeName is this machine's node; empty takes the host's name.
	NodeName string
	// EtcdServers are the URLs of an etcd elsewhere; empty runs one inside.
	EtcdServers []string
	// APIServer is what is wanted of the API server, and APIServerFlags the same as the flags of its command.
	APIServer      apiserver.Settings
	APIServerFlags []string
	// Separate runs each component in a process of its own.
	Separate bool
	// Program is how this binary is called again, for containerd and separate components.
	Program string
	Steps   *Steps
	// Ready is called once, when the node is Ready.
	Ready  func()
	Logger *slog.Logger
}

// node is what is known of this machine's node before it starts.
type node struct {
	name string
	addr netip.Addr
}

// Run runs the cluster until ctx ends.
func Run(ctx context.Context, c Config) error {
	m, err := machine.Open(c.Dir)
	if err != nil {
		return err
	}
	s := newStack()
	err = c.up(ctx, m, s)
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-s.failed:
		}
	}
	stopErr := c.Steps.Do("stop the parts", func() (string, error) { return "", s.stop() })
	if err == nil || ctx.Err() != nil {
		err = stopErr
	}
	if closeErr := m.Close(); err == nil {
		err = closeErr
	}
	return err
}

// up starts everything, in order, and returns when the node is Ready.
func (c *Config) up(ctx context.Context, m *machine.Machine, s *stack) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	settled := make(chan struct{})
	defer close(settled)
	go func() { // a part that fails on the way up ends the waiting for what would have needed it
		select {
		case err := <-s.failed:
			s.fail(err) // if the way up has just ended, it is to be seen all the same
			cancel(err)
		case <-settled:
		}
	}()
	err := c.steps(ctx, m, s)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

func (c *Config) steps(ctx context.Context, m *machine.Machine, s *stack) error {
	n, err := c.look()
	if err != nil {
		return err
	}
	p, err := c.certificates(n)
	if err != nil {
		return err
	}
	parts := c.parts(n, p)
	both, bothCtx := errgroup.WithContext(ctx)
	both.Go(func() error { return c.startRuntime(bothCtx, s) })
	both.Go(func() error { return c.startAPIServer(bothCtx, s, parts) })
	if err := both.Wait(); err != nil {
		return err
	}
	if err := c.startComponents(s, parts); err != nil {
		return err
	}
	if err := c.startNetwork(ctx, m, s, n); err != nil {
		return err
	}
	if err := c.awaitReady(ctx, n); err != nil {
		return err
	}
	if c.Ready != nil {
		c.Ready()
	}
	return nil
}

// look finds out what is needed of the host, before anything is made on it.
func (c *Config) look() (n node, err error) {
	err = c.Steps.Do("look at this machine", func() (string, error) {
		if err := machine.Check(); err != nil {
			return "", err
		}
		n.name = c.NodeName
		n.addr, err = machine.NodeAddress()
		return fmt.Sprintf("node %s at %s", n.name, n.addr), err
	})
	return n, err
}
