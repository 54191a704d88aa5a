package resource

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Some annotations of pods mean something to the cluster: those that were fields to be, and became fields.

const tolerationsAnnotation = "scheduler.alpha.kubernetes.io/tolerations"

func validatePodAnnotations(annotations map[string]string, s *corev1.PodSpec, path *place) field.ErrorList {
	var errs field.ErrorList
	if v, mirror := annotations[corev1.MirrorPodAnnotationKey]; mirror && s.NodeName == "" {
		errs = append(errs, invalidAt(path.Key(corev1.MirrorPodAnnotationKey), v, "must set spec.nodeName if mirror pod annotation is set"))
	}
	if v := annotations[tolerationsAnnotation]; v != "" {
		errs = append(errs, annotatedTolerations(v, path)...)
	}
	if v, ok := annotations[corev1.PodDeletionCost]; ok && !isDeletionCost(v) {
		errs = append(errs, invalidAt(path.Key(corev1.PodDeletionCost), v, "must be a 32bit integer"))
	}
	for k, v := range sorted(annotations) {
		errs = join(errs, seccompAnnotation(k, v, path), appArmorAnnotation(k, v, s, path))
	}
	return errs
}

func annotatedTolerations(v string, path *place) field.ErrorList {
	var tolerations []corev1.Toleration
	if err := json.Unmarshal([]byte(v), &tolerations); err != nil {
		return field.ErrorList{invalidAt(path, tolerationsAnnotation, err.Error())}
	}
	return validateTolerations(tolerations, path.Child(tolerationsAnnotation))
}

// isDeletionCost wants the one way to write a number: no plus sign, no leading zeros, no minus zero.
func isDeletionCost(v string) bool {
	n, err := strconv.ParseInt(v, 10, 32)
	return err == nil && strconv.FormatInt(n, 10) == v
}

func seccompAnnotation(k, v string, path *place) field.ErrorList {
	if k != corev1.SeccompPodAnnotationKey && !strings.HasPrefix(k, corev1.SeccompContainerAnnotationKeyPrefix) {
		return nil
	}
	switch v {
	case corev1.SeccompProfileRuntimeDefault, corev1.DeprecatedSeccompProfileDockerDefault, corev1.SeccompProfileNameUnconfined:
		return nil
	}
	if local, ok := strings.CutPrefix(v, corev1.SeccompLocalhostProfileNamePrefix); ok {
		return descendingPath(local, path.Child(k))
	}
	return field.ErrorList{invalidAt(path.Child(k), v, "must be a valid seccomp profile")}
}

