package spec

import (
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
)

// Node is what a translation needs to know of the node it is for.
type Node struct {
	Name        string
	IPs         []string
	RootDir     string
	LogsDir     string
	ResolvConf  string
	ClusterDNS  []string
	Domain      string
	Allocatable corev1.ResourceList
	Memory      int64
	// CgroupParent names the cgroup of a pod.
	CgroupParent func(*corev1.Pod) string
}

// Objects are the API objects that environment variables refer to. An object that does not exist is a NotFound error.
type Objects interface {
	ConfigMap(namespace, name string) (*corev1.ConfigMap, error)
	Secret(namespace, name string) (*corev1.Secret, error)
	// Services returns those of a namespace.
	Services(namespace string) ([]*corev1.Service, error)
}

// LogDir is where the logs of a pod's containers are.
func (n *Node) LogDir(pod *corev1.Pod) string {
	return filepath.Join(n.LogsDir, "pods", pod.Namespace+"_"+pod.Name+"_"+string(pod.UID))
}

// PodDir is where everything else of a pod is.
func (n *Node) PodDir(pod *corev1.Pod) string {
	return filepath.Join(n.RootDir, "pods", string(pod.UID))
}
