package resource

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/utils/ptr"
)

// defaultPod fills in a pod. Some defaults are a pod's own and not those of a template (service links, requests from
// limits, host ports): a template shows what its author wrote, so that upgrades do not roll every Deployment.
func defaultPod(p *corev1.Pod) {
	s := &p.Spec
	dropInitContainerAnnotations(p)
	defaultPodSpec(s) // first, for it rounds the amounts that are summed up below
	if g := s.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		s.TerminationGracePeriodSeconds = ptr.To[int64](1)
	}
	for _, cs := range [][]corev1.Container{s.Containers, s.InitContainers} {
		for i := range cs {
			defaultRequests(&cs[i].Resources)
			if s.HostNetwork {
				defaultHostPorts(cs[i].Ports)
			}
		}
	}
	if s.EnableServiceLinks == nil {
		s.EnableServiceLinks = ptr.To(corev1.DefaultEnableServiceLinks)
	}
	pairPodIPs(&p.Status)
}

// dropInitContainerAnnotations removes the form that init containers had before they were a field; left in place, an
// old kubelet would believe it.
func dropInitContainerAnnotations(p *corev1.Pod) {
	delete(p.Annotations, "pod.alpha.kubernetes.io/init-containers")
	delete(p.Annotations, "pod.alpha.kubernetes.io/init-container-statuses")
	delete(p.Annotations, "pod.beta.kubernetes.io/init-containers")
	delete(p.Annotations, "pod.beta.kubernetes.io/init-container-statuses")
}

// pairPodIPs keeps the older podIP equal to the first of podIPs, whichever of them the client knows.
func pairPodIPs(s *corev1.PodStatus) {
	switch {
	case s.PodIP == "" && len(s.PodIPs) > 0:
		s.PodIP = s.PodIPs[0].IP
	case s.PodIP != "" && (len(s.PodIPs) == 0 || s.PodIPs[0].IP != s.PodIP):
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
	}
}

// defaultPodTemplate fills in what a controller makes pods of.
func defaultPodTemplate(t *corev1.PodTemplateSpec) { defaultPodSpec(&t.Spec) }

// defaultPodSpec fills in what pods and templates share.
func defaultPodSpec(s *corev1.PodSpec) {
	or(&s.DNSPolicy, corev1.DNSClusterFirst)
	or(&s.RestartPolicy, corev1.RestartPolicyAlways)
	or(&s.SchedulerName, corev1.DefaultSchedulerName)
	orPtr(&s.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	if s.SecurityContext == nil {
		s.SecurityContext = &corev1.PodSecurityContext{}
	}
	or(&s.ServiceAccountName, s.DeprecatedServiceAccount)
	s.DeprecatedServiceAccount = s.ServiceAccountName
	for i := range s.Volumes {
		defaultVolume(&s.Volumes[i])
	}
	eachContainer(s, func(c *corev1.Container) { defaultContainer(c) })
	roundUp(s.Overhead)
	if r := s.Resources; r != nil {
		roundUp(r.Limits)
		roundUp(r.Requests)
	}
}

// eachContainer calls f for the containers of all three lists. Ephemeral ones have the same fields as the others, so
// one function serves all.
func eachContainer(s *corev1.PodSpec, f func(*corev1.Container)) {
	for i := range s.InitContainers {
		f(&s.InitContainers[i])
	}
	for i := range s.Containers {
		f(&s.Containers[i])
	}
	for i := range s.EphemeralContainers {
		f((*corev1.Container)(&s.EphemeralContainers[i].EphemeralContainerCommon))
	}
}

// defaultRequests asks for as much as the limit, where the request is silent.
func defaultRequests(r *corev1.ResourceRequirements) {
	if r.Limits == nil {
		return
	}
	if r.Requests == nil {
		r.Requests = corev1.ResourceList{}
	}
	for name, q := range r.Limits {
		if _, ok := r.Requests[name]; !ok {
			r.Requests[name] = q.DeepCopy()
		}
	}
}

// defaultHostPorts exposes the ports on the node: on the host's network they are there anyhow.
func defaultHostPorts(ports []corev1.ContainerPort) {
	for i := range ports {
		or(&ports[i].HostPort, ports[i].ContainerPort)
	}
}

// defaultPodResources completes resources that the client gave, in part, for the whole pod: huge page limits from those of the
// containers, requests from those of the containers and else from the pod's limits, limits from those of the containers if all
// have one. It is for when admission has added all containers, so that their sum is the pod's.
func defaultPodResources(p *corev1.Pod) {
	r := p.Spec.Resources
	if r == nil || len(r.Limits)+len(r.Requests) == 0 {
		return
	}
	for name, q := range resourcehelper.AggregateContainerLimits(p, resourcehelper.PodResourcesOptions{}) {
		if _, asked := r.Requests[name]; isHugePages(name) && !asked {
			r.Limits = addMissing(r.Limits, name, q)
		}
	}
	for name, q := range resourcehelper.AggregateContainerRequests(p, resourcehelper.PodResourcesOptions{}) {
		if resourcehelper.IsSupportedPodLevelResource(name) && !isHugePages(name) {
			r.Requests = addMissing(r.Requests, name, q)
		}
	}
	for name, q := range r.Limits {
		if resourcehelper.IsSupportedPodLevelResource(name) {
			r.Requests = addMissing(r.Requests, name, q)
		}
	}
	limits := resourcehelper.AggregateContainerLimits(p, resourcehelper.PodResourcesOptions{})
	for name, request := range r.Requests {
		if q, ok := limits[name]; ok && resourcehelper.IsSupportedPodLevelResource(name) && limitedEverywhere(&p.Spec, name) {
			if request.Cmp(q) > 0 {
				q = request
			}
			r.Limits = addMissing(r.Limits, name, q)
		}
	}
}

func limitedEverywhere(s *corev1.PodSpec, name corev1.ResourceName) bool {
	all := true
	eachContainer(s, func(c *corev1.Container) {
		_, limited := c.Resources.Limits[name]
		all = all && limited
	})
	return all
}

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func addMissing(list corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) corev1.ResourceList {
	if list == nil {
		list = corev1.ResourceList{}
	}
	if _, ok := list[name]; !ok {
		list[name] = q.DeepCopy()
	}
	return list
}

// roundUp drops what is finer than a thousandth.
func roundUp(list corev1.ResourceList) {
	for name, q := range list {
		q.RoundUp(resource.Milli)
		list[name] = q
	}
}
