package admission

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// heard is a Listener.
type heard struct {
	warnings []string
	notes    map[string]string
}

func (h *heard) Elsewhere(_, _ time.Duration) {}
func (h *heard) Warn(text string)             { h.warnings = append(h.warnings, text) }
func (h *heard) Annotate(key, value string)   { h.notes[key] = value }

// secured is the cluster with labels on its namespace.
func secured(pairs ...string) objects {
	g := cluster()
	g["namespaces//shop"] = labelled(pairs...)
	return g
}

func labelled(pairs ...string) *corev1.Namespace {
	ns := &corev1.Namespace{ObjectMeta: named("", "shop")}
	ns.Labels = map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		ns.Labels["pod-security.kubernetes.io/"+pairs[i]] = pairs[i+1]
	}
	return ns
}

func privileged() *corev1.Pod {
	return pod(func(p *corev1.Pod) {
		yes := true
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
	})
}

const (
	violation = `PodSecurity "baseline:latest": privileged (container "a" must not set securityContext.privileged=true)`
	strict    = `PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), ` +
		`unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), ` +
		`runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), ` +
		`seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")`
)

func TestPodSecurity(t *testing.T) {
	deployment := &appsv1.Deployment{ObjectMeta: named("shop", "web"), Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: privileged().Spec}}}
	debugged := pod(func(p *corev1.Pod) {
		p.Spec.ServiceAccountName = "default"
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon(privileged().Spec.Containers[0])}}
	})
	for name, tc := range map[string]struct {
		labels   []string
		a        *Attributes
		want     string
		warnings []string
		notes    map[string]string
	}{
		"nothing said":      {nil, request(Create, "pods", privileged(), nil), "", nil, map[string]string{"pod-security.kubernetes.io/enforce-policy": "privileged:latest"}},
		"enforced":          {[]string{"enforce", "baseline"}, request(Create, "pods", privileged(), nil), `pods "web" is forbidden: violates ` + violation, nil, nil},
		"fits":              {[]string{"enforce", "baseline"}, request(Create, "pods", pod(nil), nil), "", nil, nil},
		"restricted":        {[]string{"enforce", "restricted"}, request(Create, "pods", pod(nil), nil), `pods "web" is forbidden: violates ` + strict, nil, nil},
		"warned":            {[]string{"warn", "baseline"}, request(Create, "pods", privileged(), nil), "", []string{"would violate " + violation}, nil},
		"audited":           {[]string{"audit", "baseline"}, request(Create, "pods", privileged(), nil), "", nil, map[string]string{"pod-security.kubernetes.io/audit-violations": "would violate " + violation}},
		"a workload":        {[]string{"enforce", "baseline", "warn", "baseline"}, request(Create, "deployments.apps", deployment, nil), "", []string{"would violate " + violation}, nil},
		"a debug container": {[]string{"enforce", "baseline"}, request(Update, "pods/ephemeralcontainers", debugged, pod(nil)), `pods "web" is forbidden: violates ` + violation, nil, nil},
		"a status":          {[]string{"enforce", "baseline"}, request(Update, "pods/status", privileged(), pod(nil)), "", nil, nil},
		"an old pod":        {[]string{"enforce", "baseline"}, request(Update, "pods", privileged(), privileged()), "", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := &heard{notes: map[string]string{}}
			tc.a.To, tc.a.Name = h, "web"
			check(t, tc.want, run(t, secured(tc.labels...), tc.a))
			require.Equal(t, tc.warnings, h.warnings)
			for key, value := range tc.notes {
				require.Equal(t, value, h.notes[key])
			}
		})
	}
}

func TestPodSecurityOfANamespace(t *testing.T) {
	g := cluster()
	for _, name := range []string{"p1", "p2", "p3"} {
		p := privileged()
		p.Name = name
		g["pods/shop/"+name] = p
	}
	h := &heard{}
	a := request(Update, "namespaces", labelled("enforce", "baseline"), labelled())
	a.To = h
	require.NoError(t, run(t, g, a))
	require.Equal(t, []string{`existing pods in namespace "shop" violate the new PodSecurity enforce level "baseline:latest"`,
		"p1 (and 2 other pods): privileged"}, h.warnings)

	err := run(t, g, request(Create, "namespaces", labelled("enforce", "strict"), nil))
	require.True(t, apierrors.IsInvalid(err), err)
	require.ErrorContains(t, err, `metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of privileged, baseline, restricted`)
}
