package admission

import (
	"context"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/auth"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// NodeRestriction is the half of the node authorizer that needs to see the object: a kubelet writes its own Node and
// Lease, the status of the pods bound to it and mirror pods of its static ones, and asks for tokens of these pods. So
// one node that is broken into does not take the others with it.
type NodeRestriction struct {
	get   Getter
	authz auth.Authorizer
}

// Name is upstream's.
func (NodeRestriction) Name() string { return "NodeRestriction" }

// Admit refuses, and changes nothing.
func (p NodeRestriction) Admit(ctx context.Context, a *Attributes) error {
	node, ok := auth.NodeName(a.User)
	if !ok || a.Operation == Connect {
		return nil
	}
	if node == "" {
		return a.forbidden("could not determine node from user %q", a.User.Name)
	}
	switch {
	case a.is("pods"):
		return p.pod(ctx, a, node)
	case a.is("pods/status"):
		return podStatus(a, node)
	case a.is("pods/eviction"):
		return p.eviction(ctx, a, node)
	case a.isAny("pods"):
		return a.forbidden("unexpected pod subresource %q, only 'status' and 'eviction' are allowed", a.Subresource)
	case a.is("persistentvolumeclaims/status"):
		return claimStatus(a, node)
	case a.isAny("persistentvolumeclaims"):
		return a.forbidden("may only update PVC status")
	case a.isAny("podcertificaterequests.certificates.k8s.io"):
		return p.podCertificate(ctx, a, node)
	case a.is("certificatesigningrequests.certificates.k8s.io"):
		return ownCertificate(a, node)
	case a.isAny("nodes"):
		return ownNode(a, node)
	case a.is("serviceaccounts/token"):
		return p.token(ctx, a, node)
	case a.is("leases.coordination.k8s.io"):
		return lease(a, node)
	case a.is("resourceslices.resource.k8s.io"):
		return ownSlice(a, node)
	case a.isAny("csinodes.storage.k8s.io"):
		return ownCSINode(a, node)
	}
	return nil
}

// ownSlice lets a node make slices of its own devices only, and delete no others with them.
func ownSlice(a *Attributes, node string) error {
	obj, verb := a.Object, "create"
	switch a.Operation {
	case Create:
	case Delete:
		obj, verb = a.Old, "delete"
	default:
		return nil // the authorizer knows what there is already
	}
	s, ok := obj.(*resourcev1.ResourceSlice)
	if !ok {
		return a.wrongType("NodeRestriction")
	}
	if s.Spec.NodeName == nil || *s.Spec.NodeName != node {
		return a.forbidden("can only %s ResourceSlice with the same NodeName as the requesting node", verb)
	}
	return nil
}

// Validate does nothing.
func (NodeRestriction) Validate(context.Context, *Attributes) error { return nil }

// pod lets a node show its static pods as mirror pods, and delete pods bound to it.
func (p NodeRestriction) pod(ctx context.Context, a *Attributes, node string) error {
	switch a.Operation {
	case Create:
		return p.mirrorPod(ctx, a, node)
	case Delete:
		bound, err := p.boundTo(ctx, a, a.Name, node)
		if err == nil && !bound {
			err = a.forbidden("node %q can only delete pods with spec.nodeName set to itself", node)
		}
		return err
	}
	return a.forbidden("unexpected operation %q, node %q can only create and delete mirror pods", a.Operation, node)
}

func (p NodeRestriction) mirrorPod(ctx context.Context, a *Attributes, node string) error {
	pod, ok := a.Object.(*corev1.Pod)
	switch {
	case !ok:
		return a.wrongType(p.Name())
	case !isMirror(pod):
		return a.forbidden("pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, node)
	case pod.Spec.NodeName != node:
		return a.forbidden("node %q can only create pods with spec.nodeName set to itself", node)
	}
	if err := p.ownedBy(ctx, a, pod, node); err != nil {
		return err
	}
	what, err := needsAPI(pod)
	switch {
	case err != nil:
		return a.forbidden("error checking mirror pod for API references: %w", err)
	case what != "":
		return a.forbidden("node %q can not create pods that reference %s", node, what)
	}
	return nil
}

// ownedBy holds a mirror pod to be the node's own, so that it goes when the node goes.
func (p NodeRestriction) ownedBy(ctx context.Context, a *Attributes, pod *corev1.Pod, node string) error {
	if len(pod.OwnerReferences) > 1 {
		return a.forbidden("node %q can only create pods with a single owner reference set to itself", node)
	}
	if len(pod.OwnerReferences) == 0 {
		return a.forbidden("node %q can only create pods with an owner reference set to itself", node)
	}
	switch o := pod.OwnerReferences[0]; {
	case o.APIVersion != "v1" || o.Kind != "Node" || o.Name != node:
		return a.forbidden("node %q can only create pods with an owner reference set to itself", node)
	case o.Controller == nil || !*o.Controller:
		return a.forbidden("node %q can only create pods with a controller owner reference set to itself", node)
	case o.BlockOwnerDeletion != nil && *o.BlockOwnerDeletion:
		return a.forbidden("node %q must not set blockOwnerDeletion on an owner reference", node)
	}
	found, err := p.get.Get(ctx, schema.GroupResource{Resource: "nodes"}, "", node)
	if err != nil {
		return err
	}
	if uid := pod.OwnerReferences[0].UID; found.GetUID() != uid {
		return a.forbidden("node %s UID mismatch: expected %s got %s", node, uid, found.GetUID())
	}
	return nil
}

func podStatus(a *Attributes, node string) error {
	if a.Operation != Update {
		return a.forbidden("unexpected operation %q", a.Operation)
	}
	next, old, err := changeOf[*corev1.Pod](a, NodeRestriction{}.Name())
	if err != nil {
		return err
	}
	switch {
	case old.Spec.NodeName != node:
		return a.forbidden("node %q can only update pod status for pods with spec.nodeName set to itself", node)
	case !equality.Semantic.DeepEqual(next.Labels, old.Labels):
		return a.forbidden("node %q cannot update labels through pod status", node)
	case !equality.Semantic.DeepEqual(next.Status.ResourceClaimStatuses, old.Status.ResourceClaimStatuses):
		return a.forbidden("node %q cannot update resource claim statues", node)
	case !equality.Semantic.DeepEqual(next.Status.ExtendedResourceClaimStatus, old.Status.ExtendedResourceClaimStatus):
		return a.forbidden("node %q cannot update extended resource claim status", node)
	case !equality.Semantic.DeepEqual(next.Status.NodeAllocatableResourceClaimStatuses, old.Status.NodeAllocatableResourceClaimStatuses):
		return a.forbidden("node %q cannot update node allocatable resource claim statuses", node)
	}
	return nil
}

func (p NodeRestriction) eviction(ctx context.Context, a *Attributes, node string) error {
	if a.Operation != Create {
		return a.forbidden("unexpected operation %s", a.Operation)
	}
	name := a.Name
	if o, err := meta.Accessor(a.Object); name == "" && err == nil {
		name = o.GetName()
	}
	if name == "" {
		return a.forbidden("could not determine pod from request data")
	}
	bound, err := p.boundTo(ctx, a, name, node)
	if err == nil && !bound {
		err = a.forbidden("node %s can only evict pods with spec.nodeName set to itself", node)
	}
	return err
}

func (p NodeRestriction) boundTo(ctx context.Context, a *Attributes, pod, node string) (bool, error) {
	found, err := p.find(ctx, a, pod)
	return err == nil && found.Spec.NodeName == node, err
}

// find looks for a pod. If there is none, it is missed in the singular, as upstream's caches do.
func (p NodeRestriction) find(ctx context.Context, a *Attributes, pod string) (*corev1.Pod, error) {
	o, err := p.get.Get(ctx, schema.GroupResource{Resource: "pods"}, a.Namespace, pod)
	if apierrors.IsNotFound(err) {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pod"}, pod)
	}
	if err != nil {
		return nil, a.forbidden("%w", err)
	}
	found, ok := o.(*corev1.Pod)
	if !ok {
		return nil, a.wrongType(p.Name())
	}
	return found, nil
}

// lease keeps a node to its own lease, whatever else it was allowed.
func lease(a *Attributes, node string) error {
	if a.Namespace != corev1.NamespaceNodeLease {
		return a.forbidden("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	}
	return sameName(a, node, "can only access node lease with the same name as the requesting node")
}

// ownCSINode keeps a node to its own CSINode, whose status is behind a feature that is off.
func ownCSINode(a *Attributes, node string) error {
	err := sameName(a, node, "can only access CSINode with the same name as the requesting node")
	if err == nil && a.Subresource == "status" {
		err = a.forbidden("CSIVolumeHealth feature gate is disabled")
	}
	return err
}

// sameName holds an object to the node's own name.
func sameName(a *Attributes, node, refusal string) error {
	if a.Operation != Create {
		if a.Name != node {
			return a.forbidden("%s", refusal)
		}
		return nil
	}
	if o, err := meta.Accessor(a.Object); err == nil && o.GetName() != node {
		return a.forbidden("%s", refusal)
	}
	return nil
}

// ownNode keeps a node from becoming more than it was made: neither its labels nor its taints may draw other pods to it.
func ownNode(a *Attributes, node string) error {
	name := a.Name
	if o, err := meta.Accessor(a.Object); err == nil {
		name = o.GetName() // "" if it is yet to be made up
	}
	if name != node {
		return a.forbidden("node %q is not allowed to modify node %q", node, name)
	}
	next, ok := a.Object.(*corev1.Node)
	if !ok {
		return nil // a delete, which the authorizer has refused
	}
	if a.Operation == Create {
		if next.Spec.ConfigSource != nil {
			return a.forbidden("node %q is not allowed to create pods with a non-nil configSource", node)
		}
		if bad := foreignLabels(next.Labels, nil); len(bad) > 0 {
			return a.forbidden("node %q is not allowed to set the following labels: %s", node, strings.Join(bad, ", "))
		}
		return nil
	}
	old, ok := a.Old.(*corev1.Node)
	if !ok {
		return a.wrongType(NodeRestriction{}.Name())
	}
	switch bad := foreignLabels(next.Labels, old.Labels); {
	case next.Spec.ConfigSource != nil && !equality.Semantic.DeepEqual(next.Spec.ConfigSource, old.Spec.ConfigSource):
		return a.forbidden("node %q is not allowed to update configSource to a new non-nil configSource", node)
	case !equality.Semantic.DeepEqual(next.Spec.Taints, old.Spec.Taints):
		return a.forbidden("node %q is not allowed to modify taints", node)
	case !equality.Semantic.DeepEqual(next.OwnerReferences, old.OwnerReferences):
		return a.forbidden("node %q is not allowed to modify ownerReferences", node)
	case len(bad) > 0:
		return a.forbidden("is not allowed to modify labels: %s", strings.Join(bad, ", "))
	}
	return nil
}

// foreignLabels lists the labels that differ and are not a kubelet's to set.
func foreignLabels(next, old map[string]string) []string {
	var bad []string
	for key, value := range next {
		if was, ok := old[key]; (!ok || was != value) && !kubeletMaySet(key) {
			bad = append(bad, key)
		}
	}
	for key := range old {
		if _, ok := next[key]; !ok && !kubeletMaySet(key) {
			bad = append(bad, key)
		}
	}
	slices.Sort(bad)
	return bad
}

// kubeletLabels are those of Kubernetes' own domains that a kubelet may set, besides all below two prefixes.
var kubeletLabels = []string{
	corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelFailureDomainBetaZone,
	corev1.LabelFailureDomainBetaRegion, corev1.LabelInstanceType, corev1.LabelInstanceTypeStable,
	corev1.LabelOSStable, corev1.LabelArchStable, "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
}

func kubeletMaySet(key string) bool {
	domain, _, ok := strings.Cut(key, "/")
	if !ok {
		return true
	}
	within := func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) }
	switch {
	case within("node-restriction.kubernetes.io"):
		return false
	case !within("kubernetes.io") && !within("k8s.io"):
		return true
	case within("kubelet.kubernetes.io"), within("node.kubernetes.io"):
		return true
	}
	return slices.Contains(kubeletLabels, key)
}
