package kubelet

import (
	"log/slog"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// Config is all that a kubelet depends on.
type Config struct {
	Client kubernetes.Interface
	// Informers gives services, pods and nodes. For a kubelet in a process of its own it shows of the latter two only
	// the node itself and the pods on it.
	Informers informers.SharedInformerFactory

	NodeName string
	NodeIPs  []string
	// Labels are put on the node besides those of every node.
	Labels map[string]string

	// RuntimeEndpoint is the runtime's socket: a path or a unix:// URL.
	RuntimeEndpoint string
	// RootDir holds the pods' volumes, LogsDir their logs. Whoever starts the kubelet has recorded that all mounts below
	// RootDir and all cgroups below CgroupRoot are to be unmade, so nothing is recorded here.
	RootDir, LogsDir string
	// CgroupRoot is the cluster's own cgroup: pods are in CgroupRoot/kubepods.
	CgroupRoot string

	// ServerAddr is where the API server reaches the kubelet. The files are PEM; a client must have a certificate
	// of ClientCA and be in the group system:masters.
	ServerAddr              string
	ServingCert, ServingKey string
	ClientCA                string

	ClusterDomain string
	ClusterDNS    []string
	// ResolvConf is the node's resolver configuration; "" means the system's.
	ResolvConf string

	// MaxPods is how many pods the node takes; 0 means 110.
	MaxPods int
	Logger  *slog.Logger
}

// defaultMaxPods is upstream's.
const defaultMaxPods = 110

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	if c.MaxPods == 0 {
		c.MaxPods = defaultMaxPods
	}
	return c
}
