package cluster

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"bonsai/pkg/cluster/parts"
	"bonsai/pkg/cluster/parts/apiserver"
	kubeletpart "bonsai/pkg/cluster/parts/kubelet"
	"bonsai/pkg/controller"
	"bonsai/pkg/kubelet"
	"bonsai/pkg/pki"
	"bonsai/pkg/proxy"
	"bonsai/pkg/reconcile"
	"bonsai/pkg/scheduler"
)

// component is one program of the cluster: a function to call in this process, or arguments to start another with.
type component struct {
	name string
	run  func(ctx context.Context) error
	args []string
}

// components makes the components of this cluster.
type components struct {
	*Config
	node node
	pki  *pki.PKI
	// queues counts the controllers' queues, for the /metrics of this process, which is the API server's.
	queues *reconcile.Queues
}

func (c *Config) parts(n node, p *pki.PKI) *components {
	return &components{c, n, p, reconcile.NewQueues()}
}

// flags are what every component's process is told.
func (c *components) flags(name string, more ...string) []string {
	return append([]string{name, "--data-dir=" + string(c.Dir)}, more...)
}

func (c *components) apiServer() component {
	ip := net.IP(c.node.addr.AsSlice())
	args := c.flags("apiserver", "--advertise-address="+ip.String(), "--hostname-override="+c.node.name)
	for _, s := range c.EtcdServers {
		args = append(args, "--etcd-servers="+s)
	}
	args = append(args, c.APIServerFlags...)
	return component{name: "apiserver", args: args, run: func(ctx context.Context) error {
		return apiserver.Run(ctx, apiserver.Options{
			DataDir: string(c.Dir), EtcdServers: c.EtcdServers, BindAddress: "", Port: parts.APIPort,
			AdvertiseIP: ip, PKI: c.pki, Settings: c.APIServer, Beside: []prometheus.Collector{c.queues}, Logger: c.Logger,
		})
	}}
}

// onAPIServer returns the components that are clients of the API server. In this process they share one informer
// factory, which reads as the controller manager: it may see everything that any of them needs.
func (c *components) onAPIServer() ([]component, error) {
	clients := map[string]kubernetes.Interface{}
	for _, name := range []string{pki.ControllerManager, pki.Scheduler, pki.Kubelet, pki.Proxy} {
		client, err := parts.Connect(c.pki.Component(name), name)
		if err != nil {
			return nil, err
		}
		clients[name] = client
	}
	anything, err := parts.Metadata(c.pki.Component(pki.ControllerManager), pki.ControllerManager)
	if err != nil {
		return nil, err
	}
	shared := parts.Informers(clients[pki.ControllerManager])
	return []component{
		c.controllerManager(clients[pki.ControllerManager], anything, shared),
		c.scheduler(clients[pki.Scheduler], shared),
		c.kubelet(clients[pki.Kubelet], shared),
		c.proxy(clients[pki.Proxy], shared),
	}, nil
}

func (c *components) controllerManager(client kubernetes.Interface, anything metadata.Interface, shared informers.SharedInformerFactory) component {
	return component{name: "controller-manager", args: c.flags("controller-manager"), run: func(ctx context.Context) error {
		return controller.Run(ctx, controller.Config{
			Client: client, Metadata: anything, Informers: shared, ClusterCIDR: parts.ClusterCIDR, RootCA: c.pki.CA, Queues: c.queues, Logger: c.Logger})
	}}
}

func (c *components) scheduler(client kubernetes.Interface, shared informers.SharedInformerFactory) component {
	return component{name: "scheduler", args: c.flags("scheduler"), run: func(ctx context.Context) error {
		return scheduler.Run(ctx, scheduler.Config{Client: client, Informers: shared, Logger: c.Logger})
	}}
}

func (c *components) kubelet(client kubernetes.Interface, shared informers.SharedInformerFactory) component {
	cfg := kubelet.Config{
		Client: client, Informers: shared, NodeName: c.node.name, NodeIPs: []string{c.node.addr.String()},
		RuntimeEndpoint: c.Dir.Socket(), CgroupRoot: c.Dir.CgroupRoot(), Logger: c.Logger,
	}
	kubeletpart.Paths(&cfg, string(c.Dir))
	return component{
		name: "kubelet",
		args: c.flags("kubelet", "--hostname-override="+c.node.name, "--node-ip="+c.node.addr.String(),
			"--container-runtime-endpoint="+c.Dir.Socket(), "--cgroup-root="+c.Dir.CgroupRoot()),
		run: func(ctx context.Context) error { return kubelet.Run(ctx, cfg) },
	}
}

func (c *components) proxy(client kubernetes.Interface, shared informers.SharedInformerFactory) component {
	return component{name: "proxy", args: c.flags("proxy", "--hostname-override="+c.node.name), run: func(ctx context.Context) error {
		return proxy.Run(ctx, proxy.Config{Client: client, Informers: shared, NodeName: c.node.name, ClusterCIDR: parts.ClusterCIDR, Logger: c.Logger})
	}}
}

// askPeriod is how often an API server that starts is asked whether it is ready.
const askPeriod = 20 * time.Millisecond

// startAPIServer returns when the API server is ready for work.
func (c *Config) startAPIServer(ctx context.Context, s *stack, p *components) error {
	return c.Steps.Do("API server", func() (string, error) {
		c.startOne(s, p.apiServer())
		url := "https://" + net.JoinHostPort(p.node.addr.String(), strconv.Itoa(parts.APIPort))
		return url, awaitAPIServer(ctx, p.pki.Kubeconfig)
	})
}

// awaitAPIServer asks /readyz until it says yes: the server may be in another process, and then nothing else can tell.
func awaitAPIServer(ctx context.Context, kubeconfig string) error {
	cfg, err := parts.ClientConfig(kubeconfig, "bonsai")
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(rest.CopyConfig(cfg))
	if err != nil {
		return err
	}
	tick := time.NewTicker(askPeriod)
	defer tick.Stop()
	for {
		if _, err = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the API server: %w (it last said: %w)", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
