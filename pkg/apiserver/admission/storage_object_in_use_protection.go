package admission

import (
	"context"
	"slices"

	"bonsai/pkg/resource"
)

// protections are the finalizers that keep storage from being deleted while something uses it. Controllers take them away.
var protections = map[string]string{
	"persistentvolumeclaims":                 "kubernetes.io/pvc-protection",
	"persistentvolumes":                      "kubernetes.io/pv-protection",
	"volumeattributesclasses.storage.k8s.io": "kubernetes.io/vac-protection",
}

// StorageObjectInUseProtection gives new claims, volumes and volume attributes classes the finalizer that protects them.
type StorageObjectInUseProtection struct{}

// Name is upstream's.
func (StorageObjectInUseProtection) Name() string { return "StorageObjectInUseProtection" }

// Admit adds the finalizer.
func (p StorageObjectInUseProtection) Admit(_ context.Context, a *Attributes) error {
	if a.Operation != Create || a.Subresource != "" {
		return nil
	}
	finalizer, ok := protections[a.resource().String()]
	if !ok {
		return nil
	}
	o, ok := a.Object.(resource.Object)
	if !ok {
		return a.wrongType(p.Name())
	}
	if !slices.Contains(o.GetFinalizers(), finalizer) {
		o.SetFinalizers(append(o.GetFinalizers(), finalizer))
	}
	return nil
}

// Validate does nothing.
func (StorageObjectInUseProtection) Validate(context.Context, *Attributes) error { return nil }
