package auth

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// secret says whether a pod of the node names the secret, or uses a volume that is mounted by it, which may be in another namespace.
func (n Node) secret(ctx context.Context, node string, r Request) (bool, error) {
	if ok, err := n.named(ctx, node, r); ok || err != nil {
		return ok, err
	}
	pods, err := n.Get.PodsOn(ctx, node)
	if err != nil {
		return false, fmt.Errorf("look for the pods of node %s: %w", node, err)
	}
	for _, p := range pods {
		if isMirror(p) {
			continue
		}
		for _, claim := range Uses(p)["persistentvolumeclaims"] {
			pv, err := n.volumeOf(ctx, p.Namespace, claim)
			if err != nil {
				return false, err
			}
			if pv != nil && slices.Contains(volumeSecrets(pv), types.NamespacedName{Namespace: r.Namespace, Name: r.Name}) {
				return true, nil
			}
		}
	}
	return false, nil
}

// volumeOf is the volume that is bound to a claim, by both their words; nil if there is none.
func (n Node) volumeOf(ctx context.Context, namespace, name string) (*corev1.PersistentVolume, error) {
	o, err := n.Get.Get(ctx, schema.GroupResource{Resource: "persistentvolumeclaims"}, namespace, name)
	claim, ok := o.(*corev1.PersistentVolumeClaim)
	if err != nil || !ok || claim.Spec.VolumeName == "" {
		return nil, ignoreNotFound("look for claim "+namespace+"/"+name, err)
	}
	if o, err = n.Get.Get(ctx, schema.GroupResource{Resource: "persistentvolumes"}, "", claim.Spec.VolumeName); err != nil {
		return nil, ignoreNotFound("look for volume "+claim.Spec.VolumeName, err)
	}
	pv, ok := o.(*corev1.PersistentVolume)
	if !ok || pv.Spec.ClaimRef == nil || pv.Spec.ClaimRef.Namespace != namespace || pv.Spec.ClaimRef.Name != name {
		return nil, nil
	}
	return pv, nil
}

func ignoreNotFound(what string, err error) error {
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// volumeSecrets are those that a kubelet needs to mount the volume; what only a controller needs is not among them. Without a namespace,
// some kinds of volumes mean that of the claim.
func volumeSecrets(pv *corev1.PersistentVolume) []types.NamespacedName {
	s := &pv.Spec.PersistentVolumeSource
	if s.CSI != nil {
		return references("", s.CSI.NodePublishSecretRef, s.CSI.NodeStageSecretRef, s.CSI.NodeExpandSecretRef)
	}
	claims := pv.Spec.ClaimRef.Namespace
	switch {
	case s.AzureFile != nil:
		in := corev1.SecretReference{Name: s.AzureFile.SecretName}
		if s.AzureFile.SecretNamespace != nil {
			in.Namespace = *s.AzureFile.SecretNamespace
		}
		return references(claims, &in)
	case s.CephFS != nil:
		return references(claims, s.CephFS.SecretRef)
	case s.Cinder != nil:
		return references("", s.Cinder.SecretRef)
	case s.FlexVolume != nil:
		return references(claims, s.FlexVolume.SecretRef)
	case s.RBD != nil:
		return references(claims, s.RBD.SecretRef)
	case s.ScaleIO != nil:
		return references(claims, s.ScaleIO.SecretRef)
	case s.ISCSI != nil:
		return references(claims, s.ISCSI.SecretRef)
	case s.StorageOS != nil && s.StorageOS.SecretRef != nil:
		return references("", &corev1.SecretReference{Namespace: s.StorageOS.SecretRef.Namespace, Name: s.StorageOS.SecretRef.Name})
	}
	return nil
}

func references(otherwise string, refs ...*corev1.SecretReference) []types.NamespacedName {
	var names []types.NamespacedName
	for _, r := range refs {
		if r == nil {
			continue
		}
		name := types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
		if name.Namespace == "" {
			name.Namespace = otherwise
		}
		names = append(names, name)
	}
	return names
}
