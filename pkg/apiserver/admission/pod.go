package admission

import (
	"slices"

	"bonsai/pkg/apiserver/auth"

	corev1 "k8s.io/api/core/v1"
)

// isMirror says whether a pod only shows a static pod, which its kubelet runs from a file.
func isMirror(p *corev1.Pod) bool {
	_, ok := p.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

// needsAPI returns the first kind of object that a pod names in a volume, its environment or its claims, or "". What the node
// authorizer would let a node read because of a pod is what a node must not be able to name in a pod that it makes itself.
func needsAPI(p *corev1.Pod) string {
	uses := auth.Uses(p)
	for _, kind := range []string{"secrets", "configmaps", "persistentvolumeclaims", "resourceclaims"} {
		if len(uses[kind]) > 0 {
			return kind
		}
	}
	if len(p.Spec.ResourceClaims) > 0 {
		return "resourceclaims"
	}
	for _, v := range p.Spec.Volumes {
		if v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool { return s.ClusterTrustBundle != nil }) {
			return "clustertrustbundles"
		}
	}
	return ""
}
