package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// AlwaysPullImages makes every container pull its image, so that nobody runs a private image only because it is on the node already.
// It is off unless somebody asks for it.
type AlwaysPullImages struct{}

// Name is upstream's.
func (AlwaysPullImages) Name() string { return "AlwaysPullImages" }

// Admit sets the pull policies.
func (p AlwaysPullImages) Admit(_ context.Context, a *Attributes) error {
	pod, err := p.pod(a)
	if pod == nil || err != nil {
		return err
	}
	eachPull(pod, func(policy *corev1.PullPolicy, _ *field.Path) { *policy = corev1.PullAlways })
	return nil
}

// Validate refuses what others have changed since.
func (p AlwaysPullImages) Validate(_ context.Context, a *Attributes) error {
	pod, err := p.pod(a)
	if pod == nil || err != nil {
		return err
	}
	var all []error
	eachPull(pod, func(policy *corev1.PullPolicy, at *field.Path) {
		if *policy != corev1.PullAlways {
			all = append(all, a.forbidden("%w", field.NotSupported(at, *policy, []corev1.PullPolicy{corev1.PullAlways})))
		}
	})
	return utilerrors.NewAggregate(all)
}

// pod is that of a request that brings new images; nil for others.
func (p AlwaysPullImages) pod(a *Attributes) (*corev1.Pod, error) {
	if !a.writes("pods") {
		return nil, nil
	}
	pod, ok := a.Object.(*corev1.Pod)
	if !ok {
		return nil, a.wrongType(p.Name())
	}
	if a.Operation == Create {
		return pod, nil
	}
	old, ok := a.Old.(*corev1.Pod)
	if !ok {
		return nil, a.wrongType(p.Name())
	}
	had, fresh := images(old), false
	for image := range images(pod) {
		fresh = fresh || !had[image]
	}
	if !fresh {
		return nil, nil
	}
	return pod, nil
}

func images(p *corev1.Pod) map[string]bool {
	out := map[string]bool{}
	eachContainer(p, func(c *corev1.Container, _ *field.Path) { out[c.Image] = true })
	return out
}

// eachContainer visits the containers of all three kinds.
func eachContainer(p *corev1.Pod, visit func(*corev1.Container, *field.Path)) {
	spec := field.NewPath("spec")
	for i := range p.Spec.InitContainers {
		visit(&p.Spec.InitContainers[i], spec.Child("initContainers").Index(i))
	}
	for i := range p.Spec.Containers {
		visit(&p.Spec.Containers[i], spec.Child("containers").Index(i))
	}
	for i := range p.Spec.EphemeralContainers {
		visit((*corev1.Container)(&p.Spec.EphemeralContainers[i].EphemeralContainerCommon), spec.Child("ephemeralContainers").Index(i))
	}
}

// eachPull visits the pull policies of containers and of volumes that are images.
func eachPull(p *corev1.Pod, visit func(*corev1.PullPolicy, *field.Path)) {
	eachContainer(p, func(c *corev1.Container, at *field.Path) { visit(&c.ImagePullPolicy, at.Child("imagePullPolicy")) })
	for i := range p.Spec.Volumes {
		if v := p.Spec.Volumes[i].Image; v != nil {
			visit(&v.PullPolicy, field.NewPath("spec", "volumes").Index(i).Child("image", "pullPolicy"))
		}
	}
}