func appArmorAnnotation(k, v string, s *corev1.PodSpec, path *place) field.ErrorList {
	name, ok := strings.CutPrefix(k, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
	if !ok {
		return nil
	}
	found := false
	eachContainer(s, func(c *corev1.Container) { found = found || c.Name == name })
	known := v == "" || v == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault || v == corev1.DeprecatedAppArmorBetaProfileNameUnconfined ||
		strings.HasPrefix(v, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
	return join(
		when(!found, invalidAt(path.Key(k), name, "container not found")),
		when(!known, invalidAt(path.Key(k), v, fmt.Sprintf("invalid AppArmor profile name: %q", v))))
}

// containerAnnotation is what the annotation that ends with the container's name says.
func containerAnnotation(annotations map[string]string, prefix string, c *corev1.Container) (value string, ok bool) {
	for k, v := range annotations {
		if name, has := strings.CutPrefix(k, prefix); has && name == c.Name {
			return v, true
		}
	}
	return "", false
}

// annotatedAppArmor is the field that an annotation stands for, or nil.
func annotatedAppArmor(v string) *corev1.AppArmorProfile {
	switch v {
	case corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	case corev1.DeprecatedAppArmorBetaProfileRuntimeDefault:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	}
	if local, ok := strings.CutPrefix(v, corev1.DeprecatedAppArmorBetaProfileNamePrefix); ok && local != "" {
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &local}
	}
	return nil
}

// takeAppArmorAnnotations moves what the annotations say into the fields, unless the fields have something to say.
func takeAppArmorAnnotations(p *corev1.Pod) {
	if p.Spec.OS != nil && p.Spec.OS.Name == corev1.Windows {
		return
	}
	eachContainer(&p.Spec, func(c *corev1.Container) {
		v, ok := containerAnnotation(p.Annotations, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix, c)
		if !ok {
			return
		}
		profile := annotatedAppArmor(v)
		ofPod := p.Spec.SecurityContext != nil && same(profile, p.Spec.SecurityContext.AppArmorProfile)
		ofContainer := c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil
		if profile == nil || ofPod || ofContainer || len(appArmorProfile(profile, nil)) > 0 {
			return
		}
		if c.SecurityContext == nil {
			c.SecurityContext = &corev1.SecurityContext{}
		}
		c.SecurityContext.AppArmorProfile = profile
	})
}

// seccompProfilesMatch wants the profiles in annotations and fields to say the same, where both do.
func seccompProfilesMatch(annotations map[string]string, s *corev1.PodSpec, path *place) field.ErrorList {
	var errs field.ErrorList
	if v, ok := annotations[corev1.SeccompPodAnnotationKey]; ok && s.SecurityContext != nil {
		errs = seccompMatches(v, s.SecurityContext.SeccompProfile, path.Child("securityContext", "seccompProfile"))
	}
	eachContainerAt(s, path, func(c *corev1.Container, path *place) {
		if v, ok := containerAnnotation(annotations, corev1.SeccompContainerAnnotationKeyPrefix, c); ok && c.SecurityContext != nil {
			errs = append(errs, seccompMatches(v, c.SecurityContext.SeccompProfile, path.Child("securityContext", "seccompProfile"))...)
		}
	})
	return errs
}

// appArmorProfilesMatch is the same for AppArmor, where a container without a profile has that of the pod.
func appArmorProfilesMatch(annotations map[string]string, s *corev1.PodSpec, path *place) field.ErrorList {
	if s.OS != nil && s.OS.Name == corev1.Windows {
		return nil
	}
	var ofPod *corev1.AppArmorProfile
	if s.SecurityContext != nil {
		ofPod = s.SecurityContext.AppArmorProfile
	}
	var errs field.ErrorList
	eachContainerAt(s, path, func(c *corev1.Container, path *place) {
		profile := ofPod
		if c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
			profile = c.SecurityContext.AppArmorProfile
		}
		if v, ok := containerAnnotation(annotations, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix, c); ok && profile != nil {
			errs = append(errs, appArmorMatches(v, profile, path.Child("securityContext", "appArmorProfile"))...)
		}
	})
	return errs
}

func seccompMatches(v string, p *corev1.SeccompProfile, path *place) field.ErrorList {
	if p == nil {
		return nil
	}
	matches := true
	switch p.Type {
	case corev1.SeccompProfileTypeUnconfined:
		matches = v == corev1.SeccompProfileNameUnconfined
	case corev1.SeccompProfileTypeRuntimeDefault:
		matches = v == corev1.SeccompProfileRuntimeDefault || v == corev1.DeprecatedSeccompProfileDockerDefault
	case corev1.SeccompProfileTypeLocalhost:
		local, ok := strings.CutPrefix(v, corev1.SeccompLocalhostProfileNamePrefix)
		if matches = ok; ok && (p.LocalhostProfile == nil || local != *p.LocalhostProfile) {
			return field.ErrorList{forbiddenAt(path.Child("localhostProfile"), "seccomp profile in annotation and field must match")}
		}
	}
	return when(!matches, forbiddenAt(path.Child("type"), "seccomp type in annotation and field must match"))
}

func appArmorMatches(v string, p *corev1.AppArmorProfile, path *place) field.ErrorList {
	matches := true
	switch p.Type {
	case corev1.AppArmorProfileTypeUnconfined:
		matches = v == corev1.DeprecatedAppArmorBetaProfileNameUnconfined
	case corev1.AppArmorProfileTypeRuntimeDefault:
		matches = v == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault
	case corev1.AppArmorProfileTypeLocalhost:
		local, ok := strings.CutPrefix(v, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
		if matches = ok; ok && (p.LocalhostProfile == nil || local != *p.LocalhostProfile) {
			return field.ErrorList{forbiddenAt(path.Child("localhostProfile"), "apparmor profile in annotation and field must match")}
		}
	}
	return when(!matches, forbiddenAt(path.Child("type"), "apparmor type in annotation and field must match"))
}
