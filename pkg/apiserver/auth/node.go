package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/auth/policy"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
)

// Node authorizes kubelets: a node reaches its own Node and Lease, the pods bound to it, and the secrets, config maps,
// claims and service accounts that these pods name. Where upstream keeps a graph of all such relations up to date, this
// looks at the pods of the node, of which there are few, when the node asks.
type Node struct{ Get Getter }

// NodeName returns the node that u is; ok says whether u is one at all.
func NodeName(u User) (name string, ok bool) {
	name, ok = strings.CutPrefix(u.Name, NodePrefix)
	return name, ok && slices.Contains(u.Groups, NodesGroup)
}

// Authorize decides about kubelets, and has no opinion about others.
func (n Node) Authorize(ctx context.Context, r Request) (Decision, string, error) {
	node, ok := NodeName(r.User)
	if !ok {
		return NoOpinion, "", nil
	}
	if node == "" {
		return NoOpinion, fmt.Sprintf("unknown node for user %q", r.User.Name), nil
	}
	reason, related := n.judge(node, r)
	if reason == unlisted {
		return NoOpinion, "", nil
	}
	if reason != "" {
		return NoOpinion, reason, nil
	}
	if related == nil {
		return Allow, "", nil
	}
	if r.Name == "" {
		return NoOpinion, "No Object name found", nil
	}
	ok, err := related(ctx, node, r)
	if apierrors.IsNotFound(err) { // no object, no relationship
		err = nil
	}
	if err != nil || !ok {
		return NoOpinion, fmt.Sprintf("no relationship found between node '%s' and this object", node), err
	}
	return Allow, "", nil
}

// RulesFor says that the list for a kubelet, whose rights depend on its pods, lacks them.
func (Node) RulesFor(u User, _ string) ([]rbacv1.PolicyRule, bool, error) {
	if _, ok := NodeName(u); ok {
		return nil, true, errors.New("node authorizer does not support user rule resolution")
	}
	return nil, false, nil
}

// unlisted stands for a refusal about which, as upstream, nothing is said to the client.
const unlisted = "unlisted"

// relation finds out whether the object of r is one that the node has to do with.
type relation func(ctx context.Context, node string, r Request) (bool, error)

// judge returns why not, or the relation that is left to check, or neither if r is allowed.
func (n Node) judge(node string, r Request) (string, relation) {
	if !r.IsResource {
		return otherwise(r), nil
	}
	switch (schema.GroupResource{Group: r.Group, Resource: r.Resource}).String() {
	case "secrets":
		return readOne(r), n.secret
	case "configmaps":
		return readOne(r), n.named
	case "persistentvolumeclaims":
		return claimAccess(r), n.named
	case "persistentvolumes":
		return getOne(r), n.volume
	case "volumeattachments.storage.k8s.io":
		return getOne(r), n.ofNode
	case "resourceclaims.resource.k8s.io":
		return getOne(r), n.named
	case "serviceaccounts":
		return accountAccess(r), n.named
	case "leases.coordination.k8s.io":
		return ownLease(node, r), nil
	case "csinodes.storage.k8s.io":
		return ownCSINode(node, r), nil
	case "nodes":
		return ownNode(node, r), nil
	case "pods":
		return n.pods(node, r)
	case "resourceslices.resource.k8s.io":
		return n.slices(node, r)
	case "podcertificaterequests.certificates.k8s.io":
		return n.certificateRequests(node, r)
	}
	return otherwise(r), nil
}

var nodeRules = policy.NodeRules()

// otherwise is for what all nodes may do alike.
func otherwise(r Request) string {
	if allows(nodeRules, r) {
		return ""
	}
	return unlisted
}

// named says whether a pod of the node names the object. What a mirror pod names does not count: the node itself may have made it.
func (n Node) named(ctx context.Context, node string, r Request) (bool, error) {
	pods, err := n.Get.PodsOn(ctx, node)
	if err != nil {
		return false, fmt.Errorf("look for the pods of node %s: %w", node, err)
	}
	return slices.ContainsFunc(pods, func(p *corev1.Pod) bool {
		return p.Namespace == r.Namespace && !isMirror(p) && slices.Contains(Uses(p)[r.Resource], r.Name)
	}), nil
}

func isMirror(p *corev1.Pod) bool {
	_, ok := p.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

// volume says whether the claim that a volume is bound to is named by a pod of the node.
func (n Node) volume(ctx context.Context, node string, r Request) (bool, error) {
	o, err := n.Get.Get(ctx, schema.GroupResource{Resource: "persistentvolumes"}, "", r.Name)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the claim of volume %s: %w", r.Name, err)
	}
	pv, ok := o.(*corev1.PersistentVolume)
	if !ok || pv.Spec.ClaimRef == nil {
		return false, nil
	}
	return n.named(ctx, node, Request{Resource: "persistentvolumeclaims", Namespace: pv.Spec.ClaimRef.Namespace, Name: pv.Spec.ClaimRef.Name})
}

// pod says whether the pod is bound to the node.
func (n Node) pod(ctx context.Context, node string, r Request) (bool, error) {
	o, err := n.Get.Get(ctx, schema.GroupResource{Resource: "pods"}, r.Namespace, r.Name)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for pod %s/%s: %w", r.Namespace, r.Name, err)
	}
	p, ok := o.(*corev1.Pod)
	return ok && p.Spec.NodeName == node, nil
}

// pods is about the pods of the node. What a write may contain is for the admission plugin NodeRestriction.
func (n Node) pods(node string, r Request) (string, relation) {
	switch r.Subresource + " " + r.Verb {
	case " get":
		return "", n.pod
	case " list", " watch":
		if selects(r.FieldSelector, "spec.nodeName", node) {
			return "", nil
		}
		if r.Name != "" {
			return "", n.pod
		}
		return "can only list/watch pods with spec.nodeName field selector", nil
	case " create", " delete", "status update", "status patch", "eviction create":
		return "", nil
	}
	return unlisted, nil
}

// selects says whether a field selector asks for exactly this value.
func selects(selector, name, value string) bool {
	s, err := fields.ParseSelector(selector)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(s.Requirements(), func(q fields.Requirement) bool {
		return q.Field == name && q.Value == value && (q.Operator == selection.Equals || q.Operator == selection.DoubleEquals)
	})
}
