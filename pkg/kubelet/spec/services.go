package spec

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// serviceEnv returns the variables by which a container finds services without DNS: of its own namespace unless
// enableServiceLinks is false, and always of the API server.
func serviceEnv(o Objects, pod *corev1.Pod) (map[string]string, error) {
	out := map[string]string{}
	api, err := o.Services("default")
	if err != nil {
		return nil, err
	}
	for _, s := range api {
		if s.Name == "kubernetes" {
			addService(out, s)
		}
	}
	if links := pod.Spec.EnableServiceLinks; links != nil && !*links {
		return out, nil
	}
	own, err := o.Services(pod.Namespace)
	if err != nil {
		return nil, err
	}
	for _, s := range own {
		addService(out, s)
	}
	return out, nil
}

func addService(out map[string]string, s *corev1.Service) {
	ip := s.Spec.ClusterIP
	if ip == "" || ip == corev1.ClusterIPNone || len(s.Spec.Ports) == 0 {
		return
	}
	name := variable(s.Name)
	out[name+"_SERVICE_HOST"] = ip
	out[name+"_SERVICE_PORT"] = strconv.Itoa(int(s.Spec.Ports[0].Port))
	for i, p := range s.Spec.Ports {
		if p.Name != "" {
			out[name+"_SERVICE_PORT_"+variable(p.Name)] = strconv.Itoa(int(p.Port))
		}
		addLink(out, name, ip, p, i == 0)
	}
}

// addLink adds the variables of the links that Docker once had.
func addLink(out map[string]string, name, ip string, p corev1.ServicePort, first bool) {
	protocol := string(corev1.ProtocolTCP)
	if p.Protocol != "" {
		protocol = string(p.Protocol)
	}
	port := strconv.Itoa(int(p.Port))
	url := strings.ToLower(protocol) + "://" + net.JoinHostPort(ip, port)
	if first {
		out[name+"_PORT"] = url
	}
	prefix := fmt.Sprintf("%s_PORT_%s_%s", name, port, strings.ToUpper(protocol))
	out[prefix] = url
	out[prefix+"_PROTO"] = strings.ToLower(protocol)
	out[prefix+"_PORT"] = port
	out[prefix+"_ADDR"] = ip
}

func variable(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }
