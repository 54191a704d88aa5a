package admission

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"bonsai/pkg/apiserver/configfile"
	"bonsai/pkg/quota"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota/apis/resourcequota"
	resourcequotainstall "k8s.io/apiserver/pkg/admission/plugin/resourcequota/apis/resourcequota/install"
	resourcequotavalidation "k8s.io/apiserver/pkg/admission/plugin/resourcequota/apis/resourcequota/validation"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/config/apis/webhookadmission"
	webhookadmissioninstall "k8s.io/apiserver/pkg/admission/plugin/webhook/config/apis/webhookadmission/install"
	"k8s.io/apiserver/pkg/apis/apiserver"
	podsecurityconfig "k8s.io/pod-security-admission/admission/api"
	podsecurityload "k8s.io/pod-security-admission/admission/api/load"
	podsecurityvalidation "k8s.io/pod-security-admission/admission/api/validation"
)

// Config is what a file says to the plugins. The zero value is what they do by themselves.
type Config struct {
	// PodSecurity are the levels of namespaces that name none, and who is exempt; nil for privileged and nobody.
	PodSecurity *podsecurityconfig.PodSecurityConfiguration
	// Limited is what ResourceQuota refuses where no quota is about it.
	Limited []quota.Limited
	// Credentials are kubeconfigs by the webhook plugins whose webhooks they are for: each of their users is named after a webhook's host.
	Credentials map[string]string
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
	switch plugin {
	case "PodSecurity":
		return c.takePodSecurity(data)
	case "ResourceQuota":
		return c.takeResourceQuota(data)
	case "MutatingAdmissionWebhook", "ValidatingAdmissionWebhook":
		return c.takeWebhook(plugin, data)
	}
	if empty(data) {
		return nil
	}
	return errors.New("it takes no configuration")
}

func (c *Config) takePodSecurity(data []byte) error {
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

func (c *Config) takeResourceQuota(data []byte) error {
	config := &resourcequota.Configuration{}
	if err := decodeConfig(data, config, resourcequotainstall.Install); err != nil {
		return err
	}
	if errs := resourcequotavalidation.ValidateConfiguration(config); len(errs) > 0 {
		return errs.ToAggregate()
	}
	c.Limited = nil
	for _, l := range config.LimitedResources {
		c.Limited = append(c.Limited, quota.Limited{Resource: schema.GroupResource{Group: l.APIGroup, Resource: l.Resource},
			Contains: l.MatchContains, Scopes: l.MatchScopes})
	}
	return nil
}

func (c *Config) takeWebhook(plugin string, data []byte) error {
	config := &webhookadmission.WebhookAdmission{}
	if err := decodeConfig(data, config, webhookadmissioninstall.Install); err != nil {
		return err
	}
	switch {
	case config.StaticManifestsDir != "":
		return field.Forbidden(field.NewPath("staticManifestsDir"), "webhooks are configured by the API only")
	case config.KubeConfigFile == "":
		return nil
	case !filepath.IsAbs(config.KubeConfigFile):
		return field.Invalid(field.NewPath("kubeConfigFile"), config.KubeConfigFile, "must be an absolute file path")
	}
	if c.Credentials == nil {
		c.Credentials = map[string]string{}
	}
	c.Credentials[plugin] = config.KubeConfigFile
	return nil
}

// decodeConfig reads data strictly as one of the versions that install knows, into into, which is the internal one.
func decodeConfig(data []byte, into runtime.Object, install func(*runtime.Scheme)) error {
	scheme := runtime.NewScheme()
	install(scheme)
	return runtime.DecodeInto(serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(), data, into)
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
