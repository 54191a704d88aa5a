package admission

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"bonsai/pkg/apiserver/configfile"

	"k8s.io/apiserver/pkg/apis/apiserver"
	podsecurityconfig "k8s.io/pod-security-admission/admission/api"
	podsecurityload "k8s.io/pod-security-admission/admission/api/load"
	podsecurityvalidation "k8s.io/pod-security-admission/admission/api/validation"
)

// Config is what a file says to the plugins. The zero value is what they do by themselves.
type Config struct {
	// PodSecurity are the levels of namespaces that name none, and who is exempt; nil for privileged and nobody.
	PodSecurity *podsecurityconfig.PodSecurityConfiguration
}

// ReadConfig reads the AdmissionConfiguration at path. A plugin that cannot do what its configuration asks of it is an error.
func ReadConfig(path string) (Config, error) {
	var out Config
	if path == "" {
		return out, nil
	}
	file, err := configfile.Read[apiserver.AdmissionConfiguration](path)
	if err != nil {
		return out, fmt.Errorf("failed to read plugin config: %w", err)
	}
	for _, p := range file.Plugins {
		data, err := pluginConfig(p, filepath.Dir(path))
		if err == nil {
			err = out.take(p.Name, data)
		}
		if err != nil {
			return out, fmt.Errorf("couldn't init admission plugin %q: %w", p.Name, err)
		}
	}
	return out, nil
}

// pluginConfig is what the file says to one plugin, there or in a file of its own.
func pluginConfig(p apiserver.AdmissionPluginConfiguration, dir string) ([]byte, error) {
	switch {
	case p.Configuration != nil:
		return p.Configuration.Raw, nil
	case p.Path == "":
		return nil, nil
	case !filepath.IsAbs(p.Path):
		return os.ReadFile(filepath.Join(dir, p.Path))
	}
	return os.ReadFile(p.Path)
}

func (c *Config) take(plugin string, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if plugin != "PodSecurity" {
		if empty(data) {
			return nil
		}
		return fmt.Errorf("it takes no configuration")
	}
	config, err := podsecurityload.LoadFromData(data)
	if err != nil {
		return err
	}
	if errs := podsecurityvalidation.ValidatePodSecurityConfiguration(config); len(errs) > 0 {
		return errs.ToAggregate()
	}
	c.PodSecurity = config
	return nil
}

// empty tells whether a configuration says nothing besides what it is.
func empty(data []byte) bool {
	var fields map[string]any
	if json.Unmarshal(data, &fields) != nil {
		return false
	}
	for name := range fields {
		if !slices.Contains([]string{"apiVersion", "kind"}, name) {
			return false
		}
	}
	return true
}
