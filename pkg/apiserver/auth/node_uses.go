package auth

import (
	corev1 "k8s.io/api/core/v1"
)

// Uses lists, by resource, the objects of its namespace that a pod names and its kubelet may therefore read.
func Uses(p *corev1.Pod) map[string][]string {
	u := map[string][]string{}
	add := func(resource, name string) {
		if name != "" {
			u[resource] = append(u[resource], name)
		}
	}
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
	if c := p.Status.ExtendedResourceClaimStatus; c != nil {
		add("resourceclaims", c.ResourceClaimName)
	}
	return u
}

func envUses(from []corev1.EnvFromSource, env []corev1.EnvVar, add func(resource, name string)) {
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

func volumeUses(p *corev1.Pod, v *corev1.Volume, add func(resource, name string)) {
	switch {
	case v.Secret != nil:
		add("secrets", v.Secret.SecretName)
	case v.ConfigMap != nil:
		add("configmaps", v.ConfigMap.Name)
	case v.PersistentVolumeClaim != nil:
		add("persistentvolumeclaims", v.PersistentVolumeClaim.ClaimName)
	case v.Ephemeral != nil:
		add("persistentvolumeclaims", p.Name+"-"+v.Name)
	case v.AzureFile != nil:
		add("secrets", v.AzureFile.SecretName)
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
	if ref := secretRef(&v.VolumeSource); ref != nil {
		add("secrets", ref.Name)
	}
}

// secretRef is the secret by which a volume is mounted, for those kinds of volumes that may have one.
func secretRef(v *corev1.VolumeSource) *corev1.LocalObjectReference {
	switch {
	case v.CSI != nil:
		return v.CSI.NodePublishSecretRef
	case v.CephFS != nil:
		return v.CephFS.SecretRef
	case v.Cinder != nil:
		return v.Cinder.SecretRef
	case v.FlexVolume != nil:
		return v.FlexVolume.SecretRef
	case v.RBD != nil:
		return v.RBD.SecretRef
	case v.ScaleIO != nil:
		return v.ScaleIO.SecretRef
	case v.ISCSI != nil:
		return v.ISCSI.SecretRef
	case v.StorageOS != nil:
		return v.StorageOS.SecretRef
	}
	return nil
}
