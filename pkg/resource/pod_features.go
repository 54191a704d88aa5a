package resource

import (
	corev1 "k8s.io/api/core/v1"
)

// dropOffFields removes what v1.37 knows but does not do unless a feature gate that is off by default is on: the API
// server drops such fields silently, and a client that reads its object back sees it. Bonsai has the default gates.
// Everything that the API server stores has passed here, so no stored object has these fields.
func dropOffFields(s *corev1.PodSpec) {
	s.SchedulingGroup = nil    // GenericWorkload
	s.EvictionResponders = nil // EvictionRequestAPI
	eachContainer(s, func(c *corev1.Container) {
		for i := range c.VolumeMounts {
			c.VolumeMounts[i].BindMountOptions = nil // VolumeBindMountOptions
		}
		for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
			if p != nil {
				dropOffProbe(p)
			}
		}
		if c.Lifecycle != nil {
			c.Lifecycle.StopSignal = nil // ContainerStopSignals
		}
	})
	for i := range s.Volumes {
		dropOffVolume(&s.Volumes[i].VolumeSource)
	}
}

func dropOffProbe(p *corev1.Probe) {
	if p.HTTPGet != nil {
		p.HTTPGet.Protocol = nil // H2CContainerProbe
	}
	if p.GRPC != nil {
		p.GRPC.Mode = nil // GRPCContainerProbeTLS
	}
}

// dropOffVolume is for EmptyDirVolumeMode, and for AtomicWriteVolumeUserFields: the owners of written files.
func dropOffVolume(v *corev1.VolumeSource) {
	if v.EmptyDir != nil {
		v.EmptyDir.Mode = nil
	}
	if v.Secret != nil {
		v.Secret.DefaultUser = nil
		dropOwners(v.Secret.Items)
	}
	if v.ConfigMap != nil {
		v.ConfigMap.DefaultUser = nil
		dropOwners(v.ConfigMap.Items)
	}
	if v.DownwardAPI != nil {
		v.DownwardAPI.DefaultUser = nil
		dropFileOwners(v.DownwardAPI.Items)
	}
	if v.Projected != nil {
		v.Projected.DefaultUser = nil
		for i := range v.Projected.Sources {
			dropOffProjection(&v.Projected.Sources[i])
		}
	}
}

func dropOffProjection(p *corev1.VolumeProjection) {
	if p.Secret != nil {
		dropOwners(p.Secret.Items)
	}
	if p.ConfigMap != nil {
		dropOwners(p.ConfigMap.Items)
	}
	if p.DownwardAPI != nil {
		dropFileOwners(p.DownwardAPI.Items)
	}
	if p.ServiceAccountToken != nil {
		p.ServiceAccountToken.User = nil
	}
	if p.ClusterTrustBundle != nil {
		p.ClusterTrustBundle.User = nil
	}
	if p.PodCertificate != nil {
		p.PodCertificate.User = nil
	}
}

func dropOwners(items []corev1.KeyToPath) {
	for i := range items {
		items[i].User = nil
	}
}

func dropFileOwners(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		items[i].User = nil
	}
}

// dropOffStatus is for CSIVolumeHealth, DRANodeAllocatableResources and ImageVolumeWithDigest.
func dropOffStatus(s *corev1.PodStatus) {
	s.VolumeHealth = nil
	s.NodeAllocatableResourceClaimStatuses = nil
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses} {
		for i := range list {
			for j := range list[i].VolumeMounts {
				list[i].VolumeMounts[j].VolumeStatus = nil
			}
		}
	}
}
