package apiserver

import (
	"bonsai/pkg/apiserver/admission"
	"bonsai/pkg/resource"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// attributes describe a request to admission.
func (s *Server) attributes(c *call, t *target, op admission.Operation, sub string, next, old runtime.Object, o writeOptions) *admission.Attributes {
	a := &admission.Attributes{
		Operation: op, Verb: c.t.verb, Row: t.row, Version: t.ver, Subresource: sub, Namespace: t.namespace, Name: t.name, PathName: t.name,
		Object: next, Old: old, Options: admissionOptions(o.options, op), User: c.user, DryRun: o.dryRun, To: listener{c},
	}
	if t.resource == "namespaces" && t.group == "" {
		a.Namespace = t.name // a namespace is, to admission, in itself
	}
	if sub == "scale" && t.row.Scale != nil {
		a.Lens = scaleLens(t.row)
	}
	return a
}

// scaleLens shows an object as its Scale, of which the number of replicas can be changed.
func scaleLens(row *resource.Row) *admission.Lens {
	return &admission.Lens{
		Kind: scaleGVK,
		Show: func(obj runtime.Object) runtime.Object {
			scale := scaleOf(row, obj.(resource.Object))
			scale.SetGroupVersionKind(scaleGVK)
			return scale
		},
		Take: func(shown, into runtime.Object) {
			row.Scale.Set(into.(resource.Object), shown.(*autoscalingv1.Scale).Spec.Replicas)
		},
	}
}

// admissionOptions are the options with their kind. A patch is, to admission, the create or the update that it comes to.
func admissionOptions(o runtime.Object, op admission.Operation) runtime.Object {
	kind := "UpdateOptions"
	switch o := o.(type) {
	case nil:
		return nil
	case *metav1.CreateOptions:
		kind = "CreateOptions"
	case *metav1.DeleteOptions:
		kind = "DeleteOptions"
	case *metav1.PatchOptions:
		if op == admission.Create {
			return admissionOptions(&metav1.CreateOptions{DryRun: o.DryRun, FieldManager: o.FieldManager, FieldValidation: o.FieldValidation}, op)
		}
		return admissionOptions(&metav1.UpdateOptions{DryRun: o.DryRun, FieldManager: o.FieldManager, FieldValidation: o.FieldValidation}, op)
	}
	o.GetObjectKind().SetGroupVersionKind(metav1.SchemeGroupVersion.WithKind(kind))
	return o
}
