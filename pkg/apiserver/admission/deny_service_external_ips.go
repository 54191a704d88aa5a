package admission

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// DenyServiceExternalIPs refuses services with external IPs, by which who may make services draws the traffic of others to himself. Those
// that a service has had may stay. It is off unless somebody asks for it.
type DenyServiceExternalIPs struct{}

// Name is upstream's.
func (DenyServiceExternalIPs) Name() string { return "DenyServiceExternalIPs" }

// Admit does nothing.
func (DenyServiceExternalIPs) Admit(context.Context, *Attributes) error { return nil }

// Validate refuses.
func (p DenyServiceExternalIPs) Validate(_ context.Context, a *Attributes) error {
	if !a.writes("services") {
		return nil
	}
	next, ok := a.Object.(*corev1.Service)
	if !ok {
		return a.wrongType(p.Name())
	}
	old, _ := a.Old.(*corev1.Service) // nil on create
	for _, ip := range next.Spec.ExternalIPs {
		if old == nil || !slices.Contains(old.Spec.ExternalIPs, ip) {
			return a.Forbid("Use of external IPs is denied by admission control.")
		}
	}
	return nil
}
