package admission

import (
	corev1 "k8s.io/api/core/v1"
)

// isMirror says whether a pod only shows a static pod, which its kubelet runs from a file.
func isMirror(p *corev1.Pod) bool {
	_, ok := p.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

// secretsOf lists the secrets that a pod names.
func secretsOf(p *corev1.Pod) []string {
	var names []string
	for _, s := range p.Spec.ImagePullSecrets {
		names = append(names, s.Name)
	}
	for _, v := range p.Spec.Volumes {
		if v.Secret != nil {
			names = append(names, v.Secret.SecretName)
		}
		if v.Projected != nil {
			for _, s := range v.Projected.Sources {
				if s.Secret != nil {
					names = append(names, s.Secret.Name)
				}
			}
		}
	}
	for _, cs := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range cs {
			names = append(names, envSecrets(&cs[i])...)
		}
	}
	return names
}

func envSecrets(c *corev1.Container) []string {
	var names []string
	for _, e := range c.EnvFrom {
		if e.SecretRef != nil {
			names = append(names, e.SecretRef.Name)
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			names = append(names, e.ValueFrom.SecretKeyRef.Name)
		}
	}
	return names
}

// needsAPI returns the first kind of object, besides secrets, that a pod names in a volume or its environment, or "".
func needsAPI(p *corev1.Pod) string {
	kinds := map[string]bool{}
	for _, v := range p.Spec.Volumes {
		kinds["configmaps"] = kinds["configmaps"] || v.ConfigMap != nil
		kinds["persistentvolumeclaims"] = kinds["persistentvolumeclaims"] || v.PersistentVolumeClaim != nil
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			kinds["configmaps"] = kinds["configmaps"] || s.ConfigMap != nil
			kinds["clustertrustbundles"] = kinds["clustertrustbundles"] || s.ClusterTrustBundle != nil
		}
	}
	for _, cs := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range cs {
			kinds["configmaps"] = kinds["configmaps"] || envConfigMap(&cs[i])
		}
	}
	for _, kind := range []string{"configmaps", "clustertrustbundles", "persistentvolumeclaims"} {
		if kinds[kind] {
			return kind
		}
	}
	return ""
}

func envConfigMap(c *corev1.Container) bool {
	for _, e := range c.EnvFrom {
		if e.ConfigMapRef != nil {
			return true
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
			return true
		}
	}
	return false
}
