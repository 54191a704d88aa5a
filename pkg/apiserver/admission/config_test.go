package admission

import (
	"os"
	"path/filepath"
	"testing"

	"bonsai/pkg/quota"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func configured(t *testing.T, plugins string) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "admission.yaml")
	require.NoError(t, os.WriteFile(path, []byte("apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n"+plugins), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ps.yaml"), []byte(
		"apiVersion: pod-security.admission.config.k8s.io/v1\nkind: PodSecurityConfiguration\ndefaults: {enforce: baseline}\n"), 0o600))
	return ReadConfig(path)
}

func TestReadConfig(t *testing.T) {
	for _, plugins := range []string{
		"- name: PodSecurity\n  path: ps.yaml",
		"- name: PodSecurity\n  configuration: {apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration, defaults: {enforce: baseline}}",
		"- {name: ResourceQuota, configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: ResourceQuotaConfiguration}}\n- {name: PodSecurity, path: ps.yaml}",
	} {
		c, err := configured(t, plugins)
		require.NoError(t, err)
		require.Equal(t, "baseline", c.PodSecurity.Defaults.Enforce)
		require.Equal(t, "privileged", c.PodSecurity.Defaults.Warn)
	}
	for plugins, want := range map[string]string{
		"- {name: PodSecurity, path: none.yaml}":                          `couldn't init admission plugin "PodSecurity": open `,
		"- {name: Priority, configuration: {levels: 3}}":                  `couldn't init admission plugin "Priority": it takes no configuration`,
		"- {name: PodSecurity, configuration: {apiVersion: v1, kind: X}}": `no kind "X" is registered`,
		"- {name: PodSecurity, configuration: {apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration, defaults: {enforce: high}}}":   `defaults.enforce: Invalid value: "high": must be one of privileged, baseline, restricted`,
		"- {name: ResourceQuota, configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: ResourceQuotaConfiguration, limitedResources: [{}]}}":               `limitedResources[0].resource: Required value`,
		"- {name: ResourceQuota, configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: ResourceQuotaConfiguration, limited: []}}":                          `unknown field "limited"`,
		"- {name: ResourceQuota, configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration}}":                                    `no kind "WebhookAdmissionConfiguration" is registered`,
		"- {name: MutatingAdmissionWebhook, configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: x}}":      `kubeConfigFile: Invalid value: "x": must be an absolute file path`,
		"- {name: MutatingAdmissionWebhook, configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, staticManifestsDir: /x}}": `staticManifestsDir: Forbidden: webhooks are configured by the API only`,
		"- {nam: PodSecurity}": `unknown field "plugins[0].nam"`,
	} {
		_, err := configured(t, plugins)
		require.ErrorContains(t, err, want)
	}
}

func TestPluginsAreTold(t *testing.T) {
	c, err := configured(t, `
- name: ResourceQuota
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: ResourceQuotaConfiguration
    limitedResources:
    - {resource: persistentvolumeclaims, matchContains: [gold]}
    - {apiGroup: apps, resource: deployments, matchScopes: [{scopeName: PriorityClass, operator: Exists}]}
- name: ValidatingAdmissionWebhook
  configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: /etc/hooks}`)
	require.NoError(t, err)
	require.Equal(t, []quota.Limited{
		{Resource: schema.GroupResource{Resource: "persistentvolumeclaims"}, Contains: []string{"gold"}},
		{Resource: schema.GroupResource{Group: "apps", Resource: "deployments"}, Scopes: []corev1.ScopedResourceSelectorRequirement{
			{ScopeName: "PriorityClass", Operator: "Exists"}}},
	}, c.Limited)
	require.Equal(t, map[string]string{"ValidatingAdmissionWebhook": "/etc/hooks"}, c.Credentials)
}
