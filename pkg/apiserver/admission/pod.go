package admission

import (
	"fmt"

	"bonsai/pkg/apiserver/auth"

	corev1 "k8s.io/api/core/v1"
)

// isMirror says whether a pod only shows a static pod, which its kubelet runs from a file.
func isMirror(p *corev1.Pod) bool {
	_, ok := p.Annotations[corev1.MirrorPodAnnotationKey]
	return ok
}

// needsAPI returns what kind of object a pod first names in its environment, its claims or a volume, or "". What the node authorizer would
// let a node read because of a pod is what a node must not be able to name in a pod that it makes itself. A volume of which it is not known
// whether it names something is an error.
func needsAPI(p *corev1.Pod) (string, error) {
	uses := auth.Uses(p)
	switch {
	case p.Spec.ServiceAccountName != "":
		return "serviceaccounts", nil
	case len(uses["secrets"]) > 0:
		return "secrets", nil
	case len(uses["configmaps"]) > 0:
		return "configmaps", nil
	case len(p.Spec.ResourceClaims) > 0:
		return "resourceclaims", nil
	}
	for i := range p.Spec.Volumes {
		if what, err := volumeNeeds(&p.Spec.Volumes[i]); what != "" || err != nil {
			return what, err
		}
	}
	return "", nil
}

func volumeNeeds(v *corev1.Volume) (string, error) {
	switch {
	case ownVolume(&v.VolumeSource):
		return "", nil
	case v.ConfigMap != nil:
		return "configmaps (via configmap volumes)", nil
	case v.Secret != nil:
		return "secrets (via secret volumes)", nil
	case v.CSI != nil:
		return "csidrivers (via CSI volumes)", nil
	case v.Glusterfs != nil:
		return "endpoints (via glusterFS volumes)", nil
	case v.PersistentVolumeClaim != nil:
		return "persistentvolumeclaims", nil
	case v.Ephemeral != nil:
		return "persistentvolumeclaims (via ephemeral volumes)", nil
	case v.AzureFile != nil:
		return "secrets (via azureFile volumes)", nil
	case v.Projected != nil:
		return projectionNeeds(v)
	}
	return "", fmt.Errorf("unknown volume type for volume  %q", v.Name)
}

// ownVolume is for those that need nothing of the API but, some of them, a secret.
func ownVolume(v *corev1.VolumeSource) bool {
	return v.AWSElasticBlockStore != nil || v.AzureDisk != nil || v.CephFS != nil || v.Cinder != nil || v.DownwardAPI != nil ||
		v.EmptyDir != nil || v.FC != nil || v.FlexVolume != nil || v.Flocker != nil || v.GCEPersistentDisk != nil || v.GitRepo != nil ||
		v.HostPath != nil || v.Image != nil || v.ISCSI != nil || v.NFS != nil || v.PhotonPersistentDisk != nil ||
		v.PortworxVolume != nil || v.Quobyte != nil || v.RBD != nil || v.ScaleIO != nil || v.StorageOS != nil || v.VsphereVolume != nil
}

func projectionNeeds(v *corev1.Volume) (string, error) {
	for _, s := range v.Projected.Sources {
		switch {
		case s.ConfigMap != nil:
			return "configmaps (via projected volumes)", nil
		case s.Secret != nil:
			return "secrets (via projected volumes)", nil
		case s.ServiceAccountToken != nil:
			return "serviceaccounts (via projected volumes)", nil
		case s.ClusterTrustBundle != nil:
			return "clustertrustbundles", nil
		case s.PodCertificate != nil:
			return "podcertificates", nil
		case s.DownwardAPI == nil:
			return "", fmt.Errorf("unknown source for projected volume %q", v.Name)
		}
	}
	return "", nil
}
