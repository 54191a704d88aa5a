package objects

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

// refs returns all that a pod's spec refers to.
func refs(pod *corev1.Pod) sets.Set[key] {
	out := refSet{sets.New[key](), pod.Namespace}
	for _, s := range pod.Spec.ImagePullSecrets {
		out.add("secret", s.Name)
	}
	for i := range pod.Spec.InitContainers {
		out.container(&pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		out.container(&pod.Spec.Containers[i])
	}
	for i := range pod.Spec.EphemeralContainers {
		c := corev1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		out.container(&c)
	}
	for i := range pod.Spec.Volumes {
		out.volume(&pod.Spec.Volumes[i])
	}
	return out.keys
}

type refSet struct {
	keys      sets.Set[key]
	namespace string
}

func (s refSet) add(kind, name string) {
	if name != "" {
		s.keys.Insert(key{kind, s.namespace, name})
	}
}

func (s refSet) container(c *corev1.Container) {
	for _, e := range c.EnvFrom {
		if e.ConfigMapRef != nil {
			s.add("configmap", e.ConfigMapRef.Name)
		}
		if e.SecretRef != nil {
			s.add("secret", e.SecretRef.Name)
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
			s.add("configmap", e.ValueFrom.ConfigMapKeyRef.Name)
		}
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			s.add("secret", e.ValueFrom.SecretKeyRef.Name)
		}
	}
}

func (s refSet) volume(v *corev1.Volume) {
	if v.ConfigMap != nil {
		s.add("configmap", v.ConfigMap.Name)
	}
	if v.Secret != nil {
		s.add("secret", v.Secret.SecretName)
	}
	if v.Projected == nil {
		return
	}
	for _, p := range v.Projected.Sources {
		if p.ConfigMap != nil {
			s.add("configmap", p.ConfigMap.Name)
		}
		if p.Secret != nil {
			s.add("secret", p.Secret.Name)
		}
	}
}
