package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"sigs.k8s.io/yaml"
)

func pod(t *testing.T, text string) *corev1.Pod {
	p := &corev1.Pod{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &p.Spec))
	p.Name, p.Namespace, p.UID = "p", "ns", "u"
	return p
}

func node() *Node {
	return &Node{Name: "n", IPs: []string{"192.0.2.1"}, Domain: "cluster.local", ClusterDNS: []string{"10.96.0.10"}, Memory: 1000 << 20,
		CgroupParent: func(*corev1.Pod) string { return "/x" },
		Allocatable:  corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("1000Mi")}}
}

func TestExpand(t *testing.T) {
	values := func(name string) (string, bool) { return strings.ToLower(name), name == "A" || name == "B" }
	for in, want := range map[string]string{
		"": "", "plain": "plain", "$(A)": "a", "x$(A)y$(B)": "xayb", "$(NONE)": "$(NONE)", "$$(A)": "$(A)", "$$$(A)": "$a",
		"$": "$", "$A": "$A", "$(A": "$(A", "end$": "end$", "$()": "$()", "$(A)$": "a$",
	} {
		require.Equal(t, want, Expand(in, values), in)
	}
}

type objects struct{ services []*corev1.Service }

func (objects) ConfigMap(_, name string) (*corev1.ConfigMap, error) {
	if name == "cm" {
		return &corev1.ConfigMap{Data: map[string]string{"k": "v", "other": "w"}}, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("configmap"), name)
}

func (objects) Secret(_, name string) (*corev1.Secret, error) {
	return nil, apierrors.NewNotFound(corev1.Resource("secret"), name)
}

func (o objects) Services(ns string) (out []*corev1.Service, _ error) {
	for _, s := range o.services {
		if s.Namespace == ns {
			out = append(out, s)
		}
	}
	return out, nil
}

func service(ns, name, ip string, port int32) *corev1.Service {
	s := &corev1.Service{Spec: corev1.ServiceSpec{ClusterIP: ip, Ports: []corev1.ServicePort{{Name: "web-port", Port: port, Protocol: corev1.ProtocolTCP}}}}
	s.Namespace, s.Name = ns, name
	return s
}

func TestEnv(t *testing.T) {
	o := objects{[]*corev1.Service{service("default", "kubernetes", "10.96.0.1", 443), service("ns", "my-db", "10.96.0.9", 5432), service("ns", "headless", "None", 1)}}
	for _, test := range []struct{ name, container, want, err string }{
		{"order and references", `{envFrom: [{prefix: P_, configMapRef: {name: cm}}], env: [{name: A, value: "$(P_k)"}, {name: B, value: "$(A)$(C)"}, {name: C, value: c}]}`,
			"P_k=v P_other=w A=v B=v$(C) C=c", ""},
		{"fields", `{env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: C, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]}`,
			"A=10.1.1.1 B=p C=192.0.2.1", ""},
		{"resources", `{resources: {requests: {cpu: 250m}}, env: [{name: R, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}, {name: L, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]}`,
			"R=250 L=4", ""},
		{"no config map", `{env: [{name: A, valueFrom: {configMapKeyRef: {name: x, key: k}}}]}`, "", `configmap "x" not found`},
		{"no key", `{env: [{name: A, valueFrom: {configMapKeyRef: {name: cm, key: z}}}]}`, "", "couldn't find key z in ConfigMap ns/cm"},
		{"optional", `{envFrom: [{secretRef: {name: x, optional: true}}], env: [{name: A, valueFrom: {configMapKeyRef: {name: cm, key: z, optional: true}}}, {name: B, value: b}]}`, "B=b", ""},
		{"no secret", `{envFrom: [{secretRef: {name: x}}]}`, "", `secret "x" not found`},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := pod(t, "containers: ["+test.container+"]")
			env, err := node().Env(o, p, &p.Spec.Containers[0], []string{"10.1.1.1"})
			if test.err != "" {
				require.EqualError(t, err, test.err)
				return
			}
			require.NoError(t, err)
			var got []string
			for _, e := range env {
				if !strings.HasPrefix(e.Name, "KUBERNETES_") && !strings.HasPrefix(e.Name, "MY_DB_") {
					got = append(got, e.Name+"="+e.Value)
				}
			}
			require.Equal(t, test.want, strings.Join(got, " "))
		})
	}
}

