package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	// canaryPeriod is how often the proxy looks whether somebody else has flushed the tables.
	canaryPeriod = 30 * time.Second
	// retryFirst and retryMax bound the back-off after a failed run.
	retryFirst = time.Second
	retryMax   = 30 * time.Second
)

// Config is what the proxy needs.
type Config struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	// NodeName tells which endpoints are on this node.
	NodeName string
	// ClusterCIDR is the range of all pods' addresses; what comes from outside it to a cluster IP is masqueraded.
	ClusterCIDR string
	Logger      *slog.Logger
}

// Run keeps the rules of the network namespace that the process is in as the API server's services want them, until
// ctx ends. The rules stay: connections go on while the proxy is restarted.
func Run(ctx context.Context, c Config) error {
	p := newProxier(c, iptables{})
	synced, err := p.follow(c.Informers)
	if err != nil {
		return fmt.Errorf("follow services and endpoint slices: %w", err)
	}
	c.Informers.StartWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil
	}
	p.run(ctx)
	return nil
}

// kernel is where rules are put; iptables in real life.
type kernel interface {
	// save returns what iptables-save prints of all tables that the proxy uses.
	save(ctx context.Context) (string, error)
	// restore applies a script without flushing.
	restore(ctx context.Context, script string) error
	// intact says whether the canary chain is still there.
	intact(ctx context.Context) bool
	// forgetUDP cuts flows to endpoints that are gone.
	forgetUDP(flows []udpFlow) error
}

type proxier struct {
	Config
	log    *slog.Logger
	kernel kernel

	mu       sync.Mutex // guards what the informers write
	services map[string]*v1.Service
	slices   map[string]map[string]*discoveryv1.EndpointSlice // service → name → slice
	dirty    map[string]bool
	bell     chan struct{}

	applied map[string]part // as the kernel has them; nil: unknown, write everything
}

func newProxier(c Config, k kernel) *proxier {
	log := c.Logger
	if log == nil {
		log = slog.Default()
	}
	return &proxier{
		Config: c, log: log, kernel: k,
		services: map[string]*v1.Service{}, slices: map[string]map[string]*discoveryv1.EndpointSlice{},
		dirty: map[string]bool{}, bell: make(chan struct{}, 1),
	}
}

func (p *proxier) run(ctx context.Context) {
	canary := time.NewTicker(canaryPeriod)
	defer canary.Stop()
	retry := retryFirst
	for {
		if err := p.sync(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("write the service rules; trying again", "in", retry, "err", err)
			p.applied = nil
			if !wait(ctx, retry) {
				return
			}
			retry = min(2*retry, retryMax)
			continue
		}
		retry = retryFirst
		select {
		case <-ctx.Done():
			return
		case <-p.bell:
		case <-canary.C:
			if !p.kernel.intact(ctx) && ctx.Err() == nil {
				p.log.Warn("the service rules are gone; writing them anew")
				p.applied = nil
			}
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// sync brings the kernel to what the informers said last.
func (p *proxier) sync(ctx context.Context) error {
	full := p.applied == nil
	next := p.planDirty(full)
	if full {
		existing, err := p.kernel.save(ctx)
		if err != nil {
			return err
		}
		if err := p.kernel.restore(ctx, everything(next, existing)); err != nil {
			return err
		}
		p.applied = next
		return nil
	}
	s := &script{}
	var gone []udpFlow
	for key, part := range next {
		old := p.applied[key]
		s.apply(change{old: old, next: part})
		for f := range old.udp {
			if !part.udp[f] {
				gone = append(gone, f)
			}
		}
	}
	if text := s.text(); text != "" {
		if err := p.kernel.restore(ctx, text); err != nil {
			return err
		}
	}
	for key, part := range next {
		if len(part.own)+len(part.lines) == 0 {
			delete(p.applied, key)
		} else {
			p.applied[key] = part
		}
	}
	if err := p.kernel.forgetUDP(gone); err != nil {
		// The rules are right; only old flows linger until they time out.
		p.log.Warn("cut UDP flows to endpoints that are gone", "err", err)
	}
	return nil
}

// planDirty plans the services that changed since the last call, or all.
func (p *proxier) planDirty(all bool) map[string]part {
	p.mu.Lock()
	defer p.mu.Unlock()
	dirty := p.dirty
	p.dirty = map[string]bool{}
	if all {
		for key := range p.services {
			dirty[key] = true
		}
	}
	out := make(map[string]part, len(dirty))
	for key := range dirty {
		svc := p.services[key]
		if svc == nil {
			out[key] = part{}
			continue
		}
		var slices []*discoveryv1.EndpointSlice
		for _, s := range p.slices[key] {
			slices = append(slices, s)
		}
		out[key] = plan(svc, slices, p.NodeName, p.ClusterCIDR)
	}
	return out
}
