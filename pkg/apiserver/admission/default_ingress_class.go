package admission

import (
	"context"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ingressClassAnnotation is how the class was named before there was a field.
const ingressClassAnnotation = "kubernetes.io/ingress.class"

// DefaultIngressClass gives a new Ingress that names no class the default one, if there is one.
type DefaultIngressClass struct {
	classes func(context.Context) ([]*networkingv1.IngressClass, error)
}

func newDefaultIngressClass(d Deps) DefaultIngressClass {
	return DefaultIngressClass{everywhere[*networkingv1.IngressClass](d, schema.GroupResource{Group: networkingv1.GroupName, Resource: "ingressclasses"})}
}

// Name is upstream's.
func (DefaultIngressClass) Name() string { return "DefaultIngressClass" }

// Admit sets the class.
func (p DefaultIngressClass) Admit(ctx context.Context, a *Attributes) error {
	if !a.is("ingresses.networking.k8s.io") || a.Operation != Create {
		return nil
	}
	ingress, ok := a.Object.(*networkingv1.Ingress)
	if !ok {
		return a.wrongType(p.Name())
	}
	if _, older := ingress.Annotations[ingressClassAnnotation]; older || ingress.Spec.IngressClassName != nil {
		return nil
	}
	classes, err := p.classes(ctx)
	if err != nil {
		return a.forbidden("%w", err)
	}
	if c := newestDefault(classes, networkingv1.AnnotationIsDefaultIngressClass); c != nil {
		ingress.Spec.IngressClassName = &c.Name
	}
	return nil
}

// Validate does nothing.
func (DefaultIngressClass) Validate(context.Context, *Attributes) error { return nil }
