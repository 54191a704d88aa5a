package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/auth"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ResourceClaimStatusAuthorization tells apart who writes which part of a claim's status. The right to write the status alone would make
// every device driver, of which there is one on each node, a scheduler of devices, and each driver a spokesman for the others. So who
// allocates or reserves a claim has to have the right to do the same to resourceclaims/binding, and who tells how a device does, to the
// resourceclaims/driver of its driver's name: by the verb arbitrary-node:update (or :patch), or associated-node:update if it is a
// service account whose token belongs to the one node that the claim is allocated on. There are no such subresources; they only name rights.
type ResourceClaimStatusAuthorization struct{ authz auth.Authorizer }

// Name is ours: upstream asks this where it validates claims.
func (ResourceClaimStatusAuthorization) Name() string { return "ResourceClaimStatusAuthorization" }

// Admit does nothing.
func (ResourceClaimStatusAuthorization) Admit(context.Context, *Attributes) error { return nil }

// Validate does nothing.
func (ResourceClaimStatusAuthorization) Validate(context.Context, *Attributes) error { return nil }

// Find asks for the rights that a change of a claim's status takes.
func (p ResourceClaimStatusAuthorization) Find(ctx context.Context, a *Attributes) field.ErrorList {
	if a.Operation != Update || p.authz == nil || !a.is("resourceclaims.resource.k8s.io/status") {
		return nil
	}
	next, old, err := changeOf[*resourcev1.ResourceClaim](a, p.Name())
	if err != nil {
		return field.ErrorList{field.InternalError(field.NewPath("status"), err)}
	}
	errs := p.mayBind(ctx, a, &next.Status, &old.Status)
	if next.Status.Allocation == nil {
		return errs // devices are not told of then
	}
	return append(errs, p.maySpeak(ctx, a, &next.Status, &old.Status)...)
}

func (p ResourceClaimStatusAuthorization) mayBind(ctx context.Context, a *Attributes, next, old *resourcev1.ResourceClaimStatus) field.ErrorList {
	if equality.Semantic.DeepEqual(next.Allocation, old.Allocation) && equality.Semantic.DeepEqual(next.ReservedFor, old.ReservedFor) {
		return nil
	}
	r := claimRight(a, a.Verb, resourcev1.SubresourceBinding)
	r.Namespace = "" // who binds claims, binds those of all namespaces
	if err := p.allowed(ctx, r); err != nil {
		return field.ErrorList{field.Forbidden(field.NewPath("status", "allocation"), fmt.Sprintf(
			`changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="%s" permission: %s`, a.Verb, err))}
	}
	return nil
}

func (p ResourceClaimStatusAuthorization) maySpeak(ctx context.Context, a *Attributes, next, old *resourcev1.ResourceClaimStatus) field.ErrorList {
	verbs := []string{resourcev1.VerbPrefixArbitraryNode + a.Verb}
	if isOn(a.User, allocatedNode(next.Allocation)) {
		verbs = []string{resourcev1.VerbPrefixAssociatedNode + a.Verb, verbs[0]}
	}
	var errs field.ErrorList
	for _, driver := range changedDrivers(next.Devices, old.Devices) {
		if err := p.anyAllowed(ctx, a, verbs, driver); err != nil {
			errs = append(errs, field.Forbidden(field.NewPath("status", "devices"), fmt.Sprintf(
				`changing status.devices requires resource="resourceclaims/driver", verb="%s" permission: %s`, verbs, err)))
		}
	}
	return errs
}

// anyAllowed asks for one verb after the other, and says why the first is not allowed if none is.
func (p ResourceClaimStatusAuthorization) anyAllowed(ctx context.Context, a *Attributes, verbs []string, driver string) error {
	var first error
	for _, verb := range verbs {
		r := claimRight(a, verb, resourcev1.SubresourceDriver)
		r.Name = driver
		err := p.allowed(ctx, r)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (p ResourceClaimStatusAuthorization) allowed(ctx context.Context, r auth.Request) error {
	d, reason, err := p.authz.Authorize(ctx, r)
	if d == auth.Allow {
		return nil // whatever went wrong besides
	}
	if err != nil {
		reason = strings.TrimSuffix(err.Error()+": "+reason, ": ")
	}
	return errors.New(auth.Forbidden(r, reason).Error())
}

func claimRight(a *Attributes, verb, subresource string) auth.Request {
	return auth.Request{User: a.User, Verb: verb, IsResource: true, Group: resourcev1.GroupName, Version: a.Asked().Version,
		Resource: "resourceclaims", Subresource: subresource, Namespace: a.Namespace}
}

// changedDrivers are those of the devices of which something else is told than before, sorted.
func changedDrivers(next, old []resourcev1.AllocatedDeviceStatus) []string {
	type device struct{ driver, pool, name, share string }
	of := func(s resourcev1.AllocatedDeviceStatus) device {
		d := device{driver: s.Driver, pool: s.Pool, name: s.Device}
		if s.ShareID != nil {
			d.share = *s.ShareID
		}
		return d
	}
	was := map[device]resourcev1.AllocatedDeviceStatus{}
	for _, s := range old {
		was[of(s)] = s
	}
	drivers := sets.New[string]()
	for _, s := range next {
		before, ok := was[of(s)]
		if !ok || !equality.Semantic.DeepEqual(before, s) {
			drivers.Insert(s.Driver)
		}
		delete(was, of(s)) // so that of two entries for one device the second counts as new
	}
	for d := range was {
		drivers.Insert(d.driver)
	}
	return sets.List(drivers)
}

// allocatedNode is the one node on which an allocation can be used, "" if it may be another as well.
func allocatedNode(al *resourcev1.AllocationResult) string {
	if al == nil || al.NodeSelector == nil || len(al.NodeSelector.NodeSelectorTerms) != 1 {
		return ""
	}
	term := al.NodeSelector.NodeSelectorTerms[0]
	if len(term.MatchExpressions) != 0 || len(term.MatchFields) != 1 {
		return ""
	}
	f := term.MatchFields[0]
	if f.Key != "metadata.name" || f.Operator != corev1.NodeSelectorOpIn || len(f.Values) != 1 {
		return ""
	}
	return f.Values[0]
}

// isOn tells whether the user is a service account whose token belongs to the node.
func isOn(u auth.User, node string) bool {
	_, _, isAccount := auth.AccountOf(u.Name)
	return isAccount && slices.Equal(u.Extra[auth.NodeNameExtra], []string{node}) && len(validation.NameIsDNSSubdomain(node, false)) == 0
}
