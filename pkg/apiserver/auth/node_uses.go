package auth

import (
	corev1 "k8s.io/api/core/v1"
)

// Uses lists, by resource, the objects of its namespace that a pod names and its kubelet may therefore read.
func Uses(p *corev1.Pod) map[string][]string {
	u := map[string][]string{}
	add := func(resource string, names ...string) { u[resource] = append(u[resource], names...) }
	if p.Spec.ServiceAccountName != "" {
		add("serviceaccounts", p.Spec.ServiceAccountName)
	}
	for _, s := range p.Spec.ImagePullSecrets {
		add("secrets", s.Name)
	}
	for i := range p.Spec.Volumes {
		volumeUses(p, &p.Spec.Volumes[i], add)
	}
	for _, c := range p.Spec.InitContainers {
		envUses(c.EnvFrom, c.Env, add)
	}
	for _, c := range p.Spec.Containers {
		envUses(c.EnvFrom, c.Env, add)
	}
	for _, c := range p.Spec.EphemeralContainers {
		envUses(c.EnvFrom, c.Env, add)
	}
	for _, c := range p.Status.ResourceClaimStatuses {
		if c.ResourceClaimName != nil {
			add("resourceclaims", *c.ResourceClaimName)
		}
	}
	for _, c := range p.Spec.ResourceClaims {
		if c.ResourceClaimName != nil {
			add("resourceclaims", *c.ResourceClaimName)
		}
	}
	return u
}

func envUses(from []corev1.EnvFromSource, env []corev1.EnvVar, add func(string, ...string)) {
	for _, f := range from {
		if f.SecretRef != nil {
			add("secrets", f.SecretRef.Name)
		}
		if f.ConfigMapRef != nil {
			add("configmaps", f.ConfigMapRef.Name)
		}
	}
	for _, e := range env {
		if e.ValueFrom == nil {
			continue
		}
		if s := e.ValueFrom.SecretKeyRef; s != nil {
			add("secrets", s.Name)
		}
		if c := e.ValueFrom.ConfigMapKeyRef; c != nil {
			add("configmaps", c.Name)
		}
	}
}

func volumeUses(p *corev1.Pod, v *corev1.Volume, add func(string, ...string)) {
	switch {
	case v.Secret != nil:
		add("secrets", v.Secret.SecretName)
	case v.ConfigMap != nil:
		add("configmaps", v.ConfigMap.Name)
	case v.PersistentVolumeClaim != nil:
		add("persistentvolumeclaims", v.PersistentVolumeClaim.ClaimName)
	case v.Ephemeral != nil:
		add("persistentvolumeclaims", p.Name+"-"+v.Name)
	case v.CSI != nil && v.CSI.NodePublishSecretRef != nil:
		add("secrets", v.CSI.NodePublishSecretRef.Name)
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			if s.Secret != nil {
				add("secrets", s.Secret.Name)
			}
			if s.ConfigMap != nil {
				add("configmaps", s.ConfigMap.Name)
			}
		}
	}
}
