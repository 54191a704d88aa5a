package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// PodTopologyLabels labels a pod with the zone and region of its node when it is bound, so that the pod can be told where it runs.
type PodTopologyLabels struct{ get Getter }

var (
	nodeResource   = schema.GroupResource{Resource: "nodes"}
	topologyLabels = []string{corev1.LabelTopologyZone, corev1.LabelTopologyRegion}
)

// Name is upstream's.
func (PodTopologyLabels) Name() string { return "PodTopologyLabels" }

// Admit adds the labels, to the binding, from which they go over to the pod, or to a pod that is made on a node.
func (p PodTopologyLabels) Admit(ctx context.Context, a *Attributes) error {
	if a.Operation != Create {
		return nil
	}
	switch o := a.Object.(type) {
	case *corev1.Binding:
		if a.is("pods/binding") && o.Target.Kind == "Node" {
			return p.label(ctx, o.Target.Name, &o.Labels)
		}
	case *corev1.Pod:
		if a.is("pods") && o.Spec.NodeName != "" {
			return p.label(ctx, o.Spec.NodeName, &o.Labels)
		}
	}
	return nil
}

// label copies the labels of a node. Of a node that is not there nothing is known, and whoever binds to it learns that elsewhere.
func (p PodTopologyLabels) label(ctx context.Context, name string, labels *map[string]string) error {
	o, err := p.get.Held(ctx, nodeResource, "", name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	node := o.(*corev1.Node)
	for _, key := range topologyLabels {
		value, ok := node.Labels[key]
		if !ok {
			continue
		}
		if *labels == nil {
			*labels = map[string]string{}
		}
		(*labels)[key] = value
	}
	return nil
}

// Validate does nothing.
func (PodTopologyLabels) Validate(context.Context, *Attributes) error { return nil }
