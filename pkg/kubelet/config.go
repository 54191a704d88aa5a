package kubelet

import (
	"log/slog"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// Config is all that a kubelet depends on.
type Config struct {
	Client kubernetes.Interface
	// Informers gives services, nodes and, unless PodInformers is set, pods. PodInformers is for a kubelet in a
	// process of its own: a factory whose list is narrowed to spec.nodeName, so that only its pods reach it.
	Informers    informers.SharedInformerFactory
	PodInformers informers.SharedInformerFactory

	NodeName string
	NodeIPs  []string
	// Labels are put on the node besides those of every node.
	Labels map[string]string

	// RuntimeEndpoint is the runtime's socket: a path or a unix:// URL.
	RuntimeEndpoint string
	// RootDir holds the pods' volumes, LogsDir their logs.
	RootDir, LogsDir string
	// CgroupRoot is the cluster's own cgroup: pods are in CgroupRoot/kubepods.
	CgroupRoot string

	// ServerAddr is where the API server reaches the kubelet. The files are PEM; a client must have a certificate
	// of ClientCA and be in the group system:masters.
	ServerAddr              string
	ServingCert, ServingKey string
	ClientCA                string

	// OnPodCIDR is called once with the node's pod CIDR, as soon as the node has one: it is to make the network
	// configuration that the runtime waits for. nil if somebody else does that.
	OnPodCIDR func(cidr string) error

	ClusterDomain string
	ClusterDNS    []string
	// ResolvConf is the node's resolver configuration; "" means the system's.
	ResolvConf string

	// MaxPods is how many pods the node takes; 0 means 110.
	MaxPods int
	// Ledger notes what is made on the machine, before it is made; nil if somebody else has noted that everything
	// below RootDir and CgroupRoot is to be unmade.
	Ledger Ledger
	Logger *slog.Logger
}

// Ledger is the record of mounts and cgroups, by which they can be unmade after a crash.
type Ledger interface {
	Add(kind, name string) error
	Remove(kind, name string) error
}

// defaultMaxPods is upstream's.
const defaultMaxPods = 110

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	if c.MaxPods == 0 {
		c.MaxPods = defaultMaxPods
	}
	if c.Ledger == nil {
		c.Ledger = noRecord{}
	}
	return c
}

// noRecord is for a machine that keeps its record by itself: of everything below RootDir and CgroupRoot.
type noRecord struct{}

func (noRecord) Add(string, string) error    { return nil }
func (noRecord) Remove(string, string) error { return nil }
