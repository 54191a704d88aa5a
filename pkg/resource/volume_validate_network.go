package resource

import (
	"net"
	"path"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The volumes that a storage system serves. Many of these systems have left Kubernetes for CSI drivers; the API still
// accepts them, so that old manifests keep their meaning.

func nfsVolume(n *corev1.NFSVolumeSource, at *place) field.ErrorList {
	return join(
		present(n.Server, at.Child("server")),
		present(n.Path, at.Child("path")),
		when(!path.IsAbs(n.Path), invalidAt(at.Child("path"), n.Path, "must be an absolute path")),
	)
}

func csiVolume(c *corev1.CSIVolumeSource, at *place) field.ErrorList {
	errs := driverName(c.Driver, at.Child("driver"))
	if r := c.NodePublishSecretRef; r != nil {
		if r.Name == "" {
			return append(errs, requiredAt(at.Child("nodePublishSecretRef", "name"), ""))
		}
		errs = append(errs, invalid(at.Child("name"), r.Name, subdomainName(r.Name, false))...)
	}
	return errs
}

// driverName is a DNS name too, but may be written with capitals.
func driverName(name string, at *place) field.ErrorList {
	if name == "" {
		return field.ErrorList{requiredAt(at, "")}
	}
	return join(
		when(len(name) > 63, tooLongAt(at, "", 63)),
		invalid(at, name, validation.IsDNS1123Subdomain(strings.ToLower(name))),
	)
}

// rareSources are those that need a system outside the cluster.
func rareSources(all *choices, v *corev1.Volume) {
	s, at := &v.VolumeSource, all.path
	secret := func(r *corev1.LocalObjectReference, at *place) field.ErrorList {
		return present(r.Name, at.Child("name"))
	}
	choose(all, s.GCEPersistentDisk, "gcePersistentDisk", gceVolume)
	choose(all, s.AWSElasticBlockStore, "awsElasticBlockStore", awsVolume)
	choose(all, s.ISCSI, "iscsi", func(i *corev1.ISCSIVolumeSource, own *place) field.ErrorList {
		tooLong := i.InitiatorName != nil && len(v.Name+":"+i.TargetPortal) > 64
		return join(iscsiVolume(i, own), when(tooLong, invalidAt(at.Child("name"), v.Name,
			"Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.")))
	})
	choose(all, s.Glusterfs, "glusterfs", func(g *corev1.GlusterfsVolumeSource, at *place) field.ErrorList {
		return join(present(g.EndpointsName, at.Child("endpoints")), present(g.Path, at.Child("path")))
	})
	choose(all, s.Flocker, "flocker", flockerVolume)
	choose(all, s.RBD, "rbd", func(r *corev1.RBDVolumeSource, at *place) field.ErrorList {
		return join(when(len(r.CephMonitors) == 0, requiredAt(at.Child("monitors"), "")), present(r.RBDImage, at.Child("image")))
	})
	choose(all, s.Cinder, "cinder", func(c *corev1.CinderVolumeSource, at *place) field.ErrorList {
		return join(present(c.VolumeID, at.Child("volumeID")), given(c.SecretRef, at.Child("secretRef"), secret))
	})
	choose(all, s.CephFS, "cephfs", func(c *corev1.CephFSVolumeSource, at *place) field.ErrorList {
		return when(len(c.Monitors) == 0, requiredAt(at.Child("monitors"), ""))
	})
	choose(all, s.Quobyte, "quobyte", quobyteVolume)
	choose(all, s.FC, "fc", fcVolume)
	choose(all, s.FlexVolume, "flexVolume", flexVolume)
	choose(all, s.AzureFile, "azureFile", func(a *corev1.AzureFileVolumeSource, at *place) field.ErrorList {
		return join(present(a.SecretName, at.Child("secretName")), present(a.ShareName, at.Child("shareName")))
	})
	choose(all, s.VsphereVolume, "vsphereVolume", vsphereVolume)
	choose(all, s.PhotonPersistentDisk, "photonPersistentDisk", photonVolume)
	choose(all, s.PortworxVolume, "portworxVolume", portworxVolume)
	choose(all, s.AzureDisk, "azureDisk", azureDiskVolume)
	choose(all, s.StorageOS, "storageos", func(s *corev1.StorageOSVolumeSource, at *place) field.ErrorList {
		return join(present(s.VolumeName, at.Child("volumeName")), given(s.SecretRef, at.Child("secretRef"), secret))
	})
	choose(all, s.ScaleIO, "scaleIO", func(s *corev1.ScaleIOVolumeSource, at *place) field.ErrorList {
		return join(present(s.Gateway, at.Child("gateway")), present(s.System, at.Child("system")), present(s.VolumeName, at.Child("volumeName")))
	})
}

func gceVolume(d *corev1.GCEPersistentDiskVolumeSource, at *place) field.ErrorList {
	return join(present(d.PDName, at.Child("pdName")), partition(d.Partition, at.Child("partition")))
}

func awsVolume(d *corev1.AWSElasticBlockStoreVolumeSource, at *place) field.ErrorList {
	return join(present(d.VolumeID, at.Child("volumeID")), partition(d.Partition, at.Child("partition")))
}

func vsphereVolume(s *corev1.VsphereVirtualDiskVolumeSource, at *place) field.ErrorList {
	return present(s.VolumePath, at.Child("volumePath"))
}

func photonVolume(d *corev1.PhotonPersistentDiskVolumeSource, at *place) field.ErrorList {
	return present(d.PdID, at.Child("pdID"))
}

func portworxVolume(p *corev1.PortworxVolumeSource, at *place) field.ErrorList {
	return present(p.VolumeID, at.Child("volumeID"))
}

func partition(n int32, at *place) field.ErrorList {
	return when(n < 0 || n > 255, invalidAt(at, n, validation.InclusiveRangeError(1, 255)))
}

func lun(n int32, at *place) field.ErrorList {
	return when(n < 0 || n > 255, invalidAt(at, n, validation.InclusiveRangeError(0, 255)))
}

// iscsiNames are the three forms of an iSCSI name, by their beginning.
var iscsiNames = map[string]*regexp.Regexp{
	"iqn": regexp.MustCompile(`iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`),
	"eui": regexp.MustCompile(`^eui.[[:alnum:]]{16}$`),
	"naa": regexp.MustCompile(`^naa.[[:alnum:]]{32}$`),
}

func iscsiName(name string, at *place) field.ErrorList {
	for prefix, form := range iscsiNames {
		if strings.HasPrefix(name, prefix) {
			return when(!form.MatchString(name), invalidAt(at, name, "must be valid format"))
		}
	}
	return field.ErrorList{invalidAt(at, name, "must be valid format starting with iqn, eui, or naa")}
}

func iscsiVolume(i *corev1.ISCSIVolumeSource, at *place) field.ErrorList {
	errs := join(present(i.TargetPortal, at.Child("targetPortal")), present(i.IQN, at.Child("iqn")))
	if i.IQN != "" {
		errs = append(errs, iscsiName(i.IQN, at.Child("iqn"))...)
	}
	errs = append(errs, lun(i.Lun, at.Child("lun"))...)
	secretMissing := (i.DiscoveryCHAPAuth || i.SessionCHAPAuth) && i.SecretRef == nil
	errs = append(errs, when(secretMissing, requiredAt(at.Child("secretRef"), ""))...)
	if i.InitiatorName != nil {
		errs = append(errs, iscsiName(*i.InitiatorName, at.Child("initiatorname"))...)
	}
	return errs
}

func flockerVolume(f *corev1.FlockerVolumeSource, at *place) field.ErrorList {
	return join(
		when(f.DatasetName == "" && f.DatasetUUID == "", requiredAt(at, "one of datasetName and datasetUUID is required")),
		when(f.DatasetName != "" && f.DatasetUUID != "", invalidAt(at, "resource", "datasetName and datasetUUID can not be specified simultaneously")),
		when(strings.Contains(f.DatasetName, "/"), invalidAt(at.Child("datasetName"), f.DatasetName, "must not contain '/'")),
	)
}

func quobyteVolume(q *corev1.QuobyteVolumeSource, at *place) field.ErrorList {
	const want = "must be a host:port pair or multiple pairs separated by commas"
	var errs field.ErrorList
	switch {
	case q.Registry == "":
		errs = append(errs, requiredAt(at.Child("registry"), want))
	case len(q.Tenant) >= 65:
		errs = append(errs, requiredAt(at.Child("tenant"), "must be a UUID and may not exceed a length of 64 characters"))
	default:
		for pair := range strings.SplitSeq(q.Registry, ",") {
			_, _, err := net.SplitHostPort(pair)
			errs = append(errs, when(err != nil, invalidAt(at.Child("registry"), q.Registry, want))...)
		}
	}
	return append(errs, present(q.Volume, at.Child("volume"))...)
}

func fcVolume(f *corev1.FCVolumeSource, at *place) field.ErrorList {
	targets := at.Child("targetWWNs")
	errs := join(
		when(len(f.TargetWWNs) == 0 && len(f.WWIDs) == 0, requiredAt(targets, "must specify either targetWWNs or wwids, but not both")),
		when(len(f.TargetWWNs) > 0 && len(f.WWIDs) > 0, invalidAt(targets, f.TargetWWNs, "targetWWNs and wwids can not be specified simultaneously")),
	)
	switch {
	case len(f.TargetWWNs) == 0:
	case f.Lun == nil:
		errs = append(errs, requiredAt(at.Child("lun"), "lun is required if targetWWNs is specified"))
	default:
		errs = append(errs, lun(*f.Lun, at.Child("lun"))...)
	}
	return errs
}

func flexVolume(f *corev1.FlexVolumeSource, at *place) field.ErrorList {
	errs := present(f.Driver, at.Child("driver"))
	for k := range sorted(f.Options) {
		namespace, _, _ := strings.Cut(k, "/")
		namespace = "." + strings.ToLower(namespace)
		reserved := strings.HasSuffix(namespace, ".kubernetes.io") || strings.HasSuffix(namespace, ".k8s.io")
		errs = append(errs, when(reserved, invalidAt(at.Child("options").Key(k), k, "kubernetes.io and k8s.io namespaces are reserved"))...)
	}
	return errs
}

func azureDiskVolume(a *corev1.AzureDiskVolumeSource, at *place) field.ErrorList {
	errs := join(present(a.DiskName, at.Child("diskName")), present(a.DataDiskURI, at.Child("diskURI")))
	if a.CachingMode != nil {
		errs = append(errs, oneOf(*a.CachingMode, at.Child("cachingMode"),
			corev1.AzureDataDiskCachingNone, corev1.AzureDataDiskCachingReadOnly, corev1.AzureDataDiskCachingReadWrite)...)
	}
	if a.Kind == nil {
		return errs
	}
	errs = append(errs, oneOf(*a.Kind, at.Child("kind"),
		corev1.AzureDedicatedBlobDisk, corev1.AzureManagedDisk, corev1.AzureSharedBlobDisk)...)
	want, form := "https://", "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
	if *a.Kind == corev1.AzureManagedDisk {
		want, form = "/subscriptions/", "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
	}
	return append(errs, when(!strings.HasPrefix(a.DataDiskURI, want), notSupportedAt(at.Child("diskURI"), a.DataDiskURI, []string{form}))...)
}
