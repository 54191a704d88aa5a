package admission

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var storageClasses = schema.GroupResource{Group: storagev1.GroupName, Resource: "storageclasses"}

// DefaultStorageClass gives a new claim that names no class the default one, if there is one.
type DefaultStorageClass struct {
	classes func(context.Context) ([]*storagev1.StorageClass, error)
}

func newDefaultStorageClass(d Deps) DefaultStorageClass {
	return DefaultStorageClass{everywhere[*storagev1.StorageClass](d, storageClasses)}
}

// Name is upstream's.
func (DefaultStorageClass) Name() string { return "DefaultStorageClass" }

// Admit sets the class. A claim that asks for no class, by the empty name, has named one.
func (p DefaultStorageClass) Admit(ctx context.Context, a *Attributes) error {
	if !a.is("persistentvolumeclaims") || a.Operation != Create {
		return nil
	}
	claim, ok := a.Object.(*corev1.PersistentVolumeClaim)
	if !ok {
		return a.wrongType(p.Name())
	}
	if _, older := claim.Annotations[corev1.BetaStorageClassAnnotation]; older || claim.Spec.StorageClassName != nil {
		return nil
	}
	classes, err := p.classes(ctx)
	if err != nil {
		return a.forbidden("%w", err)
	}
	if c := newestDefault(classes, "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"); c != nil {
		claim.Spec.StorageClassName = &c.Name
	}
	return nil
}

// newestDefault returns the class that an annotation makes the default; of several the one that was made last, of those the first
// by its name. It is the zero value if there is none. The classes are in the order of their names.
func newestDefault[T metav1.Object](classes []T, annotations ...string) (newest T) {
	found := false
	for _, c := range classes {
		isDefault := false
		for _, name := range annotations {
			isDefault = isDefault || c.GetAnnotations()[name] == "true"
		}
		if isDefault && (!found || c.GetCreationTimestamp().After(newest.GetCreationTimestamp().Time)) {
			newest, found = c, true
		}
	}
	return newest
}

// Validate does nothing.
func (DefaultStorageClass) Validate(context.Context, *Attributes) error { return nil }
