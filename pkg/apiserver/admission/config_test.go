package admission

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
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
		"- {name: PodSecurity, configuration: {apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration, defaults: {enforce: high}}}": `defaults.enforce: Invalid value: "high": must be one of privileged, baseline, restricted`,
		"- {nam: PodSecurity}": `unknown field "plugins[0].nam"`,
	} {
		_, err := configured(t, plugins)
		require.ErrorContains(t, err, want)
	}
}
