package resource

import (
	"fmt"
	"slices"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ingressClassAnnotation named an Ingress's class before a field did.
const ingressClassAnnotation = "kubernetes.io/ingress.class"

func ingresses() *Row {
	return Row{
		Resource: "ingresses", Singular: "ingress", Kind: "Ingress",
		ShortNames: []string{"ing"},
		Namespaced: true,
		Versions:   []Version{servedAs[networkingv1.Ingress, networkingv1.IngressList](networkingv1.SchemeGroupVersion)},
		Prefix:     "ingress",
		Columns: []metav1.TableColumnDefinition{
			nameColumn,
			column("Class", "The name of the IngressClass resource that should be used for additional configuration"),
			column("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
			column("Address", "Address is a list containing ingress points for the load-balancer"),
			column("Ports", "Ports of TLS configurations that open"),
			ageColumn,
		},
		UnconditionalUpdate: true,
	}.with(rules(Rules[*networkingv1.Ingress]{
		PrepareCreate: func(i *networkingv1.Ingress) {
			i.Status = networkingv1.IngressStatus{}
			i.Generation = 1
		},
		PrepareUpdate: func(next, old *networkingv1.Ingress) {
			next.Status = *old.Status.DeepCopy()
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Validate:       validateIngressCreate,
		ValidateUpdate: validateIngressUpdate,
		Warnings:       ingressWarnings,
		Cells:          ingressCells,
		PrepareStatus: func(next, old *networkingv1.Ingress) {
			next.Spec, next.Generation = *old.Spec.DeepCopy(), old.Generation
		},
		ValidateStatus: validateIngressStatus,
	}))
}

func ingressCells(i *networkingv1.Ingress, now time.Time) []any {
	class, ports := "<none>", "80"
	if i.Spec.IngressClassName != nil {
		class = *i.Spec.IngressClassName
	}
	if len(i.Spec.TLS) > 0 {
		ports = "80, 443"
	}
	return []any{i.Name, class, ingressHosts(i.Spec.Rules), ingressPoints(&i.Status.LoadBalancer), ports, age(i, now)}
}

// ingressHosts are the first three hosts, and how many more rules there are.
func ingressHosts(rules []networkingv1.IngressRule) string {
	const most = 3
	var hosts []string
	for _, r := range rules {
		if len(hosts) == most {
			return fmt.Sprintf("%s + %d more...", strings.Join(hosts, ","), len(rules)-most)
		}
		if r.Host != "" {
			hosts = append(hosts, r.Host)
		}
	}
	if len(hosts) == 0 {
		return "*"
	}
	return strings.Join(hosts, ",")
}

func ingressPoints(s *networkingv1.IngressLoadBalancerStatus) string {
	var all []string
	for _, in := range s.Ingress {
		switch {
		case in.IP != "":
			all = append(all, in.IP)
		case in.Hostname != "":
			all = append(all, in.Hostname)
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}

func ingressWarnings(next, old *networkingv1.Ingress) []string {
	if _, annotated := next.Annotations[ingressClassAnnotation]; old == nil && annotated && next.Spec.IngressClassName == nil {
		return []string{fmt.Sprintf("annotation %q is deprecated, please use 'spec.ingressClassName' instead", ingressClassAnnotation)}
	}
	return nil
}
