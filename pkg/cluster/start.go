package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/machine"
	"bonsai/pkg/machine/carried"
	"bonsai/pkg/pki"
)

// certificates makes sure that every part can prove itself.
func (c *Config) certificates(n node) (p *pki.PKI, err error) {
	err = c.Steps.Do("certificates", func() (string, error) {
		p, err = pki.Ensure(string(c.Dir), parts.PKIOptions(n.name, net.IP(n.addr.AsSlice()), parts.APIPort, time.Now()))
		if err != nil {
			return "", err
		}
		if len(p.Done) > 1 {
			return fmt.Sprintf("%d made or renewed", len(p.Done)), nil
		}
		return strings.Join(p.Done, ""), nil
	})
	return p, err
}

// startRuntime returns when containers can be run and the carried images are there.
func (c *Config) startRuntime(ctx context.Context, s *stack) error {
	err := c.Steps.Do("container runtime", func() (string, error) {
		archive, err := carried.Open()
		if err != nil {
			return "", err
		}
		if err := machine.Unpack(archive, c.Dir); err != nil {
			return "", err
		}
		ready := make(chan struct{})
		s.start("containerd", func(ctx context.Context) error {
			return machine.RunContainerd(ctx, machine.ContainerdConfig{
				Dir: c.Dir, Program: []string{c.Program, "containerd"}, Ready: func() { close(ready) }, Logger: c.Logger,
			})
		})
		return "containerd at " + c.Dir.Socket(), wait(ctx, ready)
	})
	if err != nil {
		return err
	}
	return c.Steps.Do("images", func() (string, error) { return c.loadCarried(ctx) })
}

func (c *Config) loadCarried(ctx context.Context) (string, error) {
	archive, err := carried.Open()
	if err != nil {
		return "", err
	}
	images, err := machine.OpenImages(c.Dir)
	if err != nil {
		return "", err
	}
	defer images.Close()
	if err := images.LoadCarried(ctx, archive); err != nil {
		return "", err
	}
	all, err := images.List(ctx)
	return fmt.Sprintf("%d on this node", len(all)), err
}

func wait(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// startComponents starts what lives on the API server.
func (c *Config) startComponents(s *stack, p *components) error {
	return c.Steps.Do("components", func() (string, error) {
		all, err := p.onAPIServer()
		if err != nil {
			return "", err
		}
		names := make([]string, 0, len(all))
		for _, one := range all {
			c.startOne(s, one)
			names = append(names, one.name)
		}
		return strings.Join(names, ", "), nil
	})
}

// startOne starts a component in this process or in its own.
func (c *Config) startOne(s *stack, one component) {
	run := one.run
	if c.Separate {
		run = func(ctx context.Context) error { return c.runProcess(ctx, one) }
	}
	s.start(one.name, run)
}

// logFile is where a component with a process of its own writes.
func (c *Config) logFile(name string) (*os.File, error) {
	dir := c.Dir.Join("logs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(c.Dir.Join("logs", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
}