func TestServiceEnv(t *testing.T) {
	o := objects{[]*corev1.Service{service("default", "kubernetes", "10.96.0.1", 443), service("ns", "my-db", "10.96.0.9", 5432)}}
	p := pod(t, "containers: [{name: a}]")
	got, err := serviceEnv(o, p)
	require.NoError(t, err)
	require.Equal(t, "10.96.0.1", got["KUBERNETES_SERVICE_HOST"])
	require.Equal(t, "10.96.0.9", got["MY_DB_SERVICE_HOST"])
	require.Equal(t, "5432", got["MY_DB_SERVICE_PORT_WEB_PORT"])
	require.Equal(t, "tcp://10.96.0.9:5432", got["MY_DB_PORT_5432_TCP"])
	off := false
	p.Spec.EnableServiceLinks = &off
	got, err = serviceEnv(o, p)
	require.NoError(t, err)
	require.NotContains(t, got, "MY_DB_SERVICE_HOST")
	require.Contains(t, got, "KUBERNETES_SERVICE_HOST")
}

func TestDNS(t *testing.T) {
	n := node()
	n.ResolvConf = filepath.Join(t.TempDir(), "resolv.conf")
	require.NoError(t, os.WriteFile(n.ResolvConf, []byte("# host\nnameserver 9.9.9.9\nsearch example.org\noptions edns0\n"), 0o644))
	for _, test := range []struct {
		name, spec string
		noDNS      bool
		want       string
		fallback   bool
	}{
		{"cluster", "dnsPolicy: ClusterFirst", false, "10.96.0.10 | ns.svc.cluster.local svc.cluster.local cluster.local example.org | ndots:5", false},
		{"cluster, none there", "dnsPolicy: ClusterFirst", true, "9.9.9.9 | example.org | edns0", true},
		{"host network", "{dnsPolicy: ClusterFirst, hostNetwork: true}", false, "9.9.9.9 | example.org | edns0", false},
		{"host network, asked", "{dnsPolicy: ClusterFirstWithHostNet, hostNetwork: true}", false, "10.96.0.10 | ns.svc.cluster.local svc.cluster.local cluster.local example.org | ndots:5", false},
		{"default", "dnsPolicy: Default", false, "9.9.9.9 | example.org | edns0", false},
		{"none", "{dnsPolicy: None, dnsConfig: {nameservers: [1.1.1.1], searches: [x]}}", false, "1.1.1.1 | x | ", false},
		{"its own options", "{dnsPolicy: ClusterFirst, dnsConfig: {options: [{name: ndots, value: '2'}, {name: debug}]}}", false,
			"10.96.0.10 | ns.svc.cluster.local svc.cluster.local cluster.local example.org | ndots:2 debug", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := *n
			if test.noDNS {
				n.ClusterDNS = nil
			}
			dns, fallback, err := n.DNS(pod(t, test.spec))
			require.NoError(t, err)
			require.Equal(t, test.fallback, fallback)
			require.Equal(t, test.want, strings.Join([]string{strings.Join(dns.Servers, " "), strings.Join(dns.Searches, " "), strings.Join(dns.Options, " ")}, " | "))
		})
	}
}

func TestHosts(t *testing.T) {
	text, err := node().Hosts(pod(t, "{hostname: h, subdomain: s, hostAliases: [{ip: 1.2.3.4, hostnames: [a, b]}]}"), []string{"10.1.1.1"})
	require.NoError(t, err)
	require.Contains(t, string(text), "10.1.1.1\th.s.ns.svc.cluster.local\th\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n")
}

