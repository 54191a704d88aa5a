package auth

import (
	"context"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Some kinds name a node themselves, in spec.nodeName, and are that node's.

// slices is about the resource slices of the node. Which ones it makes is for the admission plugin NodeRestriction.
func (n Node) slices(node string, r Request) (string, relation) {
	if r.Subresource != "" {
		return "cannot authorize ResourceSlice subresources", nil
	}
	switch r.Verb {
	case "create":
		return "", nil
	case "get", "update", "patch", "delete":
		return "", n.ofNode
	case "watch", "list", "deletecollection":
		if selects(r.FieldSelector, "spec.nodeName", node) {
			return "", nil
		}
		return "can only list/watch/deletecollection resourceslices with nodeName field selector", nil
	}
	return "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection", nil
}

// certificateRequests is about those for the pods of the node.
func (n Node) certificateRequests(node string, r Request) (string, relation) {
	if r.Subresource != "" {
		return "nodes may not access the status subresource of PodCertificateRequests", nil
	}
	switch r.Verb {
	case "create":
		return "", nil // for which pods, is for the admission plugin NodeRestriction
	case "get":
		return "", n.ofNode
	case "list", "watch":
		if selects(r.FieldSelector, "spec.nodeName", node) {
			return "", nil
		}
		return "can only list/watch podcertificaterequests with nodeName field selector", nil
	}
	return fmt.Sprintf("nodes may not %s podcertificaterequests", r.Verb), nil
}

// ofNode says whether the object is one that names the node.
func (n Node) ofNode(ctx context.Context, node string, r Request) (bool, error) {
	what := schema.GroupResource{Group: r.Group, Resource: r.Resource}
	o, err := n.Get.Get(ctx, what, r.Namespace, r.Name)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s %s: %w", what, r.Name, err)
	}
	switch o := o.(type) {
	case *storagev1.VolumeAttachment:
		return o.Spec.NodeName == node, nil
	case *resourcev1.ResourceSlice:
		return o.Spec.NodeName != nil && *o.Spec.NodeName == node, nil
	case *certificatesv1.PodCertificateRequest:
		return string(o.Spec.NodeName) == node, nil
	}
	return false, nil
}
