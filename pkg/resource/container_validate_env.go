package resource

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (c *podCheck) env(vars []corev1.EnvVar, path *place) field.ErrorList {
	return each(vars, path, func(v *corev1.EnvVar, path *place) field.ErrorList {
		errs := present(v.Name, path.Child("name"))
		if v.Name != "" {
			errs = invalid(path.Child("name"), v.Name, validation.IsRelaxedEnvVarName(v.Name))
		}
		return append(errs, c.valueFrom(v, path.Child("valueFrom"))...)
	})
}

func (c *podCheck) valueFrom(v *corev1.EnvVar, path *place) field.ErrorList {
	s := v.ValueFrom
	if s == nil {
		return nil
	}
	all := choices{path: path}
	choose(&all, s.FieldRef, "fieldRef", func(r *corev1.ObjectFieldSelector, path *place) field.ErrorList {
		return fieldRef(r, envFieldPaths, path)
	})
	choose(&all, s.ResourceFieldRef, "resourceFieldRef", func(r *corev1.ResourceFieldSelector, path *place) field.ErrorList {
		return resourceFieldRef(r, false, path)
	})
	choose(&all, s.ConfigMapKeyRef, "configMapKeyRef", func(r *corev1.ConfigMapKeySelector, path *place) field.ErrorList {
		return keyRef(r.Name, r.Key, path)
	})
	choose(&all, s.SecretKeyRef, "secretKeyRef", func(r *corev1.SecretKeySelector, path *place) field.ErrorList {
		return keyRef(r.Name, r.Key, path)
	})
	choose(&all, s.FileKeyRef, "fileKeyRef", fileKeyRef)
	errs, count := all.errs, all.count
	switch {
	case count == 0:
		return append(errs, invalidAt(path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case v.Value != "":
		return append(errs, invalidAt(path, "", "may not be specified when `value` is not empty"))
	case count > 1:
		return append(errs, invalidAt(path, "", "may not have more than one field specified at a time"))
	}
	return errs
}

func keyRef(name, key string, path *place) field.ErrorList {
	errs := invalid(path.Child("name"), name, subdomainName(name, false))
	if key == "" {
		return append(errs, requiredAt(path.Child("key"), ""))
	}
	return append(errs, invalid(path.Child("key"), key, validation.IsConfigMapKey(key))...)
}

// fileKeyRef wants a key of a file in a volume.
func fileKeyRef(r *corev1.FileKeySelector, path *place) field.ErrorList {
	errs := present(r.Key, path.Child("key"))
	if r.Key != "" {
		errs = invalid(path.Child("key"), r.Key, validation.IsRelaxedEnvVarName(r.Key))
	}
	volume := present(r.VolumeName, path.Child("volumeName"))
	if r.VolumeName != "" {
		volume = dnsLabel(r.VolumeName, path.Child("volumeName"))
	}
	file := present(r.Path, path.Child("path"))
	if r.Path != "" {
		file = noBacksteps(r.Path, path.Child("path"))
	}
	return join(errs, volume, file)
}

// keyFiles wants the volumes of such files to be of the pod, and to be made for it.
func (c *podCheck) keyFiles(path *place) field.ErrorList {
	var errs field.ErrorList
	eachContainerAt(c.spec, path, func(ctr *corev1.Container, path *place) {
		errs = append(errs, each(ctr.Env, path.Child("env"), func(v *corev1.EnvVar, path *place) field.ErrorList {
			if v.ValueFrom == nil || v.ValueFrom.FileKeyRef == nil {
				return nil
			}
			name, at := v.ValueFrom.FileKeyRef.VolumeName, path.Child("valueFrom", "fileKeyRef", "volumeName")
			switch i := slices.IndexFunc(c.spec.Volumes, func(v corev1.Volume) bool { return v.Name == name }); {
			case i < 0:
				return field.ErrorList{notFoundAt(at, name)}
			case c.spec.Volumes[i].EmptyDir == nil:
				return field.ErrorList{invalidAt(at, name, "referenced volume must be of type emptyDir")}
			}
			return nil
		})...)
	})
	return errs
}

func envFrom(sources []corev1.EnvFromSource, path *place) field.ErrorList {
	return each(sources, path, func(s *corev1.EnvFromSource, at *place) field.ErrorList {
		var errs field.ErrorList
		if s.Prefix != "" {
			errs = invalid(at.Child("prefix"), s.Prefix, validation.IsRelaxedEnvVarName(s.Prefix))
		}
		all := choices{path: at}
		choose(&all, s.ConfigMapRef, "configMapRef", func(r *corev1.ConfigMapEnvSource, at *place) field.ErrorList {
			return nameRef(r.Name, at.Child("name"))
		})
		choose(&all, s.SecretRef, "secretRef", func(r *corev1.SecretEnvSource, at *place) field.ErrorList {
			return nameRef(r.Name, at.Child("name"))
		})
		return join(errs, all.errs,
			when(all.count == 0, invalidAt(path, "", "must specify one of: `configMapRef` or `secretRef`")),
			when(all.count > 1, invalidAt(path, "", "may not have more than one field specified at a time")))
	})
}

func nameRef(name string, path *place) field.ErrorList {
	if name == "" {
		return field.ErrorList{requiredAt(path, "")}
	}
	return invalid(path, name, subdomainName(name, true))
}

// The fields of a pod that its containers can be told, each list in alphabetical order.
var (
	envFieldPaths = []string{
		"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
	}
	volumeFieldPaths = []string{"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
	// knownFieldPaths are fields that exist; which of them may be used depends on where.
	knownFieldPaths = append([]string{"metadata.annotations", "metadata.labels", "spec.host", "spec.restartPolicy", "spec.schedulerName", "status.phase"}, envFieldPaths...)
)

func fieldRef(r *corev1.ObjectFieldSelector, allowed []string, path *place) field.ErrorList {
	switch {
	case r.APIVersion == "":
		return field.ErrorList{requiredAt(path.Child("apiVersion"), "")}
	case r.FieldPath == "":
		return field.ErrorList{requiredAt(path.Child("fieldPath"), "")}
	}
	base, key, subscripted := splitSubscript(r.FieldPath)
	if problem := unknownFieldPath(r.APIVersion, r.FieldPath, base, subscripted); problem != "" {
		return field.ErrorList{invalidAt(path.Child("fieldPath"), r.FieldPath, "error converting fieldPath: "+problem)}
	}
	switch {
	case subscripted && base == "metadata.annotations":
		return qualifiedName(strings.ToLower(key), path)
	case subscripted:
		return qualifiedName(key, path)
	case base == "spec.host":
		base = "spec.nodeName"
	}
	return when(!slices.Contains(allowed, base), notSupportedAt(path.Child("fieldPath"), base, allowed))
}

func unknownFieldPath(version, full, base string, subscripted bool) string {
	switch {
	case version != "v1":
		return fmt.Sprintf("unsupported pod version: %s", version)
	case subscripted && base != "metadata.annotations" && base != "metadata.labels":
		return fmt.Sprintf("field label does not support subscript: %s", full)
	case !slices.Contains(knownFieldPaths, base):
		return fmt.Sprintf("field label not supported: %s", full)
	}
	return ""
}

// splitSubscript parts metadata.labels['app'] into metadata.labels and app.
func splitSubscript(p string) (base, key string, ok bool) {
	if inner, closed := strings.CutSuffix(p, "']"); closed {
		if base, key, ok = strings.Cut(inner, "['"); ok && base != "" {
			return base, key, true
		}
	}
	return p, "", false
}

// The resources of a container that its environment and files can tell.
var resourceFields = []string{
	"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory",
}

func resourceFieldRef(r *corev1.ResourceFieldSelector, inVolume bool, path *place) field.ErrorList {
	hugePages := strings.HasPrefix(r.Resource, "requests.hugepages-") || strings.HasPrefix(r.Resource, "limits.hugepages-")
	var errs field.ErrorList
	switch {
	case inVolume && r.ContainerName == "":
		errs = append(errs, requiredAt(path.Child("containerName"), ""))
	case r.Resource == "":
		errs = append(errs, requiredAt(path.Child("resource"), ""))
	case !hugePages && !slices.Contains(resourceFields, r.Resource):
		errs = append(errs, notSupportedAt(path.Child("resource"), r.Resource, resourceFields))
	}
	return append(errs, divisor(r, path.Child("divisor"))...)
}

var byteDivisors = []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}

func divisor(r *corev1.ResourceFieldSelector, path *place) field.ErrorList {
	if r.Divisor.Cmp(resource.Quantity{}) == 0 {
		return nil
	}
	allowed, values, what := byteDivisors, strings.Join(byteDivisors, ", "), ""
	switch _, name, _ := strings.Cut(r.Resource, "."); {
	case name == "cpu":
		allowed, values, what = []string{"1m", "1"}, "1m and 1", "cpu"
	case name == "memory":
		what = "memory"
	case name == "ephemeral-storage":
		what = "local ephemeral storage"
	case strings.HasPrefix(name, corev1.ResourceHugePagesPrefix):
		what = "hugepages"
	default:
		return nil
	}
	return when(!slices.Contains(allowed, r.Divisor.String()),
		invalidAt(path, r.Resource, fmt.Sprintf("only divisor's values %s are supported with the %s resource", values, what)))
}
