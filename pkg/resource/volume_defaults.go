package resource

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// defaultVolume makes a volume that names no source an empty directory, and completes the source of any other.
func defaultVolume(v *corev1.Volume) {
	s := &v.VolumeSource
	if ptr.AllPtrFieldsNil(s) {
		s.EmptyDir = &corev1.EmptyDirVolumeSource{}
	}
	defaultFileSources(s)
	defaultNetworkSources(s)
	if s.HostPath != nil {
		orPtr(&s.HostPath.Type, corev1.HostPathUnset)
	}
	if s.Ephemeral != nil && s.Ephemeral.VolumeClaimTemplate != nil {
		defaultClaimSpec(&s.Ephemeral.VolumeClaimTemplate.Spec)
	}
	if s.Image != nil {
		or(&s.Image.PullPolicy, pullPolicyOf(s.Image.Reference))
	}
}

// defaultFileSources is for the sources whose files the kubelet writes.
func defaultFileSources(s *corev1.VolumeSource) {
	if s.Secret != nil {
		orPtr(&s.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	}
	if s.ConfigMap != nil {
		orPtr(&s.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	}
	if s.DownwardAPI != nil {
		orPtr(&s.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		defaultDownwardItems(s.DownwardAPI.Items)
	}
	if s.Projected != nil {
		orPtr(&s.Projected.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
		for i := range s.Projected.Sources {
			defaultProjection(&s.Projected.Sources[i])
		}
	}
}

func defaultProjection(p *corev1.VolumeProjection) {
	if p.DownwardAPI != nil {
		defaultDownwardItems(p.DownwardAPI.Items)
	}
	if p.ServiceAccountToken != nil {
		orPtr(&p.ServiceAccountToken.ExpirationSeconds, 60*60)
	}
}

func defaultDownwardItems(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		defaultFieldRef(items[i].FieldRef)
	}
}

// defaultNetworkSources is for the sources that a storage system serves.
func defaultNetworkSources(s *corev1.VolumeSource) {
	if s.ISCSI != nil {
		or(&s.ISCSI.ISCSIInterface, "default")
	}
	if s.RBD != nil {
		or(&s.RBD.RBDPool, "rbd")
		or(&s.RBD.RadosUser, "admin")
		or(&s.RBD.Keyring, "/etc/ceph/keyring")
	}
	if s.AzureDisk != nil {
		defaultAzureDisk(s.AzureDisk)
	}
	if s.ScaleIO != nil {
		or(&s.ScaleIO.StorageMode, "ThinProvisioned")
		or(&s.ScaleIO.FSType, "xfs")
	}
}

func defaultAzureDisk(d *corev1.AzureDiskVolumeSource) {
	orPtr(&d.CachingMode, corev1.AzureDataDiskCachingReadWrite)
	orPtr(&d.Kind, corev1.AzureSharedBlobDisk)
	orPtr(&d.FSType, "ext4")
	orPtr(&d.ReadOnly, false)
}
