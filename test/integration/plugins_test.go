package integration

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const podSecurity = `
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline}
    exemptions: {namespaces: [kube-system]}
`

// What admission does can be configured: the level of namespaces that name none, plugins that are off by themselves.
func TestAdmissionConfig(t *testing.T) {
	s := startServer(t, told(t, "admission-control-config-file="+written(t, podSecurity), "enable-admission-plugins=AlwaysPullImages,DenyServiceExternalIPs",
		"disable-admission-plugins=ServiceAccount"))
	pod := func(namespace string, privileged bool) (*corev1.Pod, error) {
		return s.client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Image: "i:1", SecurityContext: &corev1.SecurityContext{Privileged: &privileged}}}}}, metav1.CreateOptions{})
	}
	_, err := pod("default", true)
	require.EqualError(t, err, `pods "p" is forbidden: violates PodSecurity "baseline:latest": privileged (container "c" must not set securityContext.privileged=true)`)
	made, err := pod("default", false)
	require.NoError(t, err)
	require.Equal(t, corev1.PullAlways, made.Spec.Containers[0].ImagePullPolicy)
	_, err = pod("kube-system", true)
	require.NoError(t, err)
	require.Equal(t, "1", s.metric(`pod_security_exemptions_total{request_operation="create",resource="pod",subresource=""}`))
	_, err = s.client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "s"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}, ExternalIPs: []string{"192.0.2.7"}}}, metav1.CreateOptions{})
	require.EqualError(t, err, `services "s" is forbidden: Use of external IPs is denied by admission control.`)
}

const limitedResources = `
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ResourceQuota
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: ResourceQuotaConfiguration
    limitedResources:
    - {resource: services, matchContains: [nodeports]}
    - {resource: pods, matchScopes: [{scopeName: PriorityClass, operator: In, values: [gold]}]}
`

// What the configuration calls limited nobody may use in a namespace whose quotas say nothing of it; what else there is stays free.
func TestLimitedResources(t *testing.T) {
	c := startControllers(t, told(t, "admission-control-config-file="+written(t, limitedResources)))
	ctx, core := t.Context(), c.client.CoreV1()
	_, err := c.client.SchedulingV1().PriorityClasses().Create(ctx, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "gold"}, Value: 7}, metav1.CreateOptions{})
	require.NoError(t, err)
	c.limited("shop", quantities("pods", "10"))
	service := func(kind corev1.ServiceType) error {
		s := aService("s")
		s.Spec.Type = kind
		_, err := core.Services("shop").Create(ctx, s, metav1.CreateOptions{})
		return err
	}
	pod := func(name, class string) error {
		p := simplePod(name)
		p.Spec.PriorityClassName = class
		_, err := core.Pods("shop").Create(ctx, p, metav1.CreateOptions{})
		return err
	}
	require.EqualError(t, service(corev1.ServiceTypeNodePort), `services "s" is forbidden: insufficient quota to consume: services.nodeports`)
	require.NoError(t, service(corev1.ServiceTypeClusterIP))
	err = pod("a", "gold") // upstream's words, and its code, though it is no mistake of the server
	require.EqualError(t, err, `insufficient quota to match these scopes: [{PriorityClass In [gold]}]`)
	require.Equal(t, metav1.StatusReason(""), apierrors.ReasonForError(err))
	require.NoError(t, pod("a", ""))
	_, err = core.Services("shop").Patch(ctx, "s", types.MergePatchType, []byte(`{"spec":{"type":"NodePort"}}`), metav1.PatchOptions{})
	require.EqualError(t, err, `services "s" is forbidden: insufficient quota to consume: services.nodeports`)

	// A quota of it, in the scope if there is one, gives leave, as far as it goes.
	for name, spec := range map[string]corev1.ResourceQuotaSpec{
		"ports": {Hard: quantities("services.nodeports", "1")},
		"gold": {Hard: quantities("pods", "1"), ScopeSelector: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{
			{ScopeName: corev1.ResourceQuotaScopePriorityClass, Operator: corev1.ScopeSelectorOpIn, Values: []string{"gold"}}}}},
	} {
		_, err := core.ResourceQuotas("shop").Create(ctx, &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
		require.NoError(t, err)
		c.until("the quota is counted", func() bool {
			q, err := core.ResourceQuotas("shop").Get(ctx, name, metav1.GetOptions{})
			return err == nil && len(q.Status.Used) == 1
		})
	}
	_, err = core.Services("shop").Patch(ctx, "s", types.MergePatchType, []byte(`{"spec":{"type":"NodePort"}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.NoError(t, pod("b", "gold"))
	require.EqualError(t, pod("c", "gold"), `pods "c" is forbidden: exceeded quota: gold, requested: pods=1, used: pods=1, limited: pods=1`)
	require.NoError(t, pod("c", ""))
}
