package admission

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// enforceSecrets is the annotation by which an account lets its pods name no other secrets than it does itself.
const enforceSecrets = "kubernetes.io/enforce-mountable-secrets"

// secretsBeyond names the first secret of a pod that its account does not name, or returns "".
func secretsBeyond(sa *corev1.ServiceAccount, pod *corev1.Pod) string {
	for _, v := range pod.Spec.Volumes {
		if v.Secret != nil && !mountable(sa, v.Secret.SecretName) {
			return fmt.Sprintf("volume with secret.secretName=%q is not allowed because service account %s does not reference that secret", v.Secret.SecretName, sa.Name)
		}
	}
	if what := secretsOfContainers(sa, environments("init container", pod.Spec.InitContainers)); what != "" {
		return what
	}
	if what := secretsOfContainers(sa, environments("container", pod.Spec.Containers)); what != "" {
		return what
	}
	for i, s := range pod.Spec.ImagePullSecrets {
		if !slices.Contains(sa.ImagePullSecrets, s) {
			return fmt.Sprintf("imagePullSecrets[%d].name=%q is not allowed because service account %s does not reference that imagePullSecret", i, s.Name, sa.Name)
		}
	}
	return ""
}

func mountable(sa *corev1.ServiceAccount, secret string) bool {
	return slices.ContainsFunc(sa.Secrets, func(r corev1.ObjectReference) bool { return r.Name == secret })
}

// environment is what a container's environment comes from, and what the container is called in messages.
type environment struct {
	of   string
	env  []corev1.EnvVar
	from []corev1.EnvFromSource
}

func environments(what string, cs []corev1.Container) (out []environment) {
	for _, c := range cs {
		out = append(out, environment{what + " " + c.Name, c.Env, c.EnvFrom})
	}
	return out
}

func debugContainers(pod *corev1.Pod) (out []environment) {
	for _, c := range pod.Spec.EphemeralContainers {
		out = append(out, environment{"ephemeral container " + c.Name, c.Env, c.EnvFrom})
	}
	return out
}

func secretsOfContainers(sa *corev1.ServiceAccount, all []environment) string {
	for _, c := range all {
		for _, e := range c.env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && !mountable(sa, e.ValueFrom.SecretKeyRef.Name) {
				return fmt.Sprintf("%s with envVar %s referencing secret.secretName=%q is not allowed because service account %s does not reference that secret",
					c.of, e.Name, e.ValueFrom.SecretKeyRef.Name, sa.Name)
			}
		}
		for _, f := range c.from {
			if f.SecretRef != nil && !mountable(sa, f.SecretRef.Name) {
				return fmt.Sprintf("%s with envFrom referencing secret.secretName=%q is not allowed because service account %s does not reference that secret",
					c.of, f.SecretRef.Name, sa.Name)
			}
		}
	}
	return ""
}