func TestResources(t *testing.T) {
	require.EqualValues(t, 2, Shares(0))
	require.EqualValues(t, 102, Shares(100))
	require.EqualValues(t, -1, Quota(0))
	require.EqualValues(t, 1000, Quota(5))
	require.EqualValues(t, 50_000, Quota(500))
	for _, test := range []struct {
		container string
		oom       int64
	}{
		{"{}", 1000},
		{"{resources: {requests: {cpu: 1, memory: 1Mi}, limits: {cpu: 1, memory: 1Mi}}}", -997},
		{"{resources: {requests: {memory: 250Mi}}}", 750},
		{"{resources: {requests: {cpu: 1}}}", 999},
		{"{resources: {requests: {memory: 1000Mi}}}", 3},
	} {
		p := pod(t, "containers: ["+test.container+"]")
		require.Equal(t, test.oom, node().resources(p, &p.Spec.Containers[0]).OomScoreAdj, test.container)
	}
}

func TestNonRoot(t *testing.T) {
	number := &runtimev1.Image{Uid: &runtimev1.Int64Value{Value: 5}}
	for _, test := range []struct {
		name, spec string
		image      *runtimev1.Image
		want       string
	}{
		{"image's user", "{securityContext: {runAsNonRoot: true}, containers: [{name: c}]}", number, ""},
		{"asked for root", "{securityContext: {runAsNonRoot: true}, containers: [{name: c, securityContext: {runAsUser: 0}}]}", number,
			`container's runAsUser breaks non-root policy (pod: "p_ns(u)", container: c)`},
		{"image is root", "{containers: [{name: c, securityContext: {runAsNonRoot: true}}]}", &runtimev1.Image{},
			`container has runAsNonRoot and image will run as root (pod: "p_ns(u)", container: c)`},
		{"image has a name", "{containers: [{name: c, securityContext: {runAsNonRoot: true}}]}", &runtimev1.Image{Username: "web"},
			`container has runAsNonRoot and image has non-numeric user (web), cannot verify user is non-root (pod: "p_ns(u)", container: c)`},
		{"container overrides pod", "{securityContext: {runAsNonRoot: true}, containers: [{name: c, securityContext: {runAsNonRoot: false}}]}", &runtimev1.Image{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := pod(t, test.spec)
			_, err := node().Config(Run{Pod: p, Container: &p.Spec.Containers[0], Image: test.image})
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, test.want)
		})
	}
}

func TestSecurityMergesPodAndContainer(t *testing.T) {
	p := pod(t, `
hostPID: true
securityContext: {runAsUser: 1, runAsGroup: 2, fsGroup: 3, supplementalGroups: [4], seccompProfile: {type: RuntimeDefault}}
containers:
- name: c
  securityContext: {runAsUser: 7, allowPrivilegeEscalation: false, capabilities: {add: [NET_ADMIN], drop: [ALL]}, seccompProfile: {type: Localhost, localhostProfile: a.json}}
- {name: d, securityContext: {privileged: true}}
`)
	n := node()
	n.RootDir = "/root"
	config, err := n.Config(Run{Pod: p, Container: &p.Spec.Containers[0]})
	require.NoError(t, err)
	s := config.Linux.SecurityContext
	require.EqualValues(t, 7, s.RunAsUser.Value)
	require.EqualValues(t, 2, s.RunAsGroup.Value)
	require.Equal(t, []int64{4, 3}, s.SupplementalGroups)
	require.True(t, s.NoNewPrivs)
	require.Equal(t, "/root/seccomp/a.json", s.Seccomp.LocalhostRef)
	require.Equal(t, runtimev1.NamespaceMode_NODE, s.NamespaceOptions.Pid)
	require.Equal(t, maskedPaths, s.MaskedPaths)
	config, err = n.Config(Run{Pod: p, Container: &p.Spec.Containers[1]})
	require.NoError(t, err)
	require.True(t, config.Linux.SecurityContext.Privileged)
	require.Empty(t, config.Linux.SecurityContext.MaskedPaths)
	require.Equal(t, runtimev1.SecurityProfile_RuntimeDefault, config.Linux.SecurityContext.Seccomp.ProfileType)
}
