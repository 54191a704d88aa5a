package kubelet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"bonsai/pkg/kubelet/cgroup"
	"bonsai/pkg/kubelet/cri"
	"bonsai/pkg/kubelet/node"
	"bonsai/pkg/kubelet/objects"
	"bonsai/pkg/kubelet/probe"
	"bonsai/pkg/kubelet/server"
	"bonsai/pkg/kubelet/spec"
	"bonsai/pkg/kubelet/volume"
	"bonsai/pkg/version"
)

// Run is the kubelet of one node until ctx ends. The pods run on after that; the next Run takes them over.
func Run(ctx context.Context, c Config) error {
	c = c.withDefaults()
	runtime, err := cri.Dial(c.RuntimeEndpoint)
	if err != nil {
		return err
	}
	defer runtime.Close()
	return run(ctx, c, runtime)
}

func run(ctx context.Context, c Config, runtime cri.Runtime) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer, err := await(ctx, c, runtime)
	if err != nil {
		return clean(ctx, err)
	}
	k, facts, err := build(ctx, c, runtime, answer)
	if err != nil {
		return clean(ctx, err)
	}
	keeper, err := node.New(k.nodeConfig(facts))
	if err != nil {
		return err
	}
	if err := k.start(ctx); err != nil {
		return clean(ctx, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return clean(ctx, keeper.Run(ctx)) })
	g.Go(func() error { k.follow(ctx); return nil })
	g.Go(func() error { k.rotate(ctx); return nil })
	g.Go(func() error { return server.Run(ctx, k.serverConfig()) })
	err = g.Wait()
	cancel()
	k.running.Wait()
	return err
}

// clean makes the end of ctx no error.
func clean(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, ctx.Err())) {
		return nil
	}
	return err
}

// await waits until the runtime answers: it may be starting too.
func await(ctx context.Context, c Config, runtime cri.Runtime) (*runtimev1.VersionResponse, error) {
	for warned := false; ; {
		v, err := runtime.Version(ctx)
		if err == nil {
			return v, nil
		}
		if !warned {
			c.Logger.Info("waiting for the container runtime", "endpoint", c.RuntimeEndpoint, "error", err)
			warned = true
		}
		if !pause(ctx, 50*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

func build(ctx context.Context, c Config, runtime cri.Runtime, answer *runtimev1.VersionResponse) (*kubelet, node.Facts, error) {
	if err := os.MkdirAll(c.RootDir, 0o750); err != nil {
		return nil, node.Facts{}, err
	}
	facts, err := node.Measure(c.RootDir, c.MaxPods, answer.RuntimeName+"://"+strings.TrimPrefix(answer.RuntimeVersion, "v"))
	if err != nil {
		return nil, facts, err
	}
	k := &kubelet{Config: c, runtime: runtime, runtimeName: answer.RuntimeName, ctx: ctx, workers: map[types.UID]*worker{}}
	k.cgroups = cgroup.New(c.CgroupRoot)
	if err := k.cgroups.Setup(facts.Capacity.Cpu().MilliValue(), facts.Capacity.Memory().Value()); err != nil {
		return nil, facts, fmt.Errorf("set up the pods' cgroups: %w", err)
	}
	k.node = k.specNode(facts)
	k.events = newRecorder(ctx, c)
	k.writer = newWriter(c.Client, c.Logger)
	k.images = newPuller(k)
	k.objects = objects.New(ctx, c.Client, k.refresh)
	k.services = c.Informers.Core().V1().Services().Lister()
	k.volumes = &volume.Manager{Node: k.node, Objects: k.objects, Tokens: &volume.Tokens{Client: c.Client}, Mounts: volume.KernelMounts{}}
	k.runner = &probe.Runner{Exec: runtime.ExecSync}
	k.probes = &probe.Manager{Run: k.runner.Run, Changed: k.wake, Unhealthy: k.unhealthy}
	return k, facts, nil
}

func (k *kubelet) specNode(facts node.Facts) *spec.Node {
	return &spec.Node{
		Name: k.NodeName, IPs: k.NodeIPs, RootDir: k.RootDir, LogsDir: k.LogsDir,
		ResolvConf: resolvConf(k.ResolvConf), ClusterDNS: k.ClusterDNS, Domain: k.ClusterDomain,
		Allocatable: facts.Capacity, Memory: facts.Capacity.Memory().Value(),
		CgroupParent: k.cgroups.Parent,
	}
}

// resolvConf finds the system's resolver configuration: behind systemd's stub, where there is one, because the
// stub listens on an address that pods cannot reach.
func resolvConf(path string) string {
	if path != "" {
		return path
	}
	const system, behind = "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"
	if data, err := os.ReadFile(system); err == nil && strings.Contains(string(data), "127.0.0.53") {
		if _, err := os.Stat(behind); err == nil {
			return behind
		}
	}
	if _, err := os.Stat(system); err != nil {
		return ""
	}
	return system
}

// unhealthy writes the event of a probe's answer.
func (k *kubelet) unhealthy(pod *corev1.Pod, container, kind, output string) {
	k.events.container(pod, container, warning, "Unhealthy", "%s probe failed: %s", strings.ToUpper(kind[:1])+kind[1:], output)
}

func (k *kubelet) nodeConfig(facts node.Facts) node.Config {
	return node.Config{
		Client: k.Client, Informers: k.Informers, Runtime: k.runtime, Name: k.NodeName, IPs: k.NodeIPs, Labels: k.Labels,
		Port: port(k.ServerAddr), Version: version.Kubernetes, Facts: facts, Events: k.events, Logger: k.Logger,
	}
}

func port(addr string) int32 {
	_, p, _ := net.SplitHostPort(addr)
	n, _ := strconv.ParseInt(p, 10, 32)
	return int32(n)
}
