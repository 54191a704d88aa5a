package scheduler

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// hostPort is a port that a pod takes on its node's own addresses.
type hostPort struct {
	ip       string
	protocol v1.Protocol
	port     int32
}

// nodeState is a node and the sums over the pods on it.
type nodeState struct {
	node        *v1.Node // nil while only pods of it are known
	name        string
	allocatable amounts
	maxPods     int64
	requested   amounts // fit; <= allocatable unless somebody else bound pods
	scored      amounts // requested, with the defaults for pods that ask for nothing
	pods        map[types.UID]*podState
	ports       map[hostPort]int // how many pods hold it
}

// podState is a pod that counts on a node: bound, or assumed to be.
type podState struct {
	pod        *v1.Pod
	fit, score amounts
	ports      []hostPort
}

// state is all that decisions are made from. It is owned by one goroutine.
type state struct {
	nodes  []*nodeState // in no order; compact, because every decision walks it
	byName map[string]*nodeState
	on     map[types.UID]string // pod → node it counts on
	// withAffinity counts the placed pods that have required anti-affinity of their own: while there are none, no
	// newcomer needs to be held against them.
	withAffinity int
	namespaces   map[string]labels.Set
}

func newState() *state {
	return &state{byName: map[string]*nodeState{}, on: map[types.UID]string{}, namespaces: map[string]labels.Set{}}
}

func (s *state) node(name string) *nodeState {
	n := s.byName[name]
	if n == nil {
		n = &nodeState{name: name, pods: map[types.UID]*podState{}, ports: map[hostPort]int{}}
		s.byName[name] = n
		s.nodes = append(s.nodes, n)
	}
	return n
}

func (s *state) setNode(node *v1.Node) {
	n := s.node(node.Name)
	n.node = node
	n.allocatable = toAmounts(node.Status.Allocatable)
	n.maxPods = node.Status.Allocatable.Pods().Value()
}

func (s *state) removeNode(name string) {
	if n := s.byName[name]; n != nil {
		n.node = nil
		s.dropIfEmpty(n)
	}
}

func (s *state) dropIfEmpty(n *nodeState) {
	if n.node != nil || len(n.pods) > 0 {
		return
	}
	delete(s.byName, n.name)
	i := slices.Index(s.nodes, n)
	last := len(s.nodes) - 1
	s.nodes[i] = s.nodes[last]
	s.nodes = s.nodes[:last]
}

// setPod counts pod on its node, once, whether it is known already, moved (never seen) or new.
func (s *state) setPod(pod *v1.Pod) {
	s.removePod(pod.UID)
	p := &podState{pod: pod, ports: hostPorts(pod)}
	p.fit, p.score = podRequests(pod)
	n := s.node(pod.Spec.NodeName)
	n.pods[pod.UID] = p
	n.count(p, 1)
	s.on[pod.UID] = n.name
	if hasRequiredAntiAffinity(pod) {
		s.withAffinity++
	}
}

func (s *state) removePod(uid types.UID) {
	name, ok := s.on[uid]
	if !ok {
		return
	}
	n := s.byName[name]
	p := n.pods[uid]
	n.count(p, -1)
	delete(n.pods, uid)
	delete(s.on, uid)
	if hasRequiredAntiAffinity(p.pod) {
		s.withAffinity--
	}
	s.dropIfEmpty(n)
}

func (n *nodeState) count(p *podState, sign int64) {
	n.requested.add(p.fit, sign)
	n.scored.add(p.score, sign)
	for _, hp := range p.ports {
		if n.ports[hp] += int(sign); n.ports[hp] == 0 {
			delete(n.ports, hp)
		}
	}
}

func hostPorts(pod *v1.Pod) []hostPort {
	var ports []hostPort
	add := func(containers []v1.Container) {
		for i := range containers {
			for _, p := range containers[i].Ports {
				if p.HostPort > 0 {
					ports = append(ports, newHostPort(p))
				}
			}
		}
	}
	add(pod.Spec.Containers)
	for i := range pod.Spec.InitContainers {
		if c := pod.Spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways {
			add([]v1.Container{c})
		}
	}
	return ports
}

func newHostPort(p v1.ContainerPort) hostPort {
	hp := hostPort{ip: p.HostIP, protocol: p.Protocol, port: p.HostPort}
	if hp.ip == "" {
		hp.ip = anyIP
	}
	if hp.protocol == "" {
		hp.protocol = v1.ProtocolTCP
	}
	return hp
}

const anyIP = "0.0.0.0"

// conflicts says whether a and b cannot both be had: the same port and protocol on an address in common.
func (a hostPort) conflicts(b hostPort) bool {
	return a.port == b.port && a.protocol == b.protocol && (a.ip == b.ip || a.ip == anyIP || b.ip == anyIP)
}
