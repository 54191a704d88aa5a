package resource

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The storage systems that a volume may be on. Some have the same source in pods; others here name a secret with its
// namespace, for a volume is in none.

// volumeSources wants one source, and says whether there is none.
func volumeSources(s *corev1.PersistentVolumeSpec, volume string, path *place) (none bool, errs field.ErrorList) {
	all := choices{path: path, refusal: "may not specify more than 1 volume type"}
	choose(&all, s.HostPath, "hostPath", hostPathVolume)
	choose(&all, s.GCEPersistentDisk, "gcePersistentDisk", func(d *corev1.GCEPersistentDiskVolumeSource, _ *place) field.ErrorList {
		return gceVolume(d, path.Child("persistentDisk"))
	})
	choose(&all, s.AWSElasticBlockStore, "awsElasticBlockStore", awsVolume)
	choose(&all, s.Glusterfs, "glusterfs", glusterfsPersistent)
	choose(&all, s.Flocker, "flocker", flockerVolume)
	choose(&all, s.NFS, "nfs", nfsVolume)
	choose(&all, s.RBD, "rbd", func(r *corev1.RBDPersistentVolumeSource, at *place) field.ErrorList {
		return join(when(len(r.CephMonitors) == 0, requiredAt(at.Child("monitors"), "")), present(r.RBDImage, at.Child("image")))
	})
	choose(&all, s.Quobyte, "quobyte", quobyteVolume)
	choose(&all, s.CephFS, "cephFS", func(c *corev1.CephFSPersistentVolumeSource, _ *place) field.ErrorList {
		return when(len(c.Monitors) == 0, requiredAt(path.Child("cephfs", "monitors"), ""))
	})
	choose(&all, s.ISCSI, "iscsi", func(i *corev1.ISCSIPersistentVolumeSource, at *place) field.ErrorList {
		return iscsiPersistent(i, volume, at)
	})
	choose(&all, s.Cinder, "cinder", func(c *corev1.CinderPersistentVolumeSource, at *place) field.ErrorList {
		return append(present(c.VolumeID, at.Child("volumeID")), given(c.SecretRef, at.Child("secretRef"), bothNames)...)
	})
	choose(&all, s.FC, "fc", fcVolume)
	if f := s.FlexVolume; f != nil {
		// The one source that is not refused beside another.
		all.errs = append(all.errs, flexVolume(&corev1.FlexVolumeSource{Driver: f.Driver, Options: f.Options}, path.Child("flexVolume"))...)
		all.count++
	}
	choose(&all, s.AzureFile, "azureFile", azureFilePersistent)
	moreVolumeSources(&all, s)
	return all.count == 0, all.errs
}

func moreVolumeSources(all *choices, s *corev1.PersistentVolumeSpec) {
	choose(all, s.VsphereVolume, "vsphereVolume", vsphereVolume)
	choose(all, s.PhotonPersistentDisk, "photonPersistentDisk", photonVolume)
	choose(all, s.PortworxVolume, "portworxVolume", portworxVolume)
	choose(all, s.AzureDisk, "azureDisk", azureDiskVolume)
	choose(all, s.ScaleIO, "scaleIO", func(s *corev1.ScaleIOPersistentVolumeSource, at *place) field.ErrorList {
		return join(present(s.Gateway, at.Child("gateway")), present(s.System, at.Child("system")), present(s.VolumeName, at.Child("volumeName")))
	})
	choose(all, s.Local, "local", func(l *corev1.LocalVolumeSource, at *place) field.ErrorList {
		return append(localVolume(l, at), when(s.NodeAffinity == nil, requiredAt(all.path.Child("nodeAffinity"), "Local volume requires node affinity"))...)
	})
	choose(all, s.StorageOS, "storageos", storageOSPersistent)
	choose(all, s.CSI, "csi", csiPersistent)
}

func localVolume(l *corev1.LocalVolumeSource, at *place) field.ErrorList {
	if l.Path == "" {
		return field.ErrorList{requiredAt(at.Child("path"), "")}
	}
	return noBacksteps(l.Path, at.Child("path"))
}

