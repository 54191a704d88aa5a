package endpoints

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	endpointutil "k8s.io/endpointslice/util"

	"bonsai/pkg/reconcile"
)

const (
	// maxAddresses is where the list is cut off.
	maxAddresses = 1000
	// managedByLabel marks the objects that this controller made, which it may remove.
	managedByLabel = "endpoints.kubernetes.io/managed-by"
	managedBy      = "endpoint-controller"
)

// state is all that a plan depends on. service is nil if it is gone, endpoints if it does not exist yet.
type state struct {
	service   *corev1.Service
	pods      []*corev1.Pod
	endpoints *corev1.Endpoints
}

// plan makes the Endpoints list the pods.
func plan(s state, _ time.Time) reconcile.Plan {
	var p reconcile.Plan
	if s.service == nil {
		if s.endpoints.Labels[managedByLabel] == managedBy {
			p.Delete(s.endpoints, "its Service is gone")
		}
		return p
	}
	want, ready, total := desired(s)
	why := fmt.Sprintf("%d addresses, %d of them ready", total, ready)
	if s.endpoints != nil {
		p.Update(s.endpoints, want, "%s", why)
	} else if s.service.DeletionTimestamp == nil {
		p.Create(want, "%s", why)
	}
	return p
}

// desired is the object as it shall be.
func desired(s state) (want *corev1.Endpoints, ready, total int) {
	want = &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: s.service.Namespace, Name: s.service.Name}}
	if s.endpoints != nil {
		want = s.endpoints.DeepCopy()
	}
	want.Labels = labelsOf(s.service)
	want.Subsets, ready, total = subsets(s.service, s.pods)
	delete(want.Annotations, corev1.EndpointsOverCapacity)
	if total > maxAddresses {
		if want.Annotations == nil {
			want.Annotations = map[string]string{}
		}
		want.Annotations[corev1.EndpointsOverCapacity] = "truncated"
		truncate(want.Subsets, ready)
	}
	return want, ready, total
}

func labelsOf(s *corev1.Service) map[string]string {
	l := maps.Clone(s.Labels)
	if l == nil {
		l = map[string]string{}
	}
	delete(l, corev1.IsHeadlessService)
	if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone {
		l[corev1.IsHeadlessService] = ""
	}
	l[managedByLabel] = managedBy
	return l
}

// subsets groups the addresses by their ports: named target ports may be other numbers in other pods.
func subsets(s *corev1.Service, pods []*corev1.Pod) (list []corev1.EndpointSubset, ready, total int) {
	byPorts := map[string]*corev1.EndpointSubset{}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	for _, pod := range pods {
		ports, address, ok := listed(s, pod)
		if !ok {
			continue
		}
		key := portsKey(ports)
		if byPorts[key] == nil {
			byPorts[key] = &corev1.EndpointSubset{Ports: ports}
		}
		total++
		if subset := byPorts[key]; s.Spec.PublishNotReadyAddresses || endpointutil.IsPodReady(pod) {
			subset.Addresses = append(subset.Addresses, address)
			ready++
		} else {
			subset.NotReadyAddresses = append(subset.NotReadyAddresses, address)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byPorts)) {
		subset := byPorts[key]
		slices.SortFunc(subset.Addresses, byIP)
		slices.SortFunc(subset.NotReadyAddresses, byIP)
		list = append(list, *subset)
	}
	return list, ready, total
}

func portsKey(ports []corev1.EndpointPort) string {
	var b strings.Builder
	for _, p := range ports {
		fmt.Fprintf(&b, "%s/%d/%s ", p.Name, p.Port, p.Protocol)
	}
	return b.String()
}

func byIP(a, b corev1.EndpointAddress) int { return strings.Compare(a.IP, b.IP) }

// listed is what is written of a pod: nothing if it has no address of the family or none of the ports.
func listed(s *corev1.Service, pod *corev1.Pod) (ports []corev1.EndpointPort, a corev1.EndpointAddress, ok bool) {
	ip, found := addressOf(s, pod)
	if !found || !endpointutil.ShouldPodBeInEndpoints(pod, s.Spec.PublishNotReadyAddresses) {
		return nil, a, false
	}
	for _, p := range s.Spec.Ports {
		if n, found := targetPort(pod, p); found {
			ports = append(ports, corev1.EndpointPort{Name: p.Name, Port: n, Protocol: p.Protocol, AppProtocol: p.AppProtocol})
		}
	}
	headless := s.Spec.ClusterIP == corev1.ClusterIPNone
	if len(ports) == 0 && !(headless && len(s.Spec.Ports) == 0) {
		return nil, a, false
	}
	a = corev1.EndpointAddress{
		IP:        ip,
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
	}
	if pod.Spec.NodeName != "" {
		a.NodeName = &pod.Spec.NodeName
	}
	if endpointutil.ShouldSetHostname(pod, s) {
		a.Hostname = pod.Spec.Hostname
	}
	return ports, a, true
}

// addressOf is the pod's address of the Service's first family.
func addressOf(s *corev1.Service, pod *corev1.Pod) (string, bool) {
	for _, ip := range pod.Status.PodIPs {
		a, err := netip.ParseAddr(ip.IP)
		v6 := len(s.Spec.IPFamilies) > 0 && s.Spec.IPFamilies[0] == corev1.IPv6Protocol
		if err == nil && a.Is6() == v6 {
			return a.String(), true
		}
	}
	return "", false
}

func targetPort(pod *corev1.Pod, p corev1.ServicePort) (int32, bool) {
	if p.TargetPort.Type == intstr.Int {
		return p.TargetPort.IntVal, true
	}
	containers := slices.Clone(pod.Spec.Containers)
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			containers = append(containers, c)
		}
	}
	for _, c := range containers {
		for _, have := range c.Ports {
			if have.Name == p.TargetPort.StrVal && have.Protocol == p.Protocol {
				return have.ContainerPort, true
			}
		}
	}
	return 0, false
}

// truncate keeps 1000 addresses, the ready ones first.
func truncate(list []corev1.EndpointSubset, ready int) {
	left, leftNot := min(ready, maxAddresses), max(0, maxAddresses-ready)
	for i := range list {
		list[i].Addresses, left = cut(list[i].Addresses, left)
		list[i].NotReadyAddresses, leftNot = cut(list[i].NotReadyAddresses, leftNot)
	}
}

func cut(list []corev1.EndpointAddress, n int) ([]corev1.EndpointAddress, int) {
	keep := min(len(list), n)
	return list[:keep], n - keep
}
