// Package parts is what every component is started with, in the one binary as in a process of its own: a connection to
// the API server under the component's own name, and informers.
//
// In one process all components share one informer factory, so that each object is decoded and held once. In processes of
// their own each has its own. The components see no difference.
package parts

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"bonsai/pkg/pki"
	"bonsai/pkg/version"
)

// The networks of a cluster, upstream's customary ones.
const (
	ServiceCIDR   = "10.96.0.0/16"
	ClusterCIDR   = "10.244.0.0/16"
	ClusterDomain = "cluster.local"
	// APIPort and KubeletPort are where the two servers listen.
	APIPort     = 6443
	KubeletPort = 10250
	// Node ports are given out of this range, both ends included.
	FirstNodePort = 30000
	LastNodePort  = 32767
)

// ServiceIP is the address of the kubernetes service, the first of ServiceCIDR.
var ServiceIP = net.IPv4(10, 96, 0, 1)

// protobuf is what components speak: it is smaller than JSON, and much cheaper to decode.
const protobuf = "application/vnd.kubernetes.protobuf"

// ClientConfig returns the connection that a kubeconfig describes, for the component of the given name. Components are
// trusted not to flood the API server, which has limits of its own; the client's limit of old is switched off.
func ClientConfig(kubeconfig, component string) (*rest.Config, error) {
	c, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", kubeconfig, err)
	}
	c.QPS = -1
	c.ContentType = protobuf
	c.AcceptContentTypes = protobuf + ",application/json"
	// Warnings are for people. The controllers know that Endpoints are deprecated, and keep them all the same.
	c.WarningHandler = rest.NoWarnings{}
	c.UserAgent = cmp.Or(agents[component], component) + "/" + version.Kubernetes
	return c, nil
}

// agents are the names by which upstream's components call themselves, where they are others: whoever looks at the managers of an object's
// fields, or at audit events, finds what is written about Kubernetes.
var agents = map[string]string{
	pki.ControllerManager: "kube-controller-manager", pki.Scheduler: "kube-scheduler", pki.Proxy: "kube-proxy",
}

// Connect returns a client for the component of the given name.
func Connect(kubeconfig, component string) (kubernetes.Interface, error) {
	c, err := ClientConfig(kubeconfig, component)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(c)
}

// Metadata returns a client for the metadata of objects of any kind, which the garbage collector and the emptying of namespaces
// work with.
func Metadata(kubeconfig, component string) (metadata.Interface, error) {
	c, err := ClientConfig(kubeconfig, component)
	if err != nil {
		return nil, err
	}
	return metadata.NewForConfig(c)
}

// Informers returns an informer factory. Its objects come without managedFields, which no component reads and which are
// a good part of each object's size. There is no resync: watches do not lose changes, and loops that need a second
// look at something ask for it themselves.
func Informers(client kubernetes.Interface) informers.SharedInformerFactory {
	return informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(strip))
}

func strip(o any) (any, error) {
	if obj, ok := o.(runtime.Object); ok {
		if m, err := meta.Accessor(obj); err == nil {
			m.SetManagedFields(nil)
		}
	}
	return o, nil
}

// NodeName is the name by which this machine's node is known: the host's, as the kubelet upstream takes it.
func NodeName() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("read the host's name, which is to be the node's: %w", err)
	}
	return name, nil
}

// InformersOf returns an informer factory for a kubelet in a process of its own: of nodes and pods it shows only the node
// itself and the pods on it. A node may read no others.
func InformersOf(client kubernetes.Interface, node string) informers.SharedInformerFactory {
	f := Informers(client)
	f.InformerFor(&corev1.Node{}, func(c kubernetes.Interface, resync time.Duration) cache.SharedIndexInformer {
		return coreinformers.NewFilteredNodeInformer(c, resync, cache.Indexers{}, only("metadata.name", node))
	})
	f.InformerFor(&corev1.Pod{}, func(c kubernetes.Interface, resync time.Duration) cache.SharedIndexInformer {
		byNamespace := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
		return coreinformers.NewFilteredPodInformer(c, metav1.NamespaceAll, resync, byNamespace, only("spec.nodeName", node))
	})
	return f
}

// only narrows a list to the objects with a field of the given value.
func only(field, value string) func(*metav1.ListOptions) {
	return func(o *metav1.ListOptions) { o.FieldSelector = fields.OneTermEqualSelector(field, value).String() }
}