func glusterfsPersistent(g *corev1.GlusterfsPersistentVolumeSource, at *place) field.ErrorList {
	errs := join(present(g.EndpointsName, at.Child("endpoints")), present(g.Path, at.Child("path")))
	return append(errs, given(g.EndpointsNamespace, at.Child("endpointsNamespace"), func(ns *string, at *place) field.ErrorList {
		if *ns == "" {
			return field.ErrorList{invalidAt(at, *ns, "if the endpointnamespace is set, it must be a valid namespace name")}
		}
		return invalid(at, *ns, apivalidation.ValidateNamespaceName(*ns, false))
	})...)
}

func iscsiPersistent(i *corev1.ISCSIPersistentVolumeSource, volume string, at *place) field.ErrorList {
	tooLong := i.InitiatorName != nil && len(volume+":"+i.TargetPortal) > 64
	errs := join(
		present(i.TargetPortal, at.Child("targetPortal")),
		when(tooLong, invalidAt(at.Child("targetportal"), i.TargetPortal,
			"Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.")),
		present(i.IQN, at.Child("iqn")),
	)
	if i.IQN != "" {
		wrong := len(iscsiName(i.IQN, nil)) > 0
		errs = append(errs, when(wrong, invalidAt(at.Child("iqn"), i.IQN, "must be valid format"))...)
	}
	errs = append(errs, lun(i.Lun, at.Child("lun"))...)
	secretMissing := (i.DiscoveryCHAPAuth || i.SessionCHAPAuth) && i.SecretRef == nil
	errs = append(errs, when(secretMissing, requiredAt(at.Child("secretRef"), ""))...)
	if i.SecretRef != nil {
		errs = append(errs, present(i.SecretRef.Name, at.Child("secretRef", "name"))...)
	}
	if i.InitiatorName != nil {
		wrong := len(iscsiName(*i.InitiatorName, nil)) > 0
		errs = append(errs, when(wrong, invalidAt(at.Child("initiatorname"), *i.InitiatorName, "must be valid format"))...)
	}
	return errs
}

// bothNames wants a secret's name and namespace, whatever they are.
func bothNames(r *corev1.SecretReference, at *place) field.ErrorList {
	return append(present(r.Name, at.Child("name")), present(r.Namespace, at.Child("namespace"))...)
}

func azureFilePersistent(a *corev1.AzureFilePersistentVolumeSource, at *place) field.ErrorList {
	errs := join(present(a.SecretName, at.Child("secretName")), present(a.ShareName, at.Child("shareName")))
	return append(errs, given(a.SecretNamespace, at.Child("secretNamespace"), func(ns *string, at *place) field.ErrorList {
		return present(*ns, at)
	})...)
}

func storageOSPersistent(s *corev1.StorageOSPersistentVolumeSource, at *place) field.ErrorList {
	errs := present(s.VolumeName, at.Child("volumeName"))
	if s.VolumeName != "" {
		errs = dnsLabel(s.VolumeName, at.Child("volumeName"))
	}
	if s.VolumeNamespace != "" {
		errs = append(errs, dnsLabel(s.VolumeNamespace, at.Child("volumeNamespace"))...)
	}
	return append(errs, given(s.SecretRef, at.Child("secretRef"), func(r *corev1.ObjectReference, at *place) field.ErrorList {
		return append(present(r.Name, at.Child("name")), present(r.Namespace, at.Child("namespace"))...)
	})...)
}

func csiPersistent(c *corev1.CSIPersistentVolumeSource, at *place) field.ErrorList {
	errs := append(driverName(c.Driver, at.Child("driver")), present(c.VolumeHandle, at.Child("volumeHandle"))...)
	for _, secret := range []struct {
		name string
		ref  *corev1.SecretReference
	}{
		{"controllerPublishSecretRef", c.ControllerPublishSecretRef}, {"controllerExpandSecretRef", c.ControllerExpandSecretRef},
		{"nodePublishSecretRef", c.NodePublishSecretRef}, {"nodeExpandSecretRef", c.NodeExpandSecretRef},
	} {
		errs = append(errs, given(secret.ref, at.Child(secret.name), secretInNamespace)...)
	}
	// The secret for staging is the one that upstream does not look at.
	return errs
}
