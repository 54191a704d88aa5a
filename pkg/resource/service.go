package resource

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
)

// clientIPTimeout is how long a client stays with its pod under ClientIP affinity, in seconds.
const clientIPTimeout = int32(10800)

func services() *Row {
	return Row{
		Resource: "services", Singular: "service", Kind: "Service",
		ShortNames: []string{"svc"}, Categories: []string{"all"},
		Namespaced:     true,
		Versions:       []Version{servedAs[corev1.Service, corev1.ServiceList](corev1.SchemeGroupVersion)},
		Prefix:         "services/specs",
		Columns:        serviceColumns(),
		CreateOnUpdate: true, UnconditionalUpdate: true, DeleteReturnsObject: true,
		Subresources: []Subresource{{
			Name: "proxy", Kind: "ServiceProxyOptions", GroupVersion: corev1.SchemeGroupVersion,
			Verbs: []string{"create", "delete", "get", "patch", "update"},
		}},
	}.with(rules(Rules[*corev1.Service]{
		Default:        defaultService,
		PrepareCreate:  prepareService,
		PrepareUpdate:  prepareServiceUpdate,
		Validate:       validateService,
		ValidateUpdate: validateServiceUpdate,
		Warnings:       serviceWarnings,
		PrepareStatus:  func(next, old *corev1.Service) { next.Spec = old.Spec },
		ValidateStatus: validateServiceStatus,
		Fields: func(s *corev1.Service) map[string]string {
			return map[string]string{"spec.clusterIP": s.Spec.ClusterIP, "spec.type": string(s.Spec.Type)}
		},
		Cells: func(s *corev1.Service, now time.Time) []any {
			return []any{
				s.Name, string(s.Spec.Type), clusterIPText(s), externalIPText(s), portsText(s.Spec.Ports), age(s, now),
				selectorText(s.Spec.Selector),
			}
		},
	}))
}

func defaultService(s *corev1.Service) {
	spec := &s.Spec
	or(&spec.SessionAffinity, corev1.ServiceAffinityNone)
	defaultAffinity(spec)
	or(&spec.Type, corev1.ServiceTypeClusterIP)
	for i := range spec.Ports {
		p := &spec.Ports[i]
		or(&p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	if fromOutside(s) {
		or(&spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if needsClusterIP(s) {
		orPtr(&spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	}
	if spec.Type == corev1.ServiceTypeLoadBalancer {
		orPtr(&spec.AllocateLoadBalancerNodePorts, true)
		for i := range s.Status.LoadBalancer.Ingress {
			if in := &s.Status.LoadBalancer.Ingress[i]; in.IP != "" {
				orPtr(&in.IPMode, corev1.LoadBalancerIPModeVIP)
			}
		}
	}
}

func defaultAffinity(spec *corev1.ServiceSpec) {
	switch spec.SessionAffinity {
	case corev1.ServiceAffinityNone:
		spec.SessionAffinityConfig = nil
	case corev1.ServiceAffinityClientIP:
		c := spec.SessionAffinityConfig
		if c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil {
			timeout := clientIPTimeout
			spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &timeout}}
		}
	}
}

// The questions that a Service's fields depend on.

// fromOutside says whether traffic can come from outside of the cluster.
func fromOutside(s *corev1.Service) bool {
	switch s.Spec.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		return true
	case corev1.ServiceTypeClusterIP:
		return len(s.Spec.ExternalIPs) > 0
	}
	return false
}

func needsClusterIP(s *corev1.Service) bool {
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		return true
	}
	return false
}

func needsNodePorts(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort || isLoadBalancer(s)
}

// needsHealthCheck says whether a load balancer has to ask each node if it has a pod of the Service.
func needsHealthCheck(s *corev1.Service) bool {
	return isLoadBalancer(s) && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func isLoadBalancer(s *corev1.Service) bool { return s.Spec.Type == corev1.ServiceTypeLoadBalancer }

func isHeadless(s *corev1.Service) bool {
	return len(s.Spec.ClusterIPs) == 1 && s.Spec.ClusterIPs[0] == corev1.ClusterIPNone
}

func serviceColumns() []metav1.TableColumnDefinition {
	doc := corev1.ServiceSpec{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn,
		column("Type", doc["type"]),
		column("Cluster-IP", doc["clusterIP"]),
		column("External-IP", doc["externalIPs"]),
		column("Port(s)", doc["ports"]),
		ageColumn,
		wide("Selector", doc["selector"]),
	}
}

func clusterIPText(s *corev1.Service) string {
	if len(s.Spec.ClusterIPs) > 0 {
		return s.Spec.ClusterIPs[0]
	}
	return "<none>"
}

func externalIPText(s *corev1.Service) string {
	switch s.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return listOr(s.Spec.ExternalIPs, "<none>")
	case corev1.ServiceTypeLoadBalancer:
		return listOr(slices.Concat(ingressAddresses(s), s.Spec.ExternalIPs), "<pending>")
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	}
	return "<unknown>"
}

func listOr(items []string, none string) string {
	if len(items) == 0 {
		return none
	}
	return strings.Join(items, ",")
}

func ingressAddresses(s *corev1.Service) []string {
	all := sets.New[string]()
	for _, in := range s.Status.LoadBalancer.Ingress {
		switch {
		case in.IP != "":
			all.Insert(in.IP)
		case in.Hostname != "":
			all.Insert(in.Hostname)
		}
	}
	return sets.List(all)
}

func portsText(ports []corev1.ServicePort) string {
	var all []string
	for _, p := range ports {
		text := strconv.Itoa(int(p.Port))
		if p.NodePort > 0 {
			text += ":" + strconv.Itoa(int(p.NodePort))
		}
		all = append(all, text+"/"+string(p.Protocol))
	}
	return listOr(all, "<none>")
}
