package node

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// container returns the one that is meant: the one named, or the only one.
func container(p *corev1.Pod, name string) (string, error) {
	names, inits := containerNames(p.Spec.Containers), containerNames(p.Spec.InitContainers)
	if name != "" {
		if !slices.Contains(slices.Concat(names, inits, ephemeralNames(p)), name) {
			return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, p.Name))
		}
		return name, nil
	}
	switch len(names) {
	case 1:
		return names[0], nil
	case 0:
		return "", apierrors.NewBadRequest("a container name must be specified for pod " + p.Name)
	}
	all := slices.Concat(inits, names, ephemeralNames(p))
	return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %s", p.Name, all))
}

func ephemeralNames(p *corev1.Pod) []string {
	var names []string
	for _, c := range p.Spec.EphemeralContainers {
		names = append(names, c.Name)
	}
	return names
}

func containerNames(cs []corev1.Container) []string {
	var names []string
	for i := range cs {
		names = append(names, cs[i].Name)
	}
	return names
}

// bound refuses pods that have no node yet.
func bound(p *corev1.Pod) error {
	if p.Spec.NodeName == "" {
		return apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", p.Name))
	}
	return nil
}
