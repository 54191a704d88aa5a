package integration

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
