package resource

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Nothing reads a node's config source any more, but the fields are in the API, and are validated as ever.

// configPart is whether a reference to a ConfigMap is a wish (spec) or a fact (status), which names one exact version.
type configPart bool

const (
	inSpec   configPart = false
	inStatus configPart = true
)

func validateConfigStatus(status *corev1.NodeConfigStatus) field.ErrorList {
	if status == nil {
		return nil
	}
	path := newPlace("status", "config")
	return join(
		validateConfigSource(status.Assigned, path.Child("assigned"), inStatus),
		validateConfigSource(status.Active, path.Child("active"), inStatus),
		validateConfigSource(status.LastKnownGood, path.Child("lastKnownGood"), inStatus),
	)
}

func validateConfigSource(source *corev1.NodeConfigSource, path *place, where configPart) field.ErrorList {
	if source == nil {
		return nil
	}
	if source.ConfigMap == nil {
		return field.ErrorList{invalidAt(path, source, "exactly one reference subfield must be non-nil")}
	}
	m, path := source.ConfigMap, path.Child("configMap")
	return join(
		configVersion(m, path, where),
		named(m.Namespace, path.Child("namespace"), "namespace must be set", apivalidation.ValidateNamespaceName),
		named(m.Name, path.Child("name"), "name must be set", subdomainName),
		named(m.KubeletConfigKey, path.Child("kubeletConfigKey"), "kubeletConfigKey must be set",
			func(key string, _ bool) []string { return validation.IsConfigMapKey(key) }),
	)
}

func configVersion(m *corev1.ConfigMapNodeConfigSource, path *place, where configPart) field.ErrorList {
	if where == inStatus {
		return join(
			when(m.UID == "", requiredAt(path.Child("uid"), "uid must be set in status")),
			when(m.ResourceVersion == "", requiredAt(path.Child("resourceVersion"), "resourceVersion must be set in status")),
		)
	}
	return join(
		when(m.UID != "", forbiddenAt(path.Child("uid"), "uid must not be set in spec")),
		when(m.ResourceVersion != "", forbiddenAt(path.Child("resourceVersion"), "resourceVersion must not be set in spec")),
	)
}

// named wants a name, and a good one.
func named(name string, path *place, missing string, check apivalidation.ValidateNameFunc) field.ErrorList {
	if name == "" {
		return field.ErrorList{requiredAt(path, missing)}
	}
	return invalid(path, name, check(name, false))
}
